/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The saved files: what is written is read back unchanged, unknown fields are kept, and no damaged file is
 * accepted. */

#include "test-directory.h"
#include "test-world.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "model/env.h"
#include "model/state-fields.h"

#define CHECKSUM "# CHECKSUM="
#define HEADER_OF_1 "# This is private data of architect-node. Do not parse.\n"

static int teardown(void **state) {
        static const char *const files[] = { "file", "file.damaged", "file~odd", "environment",
                "environment.damaged", "shutdown", "shutdown.damaged", NULL };

        return directory_teardown(state, files);
}

/* All types that a file can contain. */
typedef struct Content {
        char *string;
        char **list;
        char **words;
        uint64_t zero, largest;
        int32_t least;
        pid_t pid;
        bool yes, no;
        RoleStdin kind;
        Caller caller;
        char *unknown;
} Content;

static void content_clear(Content *c) {
        g_free(c->string);
        g_strfreev(c->list);
        g_strfreev(c->words);
        caller_clear(&c->caller);
        g_free(c->unknown);
        *c = (Content){};
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Content, content_clear)

static GString *write_content(const char *prefix, const char *string, const char *unknown) {
        char *list[] = { "a", "", "b=c", "# no comment", NULL };
        char unit[] = "a\\x2db.service";
        const Caller caller = { .known = true, .uid = 4294967294U, .pid = 12, .unit = unit };
        GString *s = state_fields_new(prefix, 7, unknown);

        state_put_string(s, "STRING", string);
        state_put_string(s, "ABSENT", NULL);
        state_put_strv(s, "LIST", list);
        state_put_strv(s, "NO_LIST", NULL);
        state_put_word(s, "-", "word");
        state_put_word(s, "", "1 2");
        state_put_u64(s, "ZERO", 0);
        state_put_u64(s, "LARGEST", UINT64_MAX);
        state_put_i64(s, "LEAST", INT32_MIN);
        state_put_i64(s, "LEAST_OF_64", INT64_MIN);
        state_put_u64(s, "PID", INT32_MAX);
        state_put_nonzero(s, "YES", true);
        state_put_nonzero(s, "NO", false);
        state_put_enum(s, "KIND", role_stdin, ROLE_STDIN_PTY);
        state_put_caller(s, "CALLER", &caller);
        state_put_caller(s, "NOBODY", &(const Caller){});
        return s;
}

static int read_content(void *userdata, StateFields *fields) {
        Content *c = userdata;

        c->string = state_take_string(fields, "STRING");
        c->list = state_take_strv(fields, "LIST");
        c->words = state_take_words(fields);
        c->zero = state_take_u64(fields, "ZERO");
        c->largest = state_take_u64(fields, "LARGEST");
        c->least = state_take_i32(fields, "LEAST", 3);
        g_autofree char *least_of_64 = state_take_string(fields, "LEAST_OF_64");
        c->pid = state_take_pid(fields, "PID");
        c->yes = state_take_bool(fields, "YES");
        c->no = state_take_bool(fields, "NO");
        c->kind = state_take_enum(fields, "KIND", role_stdin, ROLE_STDIN_PIPE);
        state_take_caller(fields, "CALLER", &c->caller);
        if (least_of_64)
                assert_string_equal(least_of_64, "-9223372036854775808");
        return state_fields_end(fields, &c->unknown);
}

static void test_round_trip(void **state) {
        static const char *const strings[] = { "", "plain", "a \"b\"\n# c\nX=1\\", "\t\v\b\f\r\x01\x7f\x1b",
                "\xc3\xa4\xe2\x98\x82\xf0\x9f\x94\xad", "\\n\\303", "# CHECKSUM=0" };

        for (size_t i = 0; i < ELEMENTSOF(strings); i++) {
                g_autofree char *text = state_fields_finish(write_content("", strings[i], NULL));
                g_autoptr(StateFields) fields = state_fields_parse(text, "");
                g_auto(Content) c = {};

                assert_int_equal(state_fields_version(fields), 7);
                assert_false(state_fields_of_1(fields));
                assert_true(state_fields_have(fields, "STRING"));
                assert_false(state_fields_have(fields, "ABSENT"));
                assert_return_code(read_content(&c, fields), 0);
                assert_string_equal(c.string, strings[i]);
                assert_int_equal(g_strv_length(c.list), 4);
                assert_string_equal(c.list[1], "");
                assert_string_equal(c.list[2], "b=c");
                assert_string_equal(c.list[3], "# no comment");
                assert_int_equal(g_strv_length(c.words), 2);
                assert_string_equal(c.words[0], "-word");
                assert_string_equal(c.words[1], "1 2");
                assert_true(c.zero == 0 && c.largest == UINT64_MAX && c.least == INT32_MIN);
                assert_int_equal(c.pid, INT32_MAX);
                assert_true(c.yes && !c.no);
                assert_int_equal(c.kind, ROLE_STDIN_PTY);
                assert_true(c.caller.known);
                assert_true(c.caller.uid == 4294967294U);
                assert_int_equal(c.caller.pid, 12);
                assert_string_equal(c.caller.unit, "a\\x2db.service");
                assert_null(c.unknown);

                /* A field that was taken does not exist any more. */
                assert_false(state_fields_have(fields, "STRING"));
                assert_null(state_take_string(fields, "STRING"));
                assert_int_equal(state_take_i32(fields, "LEAST", 3), 3);
        }
        assert_null(state_fields_free(NULL));
}

/* The exact contents on disk. sha256sum(1) calculates the same checksum. */
static void test_form(void **state) {
        GString *s = state_fields_new("", 1, NULL);

        state_put_string(s, "A", "\"x\"\n\\ \xc3\xa4\x7f");
        state_put_i64(s, "B", -1);
        state_put_caller(s, "C", &(const Caller){ .known = true, .uid = 1, .pid = 2 });
        g_autofree char *text = state_fields_finish(s);
        assert_string_equal(text,
                "# Private data of architect-node, with a checksum. Do not parse.\nVERSION=1\n"
                "A=\\\"x\\\"\\n\\\\ \\303\\244\\177\nB=-1\nC_UID=1\nC_PID=2\n"
                "# CHECKSUM=8a00d53234d7700fdb252086620b2415feaa9e353b90f4990664f1557f499588\n");
}

static void test_unknown(void **state) {
        static const char unknown[] = "NEWER=1\nCOLOUR=a\\303b \\\" = \nNEWER=2\n=\n",
                          hashed[] = "#NEW=\\\"x\n";
        g_autofree char *text = state_fields_finish(write_content("", "x", unknown)), *again = NULL;
        g_autoptr(StateFields) fields = state_fields_parse(text, "");
        g_auto(Content) c = {};

        assert_return_code(read_content(&c, fields), 0);
        assert_string_equal(c.unknown, unknown); /* not even its escapes are checked */
        again = state_fields_finish(write_content("", "x", c.unknown));
        assert_string_equal(text, again);

        /* Where the other keys are names, they are not taken for unknown fields. */
        GString *s = state_fields_new("#", 3, hashed);
        state_put_string(s, "NAME", "1");
        state_put_string(s, "VERSION", "a name as any other");
        g_autofree char *env = state_fields_finish(s);
        g_autoptr(StateFields) names = state_fields_parse(env, "#");
        g_autofree char *key = NULL, *value = NULL, *key2 = NULL, *value2 = NULL, *kept = NULL;

        assert_int_equal(state_fields_version(names), 3);
        assert_true(state_take_next(names, &key, &value));
        assert_string_equal(key, "NAME");
        assert_string_equal(value, "1");
        assert_true(state_take_next(names, &key2, &value2));
        assert_string_equal(key2, "VERSION");
        assert_false(state_take_next(names, &(char *){ NULL }, &(char *){ NULL }));
        assert_return_code(state_fields_end(names, &kept), 0);
        assert_string_equal(kept, hashed);
}

static int end_of(const char *text, Content *c) {
        g_autoptr(StateFields) fields = state_fields_parse(text, "");

        return read_content(c, fields);
}

static void assert_damaged(const char *text) {
        g_auto(Content) c = {};

        if (end_of(text, &c) != -EBADMSG)
                fail_msg("was accepted: %s", text);
}

static const StateFile file = { .name = "file", .max = 4096, .what = "a file", .aside = "~odd" };

static void assert_file_damaged(Directory *d, const char *text, size_t size, const char *what, size_t n) {
        g_auto(Content) c = {};
        _cleanup_free_ char *aside = NULL;
        size_t aside_size;

        assert_return_code(file_replace(d->fd, "file", text, size), 0);
        if (state_file_load(&file, d->fd, read_content, &c) != STATE_FILE_DAMAGED)
                fail_msg("was accepted with %s %zu", what, n);
        assert_int_equal(faccessat(d->fd, "file", F_OK, 0), -1);
        /* The file was renamed, with its contents. */
        assert_return_code(file_read(d->fd, "file~odd", 4096, &aside, &aside_size), 0);
        assert_int_equal(aside_size, size);
        assert_memory_equal(aside, text, size);
}

static void test_cut_anywhere(void **state) {
        Directory *d = *state;
        g_autofree char *text = state_fields_finish(write_content("", "some \xc3\xa4", "NEWER=x\n"));

        for (size_t n = 0; n < strlen(text); n++)
                assert_file_damaged(d, text, n, "so many bytes:", n);
}

static void test_flipped_anywhere(void **state) {
        Directory *d = *state;
        g_autofree char *text = state_fields_finish(write_content("", "some \xc3\xa4", "NEWER=x\n"));
        const size_t size = strlen(text);
        g_auto(Content) c = {};

        for (size_t bit = 0; bit < size * 8; bit++) {
                text[bit / 8] ^= (char) (1U << bit % 8);
                assert_file_damaged(d, text, size, "flipped bit", bit);
                text[bit / 8] ^= (char) (1U << bit % 8);
        }
        assert_return_code(file_replace(d->fd, "file", text, size), 0);
        assert_int_equal(state_file_load(&file, d->fd, read_content, &c), STATE_FILE_READ);
}

/* Without its first and its last line it would be a file of 0.1.0. */
static void test_flipped_in_both_lines(void **state) {
        Directory *d = *state;
        g_autofree char *text = state_fields_finish(write_content("", "x", NULL));
        const size_t size = strlen(text), first = strcspn(text, "\n"), last = strlen("# CHECKSUM=");

        for (size_t i = 1; i < first; i++)
                for (size_t k = 2; k < last; k++) {
                        char *at = strstr(text, "# CHECKSUM=") + k;

                        text[i] ^= 1;
                        *at ^= 1;
                        assert_file_damaged(d, text, size, "flipped bits in both lines", i);
                        text[i] ^= 1;
                        *at ^= 1;
                }
}

static void test_zeroed_anywhere(void **state) {
        Directory *d = *state;
        g_autofree char *text = state_fields_finish(write_content("", "x", NULL));
        const size_t size = strlen(text);

        for (size_t n = 1; n <= size; n++) {
                g_autofree char *head = g_memdup2(text, size), *tail = g_memdup2(text, size);

                memset(head, 0, n);
                memset(tail + size - n, 0, n);
                assert_file_damaged(d, head, size, "so many zeros in front:", n);
                assert_file_damaged(d, tail, size, "so many zeros at the end:", n);
        }
        assert_file_damaged(
                d, HEADER_OF_1 "VERSION=1\n\0STRING=x\n", sizeof(HEADER_OF_1) + 20, "a NUL in it", 1);
}

static void test_without_checksum(void **state) {
        g_autofree char *text = state_fields_finish(state_fields_new("", 1, "STRING=x\n"));
        const char *body = strchr(text, '\n') + 1, *checksum = strstr(text, CHECKSUM);
        g_autofree char *head = g_strndup(text, (gsize) (checksum - text)),
                        *of_none = g_strconcat(head, CHECKSUM "\n", NULL),
                        *twice = g_strconcat(text, checksum, NULL),
                        *more = g_strconcat(text, "ZERO=1\n", NULL), *blank = g_strconcat(text, "\n", NULL),
                        *unended = g_strndup(text, strlen(text) - 1),
                        *capitals = g_ascii_strup(checksum + strlen(CHECKSUM), -1),
                        *upper = g_strconcat(head, CHECKSUM, capitals, NULL);

        assert_damaged(head);
        assert_damaged(of_none);
        assert_damaged(twice);
        assert_damaged(more);
        assert_damaged(blank);
        assert_damaged(unended);
        assert_damaged(upper);
        assert_damaged(body); /* only the checksum shows that there was a first line */

        /* Complete, but without a valid version. */
        g_autofree char *of_0 = state_fields_finish(state_fields_new("", 0, NULL)),
                        *of_x = state_fields_finish(state_fields_new("", 1, "VERSION=2\n"));
        assert_damaged(of_0);
        assert_damaged(of_x);
}

/* Files of version 0.1.0, with the lines of newer versions that it has kept. */
static void test_of_1(void **state) {
        static const char *const good[] = { HEADER_OF_1 "VERSION=1\nSTRING=x\n", HEADER_OF_1 "STRING=x\n",
                HEADER_OF_1, "VERSION=1\n", "VERSION=4711\nSTRING=x", "1 2\n",
                "# any comment\n\nVERSION=1\n# CHECKSUM=0 is not the last line\nSTRING=x\n" };
        static const char *const bad[] = { "", "\n", "# This is priv", "# Private data of arch", "STRING=x\n",
                HEADER_OF_1 "VERSION=-1\n", HEADER_OF_1 "VERSION=x\n", HEADER_OF_1 "VERSION=1\nVERSION=1\n" };

        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                g_autoptr(StateFields) fields = state_fields_parse(good[i], "");
                g_auto(Content) c = {};

                assert_true(state_fields_of_1(fields));
                c.string = state_take_string(fields, "STRING");
                assert_true(!c.string || g_str_equal(c.string, "x"));
                c.words = state_take_words(fields);
                assert_return_code(state_fields_end(fields, &c.unknown), 0);
                assert_null(c.unknown);
        }
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_damaged(bad[i]);
}

#define OF_1 HEADER_OF_1 "VERSION=1\n"

static void test_bad_values(void **state) {
        static const char *const bad[] = {
                /* strings that the bus would refuse */
                OF_1 "STRING=\xff\n",
                OF_1 "STRING=\\377\n",
                OF_1 "STRING=\\303\n",
                OF_1 "STRING=\\300\\200\n",
                OF_1 "STRING=\\355\\240\\200\n",
                OF_1 "STRING=\\364\\220\\200\\200\n",
                OF_1 "STRING=\\357\\277\\276\n",
                OF_1 "STRING=\\357\\267\\220\n",
                OF_1 "STRING=\\360\\237\\277\\277\n",
                OF_1 "LIST=a\nLIST=\\377\n",
                OF_1 "CALLER_UID=0\nCALLER_UNIT=\\377\n",
                /* invalid escapes */
                OF_1 "STRING=\\000\n",
                OF_1 "STRING=\\\n",
                OF_1 "STRING=\\x41\n",
                OF_1 "STRING=\\12\n",
                OF_1 "STRING=\\400\n",
                OF_1 "NEWER=\\\\\\\n",
                /* duplicates */
                OF_1 "STRING=a\nSTRING=a\n",
                OF_1 "ZERO=0\nZERO=0\n",
                OF_1 "LEAST=0\nLEAST=0\n",
                OF_1 "KIND=pty\nKIND=pty\n",
                OF_1 "CALLER_UID=0\nCALLER_UID=0\n",
                /* numbers */
                OF_1 "LARGEST=18446744073709551616\n",
                OF_1 "LARGEST=99999999999999999999999999999999\n",
                OF_1 "LARGEST=-1\n",
                OF_1 "LARGEST=+1\n",
                OF_1 "LARGEST= 1\n",
                OF_1 "LARGEST=1 \n",
                OF_1 "LARGEST=0x1\n",
                OF_1 "LARGEST=\n",
                OF_1 "LEAST=2147483648\n",
                OF_1 "LEAST=-2147483649\n",
                OF_1 "PID=2147483648\n",
                OF_1 "PID=-1\n",
                OF_1 "YES=2\n",
                OF_1 "YES=true\n",
                OF_1 "CALLER_UID=4294967296\n",
                OF_1 "CALLER_UID=root\n",
                OF_1 "KIND=tty\n",
                OF_1 "KIND=\n",
        };
        g_auto(Content) c = {};

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_damaged(bad[i]);
        assert_return_code(end_of(OF_1 "STRING=\xc3\xa4\\303\\244\\357\\277\\275\n", &c), 0);
        assert_string_equal(c.string, "\xc3\xa4\xc3\xa4\xef\xbf\xbd");

        /* A line that is not taken. */
        g_autoptr(StateFields) fields = state_fields_parse(OF_1 "half a li", "");
        assert_int_equal(state_fields_end(fields, &c.unknown), -EBADMSG);
}

static void assert_set_aside(Directory *d, const char *aside, mode_t type) {
        g_auto(Content) c = {};
        struct stat st;

        (void) alarm(10); /* in case it is waited for */
        assert_int_equal(state_file_load(&file, d->fd, read_content, &c), STATE_FILE_DAMAGED);
        (void) alarm(0);
        assert_int_equal(faccessat(d->fd, "file", F_OK, AT_SYMLINK_NOFOLLOW), -1);
        assert_return_code(fstatat(d->fd, aside, &st, AT_SYMLINK_NOFOLLOW), errno);
        assert_int_equal(st.st_mode & S_IFMT, type);
        assert_return_code(unlinkat(d->fd, aside, type == S_IFDIR ? AT_REMOVEDIR : 0), errno);
}

static void test_not_regular(void **state) {
        Directory *d = *state;
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        autofd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        g_auto(Content) c = {};

        assert_int_equal(state_file_load(&file, d->fd, read_content, &c), STATE_FILE_NONE);

        assert_return_code(mkfifoat(d->fd, "file", 0600), errno);
        assert_set_aside(d, "file~odd", S_IFIFO);

        /* Its content is not read either. */
        assert_return_code(mkfifoat(d->fd, "file", 0600), errno);
        autofd writer = openat(d->fd, "file", O_RDWR | O_CLOEXEC);
        assert_return_code(writer, errno);
        assert_int_equal(write(writer, "VERSION=1\n", 10), 10);
        assert_set_aside(d, "file~odd", S_IFIFO);

        assert_return_code(mkdirat(d->fd, "file", 0700), errno);
        assert_set_aside(d, "file~odd", S_IFDIR);

        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s/file", d->path);
        assert_return_code(bind(fd, (struct sockaddr *) &address, sizeof(address)), errno);
        assert_set_aside(d, "file~odd", S_IFSOCK);

        assert_return_code(symlinkat("/dev/zero", d->fd, "file"), errno);
        assert_set_aside(d, "file~odd", S_IFLNK);
        assert_return_code(symlinkat("/dev/null", d->fd, "file"), errno);
        assert_set_aside(d, "file~odd", S_IFLNK);

        /* Larger than any file that is written. */
        g_autofree char *large = g_strnfill(file.max + 1, '\n');
        assert_return_code(file_replace(d->fd, "file", large, file.max + 1), 0);
        assert_set_aside(d, "file~odd", S_IFREG);
}

static void test_files(void **state) {
        Directory *d = *state;
        static const StateFile plain = { .name = "file", .max = 4096, .what = "a file" };
        g_auto(Content) c = {}, other = {};

        assert_return_code(state_file_save(&plain, -1, write_content("", "nowhere", NULL)), 0);
        assert_return_code(state_file_save(&plain, d->fd, write_content("", "x", NULL)), 0);
        assert_int_equal(state_file_load(&plain, d->fd, read_content, &c), STATE_FILE_READ);
        assert_string_equal(c.string, "x");
        state_file_forget(&plain, d->fd);
        state_file_forget(&plain, d->fd);
        state_file_forget(&plain, -1);
        assert_int_equal(state_file_load(&plain, d->fd, read_content, &other), STATE_FILE_NONE);

        assert_return_code(file_replace(d->fd, "file", "VERSION=x\n", 10), 0);
        assert_int_equal(state_file_load(&plain, d->fd, read_content, &other), STATE_FILE_DAMAGED);
        assert_return_code(faccessat(d->fd, "file.damaged", F_OK, 0), errno);
}

/* The file whose keys are names. If it was cut at any position, it must not be read as a shorter list of
 * variables. */
static void test_environment(void **state) {
        Directory *d = *state;
        _cleanup_free_ char *text = NULL;
        size_t size;

        Env *env = NULL;
        assert_return_code(env_open(d->fd, &env), 0);
        assert_return_code(env_set(env, 0, "A", "1", NULL), 0);
        assert_return_code(env_set(env, 0, "B", "line\n\xc3\xa4", NULL), 0);
        assert_return_code(env_unset(env, 0, "PATH", NULL), 0);
        assert_null(env_close(env));
        assert_return_code(file_read(d->fd, "environment", 4096, &text, &size), 0);
        for (size_t n = 0; n < size; n++) {
                const char *value;

                assert_return_code(file_replace(d->fd, "environment", text, n), 0);
                assert_return_code(env_open(d->fd, &env), 0);
                assert_int_equal(env_get(env, 0, "A", &value, NULL), -ENODATA);
                assert_return_code(env_get(env, 0, "PATH", &value, NULL), 0);
                assert_null(env_close(env));
                assert_return_code(unlinkat(d->fd, "environment.damaged", 0), errno);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_round_trip),
                cmocka_unit_test(test_form),
                cmocka_unit_test(test_unknown),
                cmocka_unit_test_setup_teardown(test_cut_anywhere, directory_setup, teardown),
                cmocka_unit_test_setup_teardown(test_flipped_anywhere, directory_setup, teardown),
                cmocka_unit_test_setup_teardown(test_flipped_in_both_lines, directory_setup, teardown),
                cmocka_unit_test_setup_teardown(test_zeroed_anywhere, directory_setup, teardown),
                cmocka_unit_test(test_without_checksum),
                cmocka_unit_test(test_of_1),
                cmocka_unit_test(test_bad_values),
                cmocka_unit_test_setup_teardown(test_not_regular, directory_setup, teardown),
                cmocka_unit_test_setup_teardown(test_files, directory_setup, teardown),
                cmocka_unit_test_setup_teardown(test_environment, directory_setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
