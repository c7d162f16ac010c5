/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The syntax of Python's configparser. What is expected is what Python reads. */

#include "syntax-cases.h"

#include "base/macro.h"
#include "util/ini-file.h"

static char *read_items(const char *text, size_t size, bool inline_comments) {
        /* Exactly this size, so that a sanitizer detects each access beyond it. */
        g_autofree char *copy = g_malloc(size + 1);
        GString *items = g_string_new(NULL);
        IniFile file;
        int r;

        memcpy(copy, text, size);
        copy[size] = '\0';
        ini_file_init(&file, copy, size, inline_comments);
        while ((r = ini_file_next(&file)) > 0) {
                if (items->len > 0)
                        g_string_append_c(items, '|');
                if (file.key)
                        g_string_append_printf(
                                items, "%u:%s.%s=%s", file.line, file.section, file.key, file.value);
                else
                        g_string_append_printf(items, "%u:[%s]", file.line, file.section);
        }
        if (r < 0) {
                assert_int_equal(r, -EBADMSG);
                g_string_append_printf(items, "%s%u!%s", items->len > 0 ? "|" : "", file.line, file.reason);
        }
        /* The end, also after an error. */
        assert_int_equal(ini_file_next(&file), 0);
        return g_string_free(items, FALSE);
}

static char *read_all(const char *text, size_t size) {
        return read_items(text, size, true);
}

static char *read_all_without_inline(const char *text, size_t size) {
        return read_items(text, size, false);
}

static void test_items(void **state) {
        static const SyntaxCase cases[] = {
                { "", "" },
                { "\xef\xbb\xbf[a]", "1:[a]" },
                { "[a:b c]\nKey Two = v w \n", "1:[a:b c]|2:a:b c.key two=v w" },
                { "[a]\nk:v=w\nl=\nm=\"x ]\"", "1:[a]|2:a.k=v=w|3:a.l=|4:a.m=\"x ]\"" },
                { "[a] rest\r\nk=v\r\rl=w", "1:[a]|2:a.k=v|4:a.l=w" },
                { "\n [a]\n\n  k = v\n", "2:[a]|4:a.k=v" },
        };

        syntax_check(cases, ELEMENTSOF(cases), read_all);
}

static void test_comments(void **state) {
        static const SyntaxCase with[] = {
                { "; x\n  # y\n[a]\nk=v ; z\nl=v;w#x\nm = ; z\nn=a\t# b",
                        "3:[a]|4:a.k=v|5:a.l=v;w#x|6:a.m=|7:a.n=a" },
        };
        static const SyntaxCase without[] = {
                { "[a]\n;x\nk=v ; z\n", "1:[a]|3:a.k=v ; z" },
        };

        syntax_check(with, ELEMENTSOF(with), read_all);
        syntax_check(without, ELEMENTSOF(without), read_all_without_inline);
}

static void test_continuation(void **state) {
        static const SyntaxCase cases[] = {
                { "[a]\nk=v\n  w\n\tx\nl=y", "1:[a]|2:a.k=v\nw\nx|5:a.l=y" },
                { "[a]\nk=\n  files\n", "1:[a]|2:a.k=\nfiles" },
                /* As deep as the key is the next one. */
                { "[a]\n  k=v\n  l=w\n    x=y\n", "1:[a]|2:a.k=v|3:a.l=w\nx=y" },
                { "[a]\nk=v\n\n\n w\n\n[b]\n", "1:[a]|2:a.k=v\n\n\nw|7:[b]" },
                { "[a]\nk=v\n ; no\n w ; x\n# no\n y\n", "1:[a]|2:a.k=v\nw\ny" },
                { "[a]\nk=v\n [b]\n", "1:[a]|2:a.k=v\n[b]" },
        };

        syntax_check(cases, ELEMENTSOF(cases), read_all);
}

static void test_errors(void **state) {
        static const SyntaxCase cases[] = {
                { "k=v", "1!there is no section header, as [name], before this" },
                { "[a]\nword\nk=v", "1:[a]|2!the line is neither a section header nor an assignment" },
                { "[a\nk=v", "1!the section header does not end in \"]\"" },
                { "[]", "1!the section has no name" },
                { "[a]\n=v", "1:[a]|2!there is no key before the \"=\" or \":\"" },
                { "[a]\nk=\xff",
                        "1:[a]|2!the line is not UTF-8, or has characters that D-Bus does not permit" },
                { "[a]\nk=v\n \x01", "1:[a]|3!the line has a control character, so it is not text" },
                { "[a]\n;\0", "1:[a]|2!the line has a control character, so it is not text", 6 },
        };

        syntax_check(cases, ELEMENTSOF(cases), read_all);
}

/* A line of a megabyte, as many lines of one byte, and as many that go on with a value. */
static void test_long(void **state) {
        const size_t size = 1024 * 1024;
        g_autofree char *line = g_strnfill(size, 'x'), *assignment = g_strconcat("[a]\nk=", line, NULL),
                        *lines = g_strnfill(size, '\r'), *all = g_strconcat("[a]\nk=v", lines, "\n w", NULL);

        g_autofree char *first = read_all(assignment, strlen(assignment)),
                        *second = read_all(all, strlen(all));
        assert_int_equal(strlen(first), size + strlen("1:[a]|2:a.k="));
        assert_true(g_str_has_suffix(second, "\nw"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_items),
                cmocka_unit_test(test_comments),
                cmocka_unit_test(test_continuation),
                cmocka_unit_test(test_errors),
                cmocka_unit_test(test_long),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
