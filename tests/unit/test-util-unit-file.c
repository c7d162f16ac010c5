/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The syntax of unit files. */

#include "syntax-cases.h"

#include "base/macro.h"
#include "util/config-files.h"
#include "util/unit-file.h"

#define MARK "\xef\xbb\xbf"

static char *read_all(const char *text, size_t size) {
        /* Exactly this size, so that a sanitizer detects each access beyond it. */
        g_autofree char *copy = g_malloc(size + 1);
        GString *items = g_string_new(NULL);
        UnitFile file;
        int r;

        memcpy(copy, text, size);
        copy[size] = '\0';
        unit_file_init(&file, copy, size);
        while ((r = unit_file_next(&file)) > 0) {
                if (items->len > 0)
                        g_string_append_c(items, '|');
                if (file.key)
                        g_string_append_printf(
                                items, "%u:%s.%s=%s", file.line, file.section, file.key, file.value);
                else {
                        assert_null(file.value);
                        g_string_append_printf(items, "%u:[%s]", file.line, file.section);
                }
        }
        if (r < 0) {
                assert_int_equal(r, -EBADMSG);
                g_string_append_printf(items, "%s%u!%s", items->len > 0 ? "|" : "", file.line, file.reason);
        }
        /* The end, also after an error. */
        assert_int_equal(unit_file_next(&file), 0);
        return g_string_free(items, FALSE);
}

static void test_items(void **state) {
        static const SyntaxCase cases[] = {
                { "", "" },
                { "\n\n", "" },
                { "[A]", "1:[A]" },
                { "[A]\nk=v\n", "1:[A]|2:A.k=v" },
                { "[A]\nk=v", "1:[A]|2:A.k=v" }, /* without an end of the last line */
                { "[A]\nk=\n", "1:[A]|2:A.k=" },
                { "[A]\nk",
                        "1:[A]|2!the line is neither a section header nor an assignment, which has a \"=\"" },
                { "[A]\n\n\nk=v\n", "1:[A]|4:A.k=v" },
                /* Order, repeated keys and sections, and empty values are the caller's. */
                { "[A]\nk=1\nl=2\nk=\nk=3\n[B]\nk=4\n[A]\nk=5\n",
                        "1:[A]|2:A.k=1|3:A.l=2|4:A.k=|5:A.k=3|6:[B]|7:B.k=4|8:[A]|9:A.k=5" },
                /* Nothing in a value is changed. */
                { "[A]\nk = a = b # c ; d\n", "1:[A]|2:A.k=a = b # c ; d" },
                { "[A]\nk=\"a  b\" '\\s\\n\\x' %i $x\n", "1:[A]|2:A.k=\"a  b\" '\\s\\n\\x' %i $x" },
                { "[A]\nk=[B]\n", "1:[A]|2:A.k=[B]" },
                { "[A]\nk\xc3\xa4=\xe2\x82\xac\n", "1:[A]|2:A.k\xc3\xa4=\xe2\x82\xac" },
                { "[A]\nk[de]=v\nl.m n-o=v\n", "1:[A]|2:A.k[de]=v|3:A.l.m n-o=v" },
        };

        syntax_check(cases, ELEMENTSOF(cases), read_all);
}

static void test_white_space(void **state) {
        static const SyntaxCase cases[] = {
                { " \t[A]\t \n", "1:[A]" }, { "[ A ]\n", "1:[ A ]" },
                { "[A]\n \tk \t= \tv \t\n", "1:[A]|2:A.k=v" }, { "[A]\nk = \n", "1:[A]|2:A.k=" },
                { "[A]\nk= a \t b \n", "1:[A]|2:A.k=a \t b" }, { " \n\t\n[A]\n", "3:[A]" },
                { "[A]\nk=\v\f\n", "1:[A]|2:A.k=\v\f" }, /* not white space for systemd */
        };

        syntax_check(cases, ELEMENTSOF(cases), read_all);
}

static void test_comments(void **state) {
        static const SyntaxCase cases[] = {
                { "# a\n;b\n[A]\n  # c=d\n\t;[E]\nk=v\n", "3:[A]|6:A.k=v" },
                { "#", "" },
                { "[A]\n# a comment does not go on \\\nk=v\n", "1:[A]|3:A.k=v" },
                { "[A]\n#\xff\xfe is Latin 1\nk=v\n", "1:[A]|3:A.k=v" },
                { "[A] # no comment\n", "1!the section header does not end in \"]\"" },
        };

        syntax_check(cases, ELEMENTSOF(cases), read_all);
}

static void test_continuation(void **state) {
        static const SyntaxCase cases[] = {
                { "[A]\nk=1\\\n2\nl=3\n", "1:[A]|2:A.k=1 2|4:A.l=3" },
                { "[A]\nk=1 \\\n  2 \\\n\t3\nl=4\n", "1:[A]|2:A.k=1    2  \t3|5:A.l=4" },
                { "[A]\nk=\\\n\\\nv\n", "1:[A]|2:A.k=v" },
                { "[A]\nk\\\n=\\\nv\n", "1:[A]|2:A.k=v" },
                { "[A\\\nB]\nk=v\n", "1:[A B]|3:A B.k=v" },
                { "[A]\n\\\nk=v\n", "1:[A]|2:A.k=v" },
                { "\\\n[A]\nk=v\n", "1:[A]|3:A.k=v" },
                /* Comments inside are skipped, and a comment sign further on is none. */
                { "[A]\nk=1\\\n# x\n  ; y \\\n2\nl=3\n", "1:[A]|2:A.k=1 2|6:A.l=3" },
                { "[A]\nk=1\\\nx # y\n", "1:[A]|2:A.k=1 x # y" },
                { "[A]\n# x\\\n\\\nk=v\n", "1:[A]|3:A.k=v" },
                /* An empty line ends it, and so does the end of the text. */
                { "[A]\nk=1\\\n\nl=2\n", "1:[A]|2:A.k=1|4:A.l=2" },
                { "[A]\nk=1\\\n", "1:[A]|2:A.k=1" },
                { "[A]\nk=1\\", "1:[A]|2:A.k=1" },
                { "[A]\nk=1\\\n# x", "1:[A]|2:A.k=1" },
                { "\\", "" },
                /* The next line is part of the value, whatever it is. */
                { "[A]\nk=1\\\n[B]\\\nl=2\n", "1:[A]|2:A.k=1 [B] l=2" },
                /* Of backslashes only the last one of an odd number counts, at the very end of the line. */
                { "[A]\nk=1\\\\\nl=2\n", "1:[A]|2:A.k=1\\\\|3:A.l=2" },
                { "[A]\nk=1\\\\\\\n2\nl=3\n", "1:[A]|2:A.k=1\\\\ 2|4:A.l=3" },
                { "[A]\nk=1\\\\\\\n\\\nl=3\n", "1:[A]|2:A.k=1\\\\  l=3" },
                { "[A]\nk=1\\ \nl=2\n", "1:[A]|2:A.k=1\\|3:A.l=2" },
                /* The line of an error is the one in which the assignment begins. */
                { "[A]\nk\\\nl\\\nm\n",
                        "1:[A]|2!the line is neither a section header nor an assignment, which has a \"=\"" },
        };

        syntax_check(cases, ELEMENTSOF(cases), read_all);
}

static void test_line_ends(void **state) {
        static const SyntaxCase cases[] = {
                { "[A]\r\nk=v\r\n\r\nl=w\r\n", "1:[A]|2:A.k=v|4:A.l=w" },
                { "[A]\rk=v\r\rl=w\r", "1:[A]|2:A.k=v|4:A.l=w" },
                { "[A]\n\rk=v\n\r\n\rl=w\n\r", "1:[A]|2:A.k=v|4:A.l=w" },
                { "[A]\nk=1\\\r\n2\r\nl=3", "1:[A]|2:A.k=1 2|4:A.l=3" },
                { "[A]\n\n\r\n\nk=v", "1:[A]|5:A.k=v" },
        };

        syntax_check(cases, ELEMENTSOF(cases), read_all);
}

static void test_byte_order_mark(void **state) {
        static const SyntaxCase cases[] = {
                { MARK "[A]\nk=v\n", "1:[A]|2:A.k=v" },
                { MARK "# x\n[A]\n", "2:[A]" },
                { MARK, "" },
                { MARK "\n[A]\n", "2:[A]" },
                { "[A]\n" MARK "k=v\n", "1:[A]|2:A.k=v" },
                /* Once, and at the beginning of a line. */
                { MARK "[A]\n" MARK "k=v\n", "1:[A]|2:A." MARK "k=v" },
                { "[A]\n " MARK "k=" MARK "v\n", "1:[A]|2:A." MARK "k=" MARK "v" },
                { MARK MARK "[A]\n",
                        "1!the line is neither a section header nor an assignment, which has a \"=\"" },
        };

        syntax_check(cases, ELEMENTSOF(cases), read_all);
}

static void test_errors(void **state) {
#define NO_EQUALS "the line is neither a section header nor an assignment, which has a \"=\""
#define NO_BRACKET "the section header does not end in \"]\""
#define BAD_SECTION "the section header has characters that are not permitted in it"
#define NOT_UTF8 "the line is not UTF-8, or has characters that D-Bus does not permit"
#define NUL_BYTE "the line has a NUL byte"
        static const SyntaxCase cases[] = {
                { "\nk=v\n", "2!the assignment comes before the first section header" },
                { "k\n", "1!" NO_EQUALS },
                { "[A]\n\nk v\nl=w\n", "1:[A]|3!" NO_EQUALS },
                { "[A]\n = v\n", "1:[A]|2!there is no key before the \"=\"" },
                { "\n[A\nk=v\n", "2!" NO_BRACKET },
                { "[", "1!" NO_BRACKET },
                { "[A]x\n", "1!" NO_BRACKET },
                { "[]\nk=v\n", "1:[]|2:.k=v" }, /* an unknown section, for systemd, too */
                { "[[A]]\n", "1:[[A]]" },
                { "[A\\B]\n", "1!" BAD_SECTION },
                { "[\"A\"]\n", "1!" BAD_SECTION },
                { "['A']\n", "1!" BAD_SECTION },
                { "[A\tB]\n", "1!" BAD_SECTION },
                { "[A\x7f]\n", "1!" BAD_SECTION },
                { "[\xc3\xa4]\n", "1:[\xc3\xa4]" },
                { "[A]\nk=\xff\n", "1:[A]|2!" NOT_UTF8 },
                { "[A]\nk\xc3=v\n", "1:[A]|2!" NOT_UTF8 },
                { "[A\xff]\n", "1!" NOT_UTF8 },
                { "[A]\nk=\xef\xbf\xbe\n", "1:[A]|2!" NOT_UTF8 }, /* a noncharacter */
                /* The line of wrong bytes is their own, which nobody would find otherwise. */
                { "[A]\nk=1\\\n2\\\n\xff\n", "1:[A]|4!" NOT_UTF8 },
                { "[A]\nk=\xc3\\\n\xa4\n", "1:[A]|2!" NOT_UTF8 },
                { "[A]\nk=v\0w\n", "1:[A]|2!" NUL_BYTE, 10 },
                { "[A]\nk=1\\\n2\0\n", "1:[A]|3!" NUL_BYTE, 11 },
                { "# a\0b\n[A]\n", "1!" NUL_BYTE, 10 },
                { "[A]\n\0", "1:[A]|2!" NUL_BYTE, 5 },
                { "\0\n[A]\n", "1!" NUL_BYTE, 6 },
        };

        syntax_check(cases, ELEMENTSOF(cases), read_all);
}

/* A line as long as the file may be, of one piece and of many. To look at the whole line again for each piece
 * would take minutes. */
static void test_long(void **state) {
        GString *text = g_string_new("[A]\nk="), *expected = g_string_new("1:[A]|2:A.k=");
        size_t size = CONFIG_FILE_MAX - text->len;

        for (size_t i = 0; i < size; i++) {
                g_string_append_c(text, 'x');
                g_string_append_c(expected, 'x');
        }
        g_autofree char *items = read_all(text->str, text->len);
        assert_true(g_str_equal(items, expected->str));
        g_string_free(expected, TRUE);

        g_string_assign(text, "[A]\n");
        for (size_t i = 0; i < size / 4; i++)
                g_string_append(text, "\\\n#\n");
        g_string_append(text, "k=v\n");
        g_autofree char *pieces = read_all(text->str, text->len);
        assert_string_equal(pieces, "1:[A]|2:A.k=v");
        g_string_free(text, TRUE);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_items),
                cmocka_unit_test(test_white_space),
                cmocka_unit_test(test_comments),
                cmocka_unit_test(test_continuation),
                cmocka_unit_test(test_line_ends),
                cmocka_unit_test(test_byte_order_mark),
                cmocka_unit_test(test_errors),
                cmocka_unit_test(test_long),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
