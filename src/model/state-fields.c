/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/utf8.h"
#include "model/state-fields.h"
#include "util/log.h"

#define HEADER "# Private data of architect-node, with a checksum. Do not parse.\n"
#define HEADER_OF_1 "# This is private data of architect-node. Do not parse.\n"
#define CHECKSUM "# CHECKSUM="

#define KEY_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZ_"

/* The characters after a backslash, and those for which they stand. */
#define ESCAPE_LETTERS "bfnrtv\\\""
#define ESCAPED_CHARACTERS "\b\f\n\r\t\v\\\""

/* Returns the last line of a file that begins with these bytes. The caller frees it. */
static char *checksum_line(const char *data, size_t size) {
        g_autofree char *sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *) data, size);

        return g_strconcat(CHECKSUM, sum, "\n", NULL);
}

static const char *text_last_line(const char *text) {
        size_t n = strlen(text);

        if (n > 0 && text[n - 1] == '\n')
                n--;
        while (n > 0 && text[n - 1] != '\n')
                n--;
        return text + n;
}

/* Reading */

typedef struct StateLine {
        const char *key;
        const char *value;      /* escaped; NULL for a word */
        struct StateLine *next; /* of the same key */
        bool taken;
} StateLine;

struct StateFields {
        char *text; /* split into its lines */
        const char *prefix;
        StateLine *lines;
        size_t n_lines;
        size_t n_seen;      /* by state_take_next() */
        GHashTable *by_key; /* key → the first line of it */
        uint64_t version;
        bool of_1;
        bool bad;
};

void state_fields_set_bad(StateFields *fields) {
        fields->bad = true;
}

/* The value ends within an escape, so the line was truncated. */
static bool value_is_cut(const char *value) {
        size_t n = strlen(value), n_backslashes = 0;

        while (n_backslashes < n && value[n - n_backslashes - 1] == '\\')
                n_backslashes++;
        return n_backslashes % 2 != 0;
}

static bool line_is_comment(const char *line) {
        if (line[0] != '#')
                return line[0] == '\0';
        size_t n = strspn(line + 1, KEY_CHARACTERS);
        return n == 0 || line[1 + n] != '=';
}

static size_t text_count_lines(const char *text) {
        size_t n = 1;

        for (const char *p = text; (p = strchr(p, '\n')); p++)
                n++;
        return n;
}

static void state_fields_add_line(StateFields *fields, char *text, GHashTable *last_by_key) {
        StateLine *line = &fields->lines[fields->n_lines];
        char *eq = strchr(text, '=');

        if (line_is_comment(text))
                return;
        fields->n_lines++;
        line->key = text;
        if (!eq)
                return;
        *eq = '\0';
        line->value = eq + 1;
        if (value_is_cut(line->value))
                fields->bad = true;

        StateLine *last = g_hash_table_lookup(last_by_key, text);
        if (last)
                last->next = line;
        else
                (void) g_hash_table_insert(fields->by_key, text, line);
        (void) g_hash_table_insert(last_by_key, text, line);
}

/* A comment as long as this one may be this one, damaged. */
static bool line_may_be(const char *line, const char *prefix, size_t size) {
        return g_str_has_prefix(line, prefix) || (line[0] == '#' && strcspn(line, "\n") == size);
}

static bool text_is_of_1(const char *text, const char *last) {
        const size_t sha256_digits = 64;

        return !line_may_be(text, HEADER, strlen(HEADER) - 1) &&
               !line_may_be(last, CHECKSUM, strlen(CHECKSUM) + sha256_digits);
}

static bool state_fields_are_whole(StateFields *fields, const char *text) {
        const char *last = text_last_line(text);

        fields->of_1 = text_is_of_1(text, last);
        if (fields->of_1)
                return true;
        if (!g_str_has_prefix(text, HEADER))
                return false;
        g_autofree char *checksum = checksum_line(text, (size_t) (last - text));
        return g_str_equal(last, checksum);
}

static StateFields *state_fields_new_for(const char *text, const char *prefix) {
        StateFields *fields = g_new0(StateFields, 1);

        fields->prefix = prefix;
        fields->by_key = g_hash_table_new(g_str_hash, g_str_equal);
        fields->bad = !state_fields_are_whole(fields, text);
        return fields;
}

static void state_fields_split(StateFields *fields, const char *text) {
        g_autoptr(GHashTable) last_by_key = g_hash_table_new(g_str_hash, g_str_equal);
        g_autofree char *version = g_strconcat(fields->prefix, "VERSION", NULL);

        fields->text = g_strdup(text);
        fields->lines = g_new0(StateLine, text_count_lines(text));
        for (char *line = fields->text, *next; line; line = next) {
                next = strchr(line, '\n');
                if (next)
                        *next++ = '\0';
                state_fields_add_line(fields, line, last_by_key);
        }
        fields->version = state_take_u64(fields, version);
}

StateFields *state_fields_parse(const char *text, const char *prefix) {
        StateFields *fields = state_fields_new_for(text, prefix);
        bool words = false;

        if (fields->bad)
                return fields;
        state_fields_split(fields, text);
        for (size_t i = 0; i < fields->n_lines; i++)
                words |= !fields->lines[i].value;
        /* The file has no field that identifies it: it is empty or was truncated in its first line. */
        if (fields->version == 0 && !(fields->of_1 && (words || g_str_has_prefix(text, HEADER_OF_1))))
                fields->bad = true;
        return fields;
}

StateFields *state_fields_salvage(const char *text, const char *prefix) {
        StateFields *fields = state_fields_new_for(text, prefix);

        state_fields_split(fields, text);
        fields->bad = true;
        return fields;
}

StateFields *state_fields_free(StateFields *fields) {
        if (!fields)
                return NULL;
        g_hash_table_unref(fields->by_key);
        g_free(fields->lines);
        g_free(fields->text);
        g_free(fields);
        return NULL;
}

uint64_t state_fields_version(const StateFields *fields) {
        return fields->version;
}

bool state_fields_of_1(const StateFields *fields) {
        return fields->of_1;
}

static StateLine *state_fields_find(const StateFields *fields, const char *key) {
        StateLine *line = g_hash_table_lookup(fields->by_key, key);

        return line && !line->taken ? line : NULL;
}

bool state_fields_have(const StateFields *fields, const char *key) {
        return state_fields_find(fields, key);
}

static StateLine *state_fields_take(StateFields *fields, const char *key) {
        StateLine *first = state_fields_find(fields, key);

        for (StateLine *line = first; line; line = line->next)
                line->taken = true;
        return first;
}

static StateLine *state_fields_take_only(StateFields *fields, const char *key) {
        StateLine *line = state_fields_take(fields, key);

        if (line && line->next)
                fields->bad = true;
        return line;
}

/* Returns the number of characters after the backslash that belong to the escape, or 0 if it is not valid or
 * stands for a NUL. */
static size_t value_unescape(const char *s, char *ret) {
        const char *letter = s[0] ? strchr(ESCAPE_LETTERS, s[0]) : NULL;

        if (letter) {
                *ret = ESCAPED_CHARACTERS[letter - ESCAPE_LETTERS];
                return 1;
        }
        unsigned c = 0;
        for (size_t i = 0; i < 3; i++) {
                if (s[i] < '0' || s[i] > '7')
                        return 0;
                c = c * 8 + (unsigned) (s[i] - '0');
        }
        *ret = (char) c;
        return c > 0 && c <= UINT8_MAX ? 3 : 0;
}

static char *state_fields_decode(StateFields *fields, const char *value) {
        char *text = g_malloc(strlen(value) + 1), *to = text;

        for (;;) {
                const char *backslash = strchrnul(value, '\\');

                to = mempcpy(to, value, (size_t) (backslash - value));
                if (*backslash == '\0')
                        break;
                size_t n = value_unescape(backslash + 1, to);
                if (n == 0) {
                        fields->bad = true;
                        break;
                }
                to++;
                value = backslash + 1 + n;
        }
        *to = '\0';
        if (!utf8_is_valid(text)) {
                fields->bad = true;
                text[0] = '\0';
        }
        return text;
}

char *state_take_string(StateFields *fields, const char *key) {
        StateLine *line = state_fields_take_only(fields, key);

        return line ? state_fields_decode(fields, line->value) : NULL;
}

char *state_take_raw(StateFields *fields, const char *key) {
        StateLine *line = state_fields_take_only(fields, key);

        return line ? g_strdup(line->value) : NULL;
}

char **state_take_strv(StateFields *fields, const char *key) {
        StateLine *first = state_fields_take(fields, key);

        if (!first)
                return NULL;
        g_autoptr(GPtrArray) values = g_ptr_array_new();
        for (StateLine *line = first; line; line = line->next)
                g_ptr_array_add(values, state_fields_decode(fields, line->value));
        g_ptr_array_add(values, NULL);
        return (char **) g_ptr_array_free(g_steal_pointer(&values), false);
}

uint64_t state_take_u64_max(StateFields *fields, const char *key, uint64_t max) {
        StateLine *line = state_fields_take_only(fields, key);
        uint64_t value = 0;

        if (line && (parse_u64(line->value, &value) < 0 || value > max)) {
                fields->bad = true;
                return 0;
        }
        return value;
}

uint64_t state_take_u64(StateFields *fields, const char *key) {
        return state_take_u64_max(fields, key, UINT64_MAX);
}

int32_t state_take_i32(StateFields *fields, const char *key, int32_t fallback) {
        StateLine *line = state_fields_take_only(fields, key);
        int32_t value = fallback;

        if (line && parse_i32(line->value, &value) < 0)
                fields->bad = true;
        return value;
}

bool state_take_bool(StateFields *fields, const char *key) {
        return state_take_u64_max(fields, key, 1) != 0;
}

pid_t state_take_pid(StateFields *fields, const char *key) {
        return (pid_t) state_take_u64_max(fields, key, INT32_MAX);
}

void state_take_caller(StateFields *fields, const char *key, Caller *caller) {
        g_autofree char *uid = g_strconcat(key, "_UID", NULL), *pid = g_strconcat(key, "_PID", NULL),
                        *unit = g_strconcat(key, "_UNIT", NULL);

        caller->known = state_fields_have(fields, uid);
        caller->uid = (uid_t) state_take_u64_max(fields, uid, UINT32_MAX);
        caller->pid = state_take_pid(fields, pid);
        caller->unit = state_take_string(fields, unit);
}

char **state_take_words(StateFields *fields) {
        g_autoptr(GPtrArray) words = g_ptr_array_new();

        for (size_t i = 0; i < fields->n_lines; i++)
                if (!fields->lines[i].value && !fields->lines[i].taken) {
                        fields->lines[i].taken = true;
                        g_ptr_array_add(words, g_strdup(fields->lines[i].key));
                }
        if (words->len == 0)
                return NULL;
        g_ptr_array_add(words, NULL);
        return (char **) g_ptr_array_free(g_steal_pointer(&words), false);
}

bool state_take_next(StateFields *fields, char **ret_key, char **ret_value) {
        while (fields->n_seen < fields->n_lines) {
                StateLine *line = &fields->lines[fields->n_seen++];

                if (!line->value || line->taken || g_str_has_prefix(line->key, fields->prefix))
                        continue;
                *ret_key = g_strdup(line->key);
                *ret_value = state_take_string(fields, line->key);
                return true;
        }
        return false;
}

int state_fields_end(StateFields *fields, char **ret_unknown) {
        g_autoptr(GString) unknown = g_string_new(NULL);

        for (size_t i = 0; i < fields->n_lines; i++) {
                const StateLine *line = &fields->lines[i];

                if (line->taken)
                        continue;
                if (!line->value)
                        fields->bad = true;
                else
                        g_string_append_printf(unknown, "%s=%s\n", line->key, line->value);
        }
        if (fields->bad)
                return -EBADMSG;
        *ret_unknown = unknown->len > 0 ? g_string_free(g_steal_pointer(&unknown), false) : NULL;
        return 0;
}

/* Writing */

GString *state_fields_new(const char *prefix, unsigned version, const char *unknown) {
        GString *s = g_string_sized_new(1024);

        g_string_append(s, HEADER);
        g_string_append(s, prefix);
        state_put_u64(s, "VERSION", version);
        if (unknown)
                g_string_append(s, unknown);
        return s;
}

static void state_put_key(GString *s, const char *key) {
        g_string_append(s, key);
        g_string_append_c(s, '=');
}

/* All characters except printable ASCII are escaped. */
static void state_put_value(GString *s, const char *value) {
        const char *plain = value;

        for (const char *p = value; *p; p++) {
                const uint8_t c = (uint8_t) *p;

                if (c >= ' ' && c < 0x7f && c != '\\' && c != '"')
                        continue;
                g_string_append_len(s, plain, p - plain);
                plain = p + 1;
                g_string_append_c(s, '\\');
                const char *escaped = strchr(ESCAPED_CHARACTERS, *p);
                if (escaped) {
                        g_string_append_c(s, ESCAPE_LETTERS[escaped - ESCAPED_CHARACTERS]);
                        continue;
                }
                g_string_append_c(s, (char) ('0' + (c >> 6)));
                g_string_append_c(s, (char) ('0' + (c >> 3 & 7)));
                g_string_append_c(s, (char) ('0' + (c & 7)));
        }
        g_string_append(s, plain);
        g_string_append_c(s, '\n');
}

void state_put_string(GString *s, const char *key, const char *value) {
        if (!value)
                return;
        state_put_key(s, key);
        state_put_value(s, value);
}

void state_put_strv(GString *s, const char *key, char **values) {
        for (char **v = values; v && *v; v++)
                state_put_string(s, key, *v);
}

static void state_put_number(GString *s, uint64_t value) {
        char digits[sizeof("18446744073709551615")], *p = digits + sizeof(digits) - 1;

        *p = '\0';
        do
                *--p = (char) ('0' + value % 10);
        while ((value /= 10) > 0);
        g_string_append(s, p);
        g_string_append_c(s, '\n');
}

void state_put_u64(GString *s, const char *key, uint64_t value) {
        state_put_key(s, key);
        state_put_number(s, value);
}

void state_put_nonzero(GString *s, const char *key, uint64_t value) {
        if (value != 0)
                state_put_u64(s, key, value);
}

void state_put_i64(GString *s, const char *key, int64_t value) {
        state_put_key(s, key);
        if (value < 0)
                g_string_append_c(s, '-');
        state_put_number(s, value < 0 ? -(uint64_t) value : (uint64_t) value);
}

void state_put_caller(GString *s, const char *key, const Caller *caller) {
        if (!caller || !caller->known)
                return;
        g_string_append(s, key);
        state_put_u64(s, "_UID", caller->uid);
        g_string_append(s, key);
        state_put_i64(s, "_PID", caller->pid);
        if (caller->unit) {
                g_string_append(s, key);
                state_put_string(s, "_UNIT", caller->unit);
        }
}

void state_put_word(GString *s, const char *prefix, const char *word) {
        g_string_append(s, prefix);
        g_string_append(s, word);
        g_string_append_c(s, '\n');
}

char *state_fields_finish(GString *s) {
        g_autofree char *checksum = checksum_line(s->str, s->len);

        g_string_append(s, checksum);
        return g_string_free(s, false);
}

/* Files */

static int state_text_parse(
        const StateFile *file, const char *text, size_t size, StateParser parse, void *userdata) {
        if (strlen(text) != size)
                return -EBADMSG;
        g_autoptr(StateFields) fields = state_fields_parse(text, file->prefix ?: "");
        return fields->bad ? -EBADMSG : parse(userdata, fields);
}

/* A NUL ends no line of a file that was written whole, so nothing is lost if it ends one here. */
static void state_text_salvage(const StateFile *file, char *text, size_t size, void *userdata) {
        for (size_t i = 0; i < size; i++)
                if (text[i] == '\0')
                        text[i] = '\n';
        g_autoptr(StateFields) fields = state_fields_salvage(text, file->prefix ?: "");
        file->salvage(userdata, fields);
}

#define ASIDE_MAX 9

int state_set_aside(int dir_fd, const char *name, const char *suffix) {
        g_autofree char *aside = g_strconcat(name, suffix, NULL);
        int r = renameat(dir_fd, name, dir_fd, aside) < 0 ? -errno : 0;

        /* A directory does not replace a file, nor a file a directory. */
        for (unsigned i = 2; r < 0 && i <= ASIDE_MAX; i++) {
                g_autofree char *other = g_strdup_printf("%s%u", aside, i);

                r = renameat(dir_fd, name, dir_fd, other) < 0 ? -errno : 0;
        }
        if (r < 0)
                log_error_errno(r, "Cannot rename the damaged \"%s\", ignoring: %m", name);
        return r;
}

int state_directory_open(int dir_fd, const char *name) {
        int fd = directory_make_at(dir_fd, name);

        if (fd != -ENOTDIR && fd != -ELOOP)
                return fd;
        (void) log_error_errno(fd, "\"%s\" is not a directory, renaming it to \"%s.damaged\"", name, name);
        int r = state_set_aside(dir_fd, name, ".damaged");
        return r < 0 ? r : directory_make_at(dir_fd, name);
}

StateFileResult state_file_load(const StateFile *file, int dir_fd, StateParser parse, void *userdata) {
        _cleanup_free_ char *text = NULL; /* allocated by libc */
        size_t size = 0;

        if (dir_fd < 0)
                return STATE_FILE_NONE;

        int r = file_read_own(dir_fd, file->name, file->max, &text, &size);
        if (r == -ENOENT)
                return STATE_FILE_NONE;
        if (r >= 0)
                r = state_text_parse(file, text, size, parse, userdata);
        if (r >= 0)
                return STATE_FILE_READ;

        const char *suffix = file->aside ?: ".damaged";
        const char *reason = r == -EBADFD ? "It is not a regular file" : g_strerror(-r);
        (void) log_error_errno(r, "Cannot read %s, renaming its file to \"%s%s\"%s: %s", file->what,
                file->name, suffix, file->consequence ?: "", reason);
        if (text && file->salvage)
                state_text_salvage(file, text, size, userdata);
        (void) state_set_aside(dir_fd, file->name, suffix);
        return STATE_FILE_DAMAGED;
}

int state_file_save(const StateFile *file, int dir_fd, GString *s) {
        g_autofree char *text = state_fields_finish(s);

        if (dir_fd < 0)
                return 0;
        return file->durable ? file_replace_durable(dir_fd, file->name, text, strlen(text))
                             : file_replace(dir_fd, file->name, text, strlen(text));
}

void state_file_forget(const StateFile *file, int dir_fd) {
        if (dir_fd >= 0 && unlinkat(dir_fd, file->name, 0) < 0 && errno != ENOENT)
                log_warning_errno(errno, "Cannot remove the saved file \"%s\", ignoring: %m", file->name);
}
