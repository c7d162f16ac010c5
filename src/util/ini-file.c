/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <string.h>

#include "base/utf8.h"
#include "util/ini-file.h"

#define WHITE_SPACE " \t\v\f"
#define COMMENT_SIGNS "#;"
#define BYTE_ORDER_MARK "\xef\xbb\xbf"

void ini_file_init(IniFile *file, char *text, size_t size, bool inline_comments) {
        *file = (IniFile){ .rest = text, .end = text + size, .inline_comments = inline_comments };
        if (strncmp(text, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0)
                file->rest += strlen(BYTE_ORDER_MARK);
}

static int ini_file_fail(IniFile *file, unsigned line, const char *reason) {
        file->rest = file->end;
        file->line = line;
        file->reason = reason;
        return -EBADMSG;
}

/* A line without its comment and the white space around. */
typedef struct IniLine {
        char *text;
        size_t indent;
        bool comment; /* it has one */
        unsigned number;
} IniLine;

static bool is_control(char c) {
        return c == '\0' || ((unsigned char) c < ' ' && !strchr(WHITE_SPACE, c)) || c == '\x7f';
}

/* Returns the length of the line that begins here, up to its "\n", "\r" or "\r\n". */
static size_t ini_file_line_size(const IniFile *file) {
        const char *c = file->rest;

        while (c < file->end && *c != '\n' && *c != '\r')
                c++;
        return (size_t) (c - file->rest);
}

static void line_cut_comment(IniLine *line, bool inline_comments) {
        char *text = line->text;
        const char *first = text + strspn(text, WHITE_SPACE);

        if (*first && strchr(COMMENT_SIGNS, *first)) {
                line->comment = true;
                text[0] = '\0';
        }
        for (char *c = text; inline_comments && *c; c++)
                if (strchr(COMMENT_SIGNS, *c) && c > text && strchr(WHITE_SPACE, c[-1])) {
                        line->comment = true;
                        *c = '\0';
                        return;
                }
}

static void line_strip(IniLine *line) {
        line->indent = strspn(line->text, WHITE_SPACE);
        line->text += line->indent;

        size_t size = strlen(line->text);
        while (size > 0 && strchr(WHITE_SPACE, line->text[size - 1]))
                size--;
        line->text[size] = '\0';
}

/* Takes the line at the beginning of the rest. Returns 1, 0 at the end, or an error. */
static int ini_file_take_line(IniFile *file, IniLine *ret) {
        if (file->rest >= file->end)
                return 0;
        const size_t size = ini_file_line_size(file);
        char *text = file->rest, *behind = text + size;

        file->n_lines++;
        for (size_t i = 0; i < size; i++)
                if (is_control(text[i]))
                        return ini_file_fail(
                                file, file->n_lines, "the line has a control character, so it is not text");
        if (behind < file->end)
                behind += behind[0] == '\r' && behind[1] == '\n' ? 2 : 1;
        text[size] = '\0';
        file->rest = behind;
        if (!utf8_is_valid(text))
                return ini_file_fail(file, file->n_lines,
                        "the line is not UTF-8, or has characters that D-Bus does not permit");
        *ret = (IniLine){ .text = text, .number = file->n_lines };
        line_cut_comment(ret, file->inline_comments);
        line_strip(ret);
        return 1;
}

/* Returns how far the line that begins here is indented, and whether there is something in it that may go on
 * with a value. */
static bool ini_file_peek(const IniFile *file, size_t *ret_indent) {
        const size_t size = ini_file_line_size(file);
        size_t indent = 0;

        while (indent < size && strchr(WHITE_SPACE, file->rest[indent]))
                indent++;
        *ret_indent = indent;
        return indent < size && !strchr(COMMENT_SIGNS, file->rest[indent]);
}

/* Appends the lines that go on with this value. What is moved is before what is read. Empty lines within it
 * are kept, as in Python. */
static int ini_file_take_continuation(IniFile *file, size_t key_indent, char *value) {
        char *to = value + strlen(value);
        size_t n_empty = 0;

        while (file->rest < file->end) {
                size_t indent;
                IniLine line;

                if (ini_file_peek(file, &indent) && indent <= key_indent)
                        break;
                int r = ini_file_take_line(file, &line);
                if (r < 0)
                        return r;
                if (!line.text[0]) {
                        n_empty += !line.comment;
                        continue;
                }
                /* Each of these newlines, and this one, replaces one of the text. */
                for (; n_empty > 0; n_empty--)
                        *to++ = '\n';
                *to++ = '\n';
                const size_t size = strlen(line.text);
                memmove(to, line.text, size + 1);
                to += size;
        }
        return 0;
}

static int ini_file_set_section(IniFile *file, char *text) {
        char *end = strrchr(text, ']');

        if (!end || end == text + 1)
                return ini_file_fail(file, file->line,
                        end ? "the section has no name" : "the section header does not end in \"]\"");
        *end = '\0';
        file->section = text + 1;
        file->key = file->value = NULL;
        return 1;
}

static void key_to_lower(char *key) {
        for (; *key; key++)
                if (*key >= 'A' && *key <= 'Z')
                        *key = (char) (*key - 'A' + 'a');
}

static int ini_file_set_assignment(IniFile *file, const IniLine *line) {
        char *delimiter = strpbrk(line->text, "=:");
        IniLine value = {};

        if (!file->section)
                return ini_file_fail(file, file->line, "there is no section header, as [name], before this");
        if (!delimiter)
                return ini_file_fail(
                        file, file->line, "the line is neither a section header nor an assignment");
        if (delimiter == line->text)
                return ini_file_fail(file, file->line, "there is no key before the \"=\" or \":\"");
        *delimiter = '\0';
        value.text = delimiter + 1;
        line_strip(&value);
        file->value = value.text;
        value.text = line->text;
        line_strip(&value);
        key_to_lower(line->text);
        file->key = line->text;
        return ini_file_take_continuation(file, line->indent, (char *) file->value) < 0 ? -EBADMSG : 1;
}

int ini_file_next(IniFile *file) {
        IniLine line;
        int r;

        while ((r = ini_file_take_line(file, &line)) > 0) {
                if (!line.text[0])
                        continue;
                file->line = line.number;
                return line.text[0] == '[' ? ini_file_set_section(file, line.text)
                                           : ini_file_set_assignment(file, &line);
        }
        return r;
}
