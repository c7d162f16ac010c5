/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <string.h>

#include "base/utf8.h"
#include "util/unit-file.h"

#define WHITE_SPACE " \t"
#define LINE_ENDS "\n\r"
#define COMMENT_SIGNS "#;"
#define BYTE_ORDER_MARK "\xef\xbb\xbf"

void unit_file_init(UnitFile *file, char *text, size_t size) {
        *file = (UnitFile){ .rest = text, .end = text + size };
}

static int unit_file_fail(UnitFile *file, unsigned line, const char *reason) {
        file->line = line;
        file->reason = reason;
        file->rest = file->end;
        return -EBADMSG;
}

/* Cuts off the next line and terminates it with NUL. It may contain other NUL bytes. Returns false at the end
 * of the text. */
static bool unit_file_take_line(UnitFile *file, char **ret, size_t *ret_size) {
        char *line = file->rest, *p = line;

        if (line == file->end)
                return false;
        /* In a loop, because strcspn() stops at a NUL byte. */
        while (p += strcspn(p, LINE_ENDS), p < file->end && *p == '\0')
                p++;
        file->rest = p;
        if (p < file->end) {
                /* "\r\n" is one end, "\n\n" are two. At file->end there is the NUL. */
                bool pair = p[1] != p[0] && (p[1] == '\n' || p[1] == '\r');

                file->rest += pair ? 2 : 1;
                *p = '\0';
        }
        file->n_lines++;
        *ret = line;
        *ret_size = (size_t) (p - line);
        return true;
}

static bool unit_file_line_goes_on(const char *line, size_t size) {
        size_t n = 0;

        while (n < size && line[size - n - 1] == '\\')
                n++;
        return n % 2 == 1;
}

/* Takes the next line that is no comment, with those in which it goes on, and sets file->line. They are moved
 * together where they are, since the whole is never longer than its parts. Returns 1, 0 at the end of the
 * text, or an error. */
static int unit_file_take_lines(UnitFile *file, char **ret) {
        char *whole = NULL, *to = NULL, *line;
        bool goes_on = true;
        size_t size;

        while (goes_on && unit_file_take_line(file, &line, &size)) {
                if (strlen(line) != size)
                        return unit_file_fail(file, file->n_lines, "the line has a NUL byte");
                if (!file->mark_seen && strncmp(line, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0) {
                        line += strlen(BYTE_ORDER_MARK);
                        size -= strlen(BYTE_ORDER_MARK);
                        file->mark_seen = true;
                }
                const char *first = line + strspn(line, WHITE_SPACE);
                if (*first && strchr(COMMENT_SIGNS, *first))
                        continue;
                if (!utf8_is_valid(line))
                        return unit_file_fail(file, file->n_lines,
                                "the line is not UTF-8, or has characters that D-Bus does not permit");

                goes_on = unit_file_line_goes_on(line, size);
                if (goes_on)
                        line[size - 1] = ' ';
                if (!whole) {
                        whole = to = line;
                        file->line = file->n_lines;
                }
                memmove(to, line, size + 1);
                to += size;
        }
        if (!whole)
                return 0;
        *ret = whole;
        return 1;
}

static char *unit_file_strip(char *text) {
        text += strspn(text, WHITE_SPACE);

        size_t size = strlen(text);
        while (size > 0 && strchr(WHITE_SPACE, text[size - 1]))
                size--;
        text[size] = '\0';
        return text;
}

/* systemd refuses the same characters. */
static bool unit_file_section_is_valid(const char *name) {
        for (const char *p = name; *p; p++)
                if ((unsigned char) *p < ' ' || strchr("\"'\\\x7f", *p))
                        return false;
        return true;
}

static int unit_file_set_section(UnitFile *file, char *text) {
        const size_t size = strlen(text);

        if (text[size - 1] != ']')
                return unit_file_fail(file, file->line, "the section header does not end in \"]\"");
        text[size - 1] = '\0';
        if (!unit_file_section_is_valid(text + 1))
                return unit_file_fail(
                        file, file->line, "the section header has characters that are not permitted in it");
        file->section = text + 1;
        file->key = file->value = NULL;
        return 1;
}

static int unit_file_set_assignment(UnitFile *file, char *text) {
        char *equals = strchr(text, '=');

        if (!equals)
                return unit_file_fail(file, file->line,
                        "the line is neither a section header nor an assignment, which has a \"=\"");
        if (equals == text)
                return unit_file_fail(file, file->line, "there is no key before the \"=\"");
        if (!file->section)
                return unit_file_fail(
                        file, file->line, "the assignment comes before the first section header");
        *equals = '\0';
        file->key = unit_file_strip(text);
        file->value = unit_file_strip(equals + 1);
        return 1;
}

int unit_file_next(UnitFile *file) {
        char *text;
        int r;

        while ((r = unit_file_take_lines(file, &text)) > 0) {
                text = unit_file_strip(text);
                if (*text == '[')
                        return unit_file_set_section(file, text);
                if (*text)
                        return unit_file_set_assignment(file, text);
        }
        return r;
}
