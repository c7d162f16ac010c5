/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Strict parsing, times, sizes, signals, names of roles, instances and units, and exit statuses. */

#include <ctype.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "unit-test.h"

#include "base/exit-status.h"
#include "base/macro.h"
#include "base/parse-util.h"
#include "base/time-util.h"
#include "base/unit-name.h"

static void test_parse_u64(void **state) {
        static const char *const bad[] = { "", " ", " 1", "1 ", "+1", "-1", "-0", "0x10", "1.0", "1e3", "a",
                "1a", "\n", "1\n", "99999999999999999999999x" };
        uint64_t v = 7;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(parse_u64(bad[i], &v), -EINVAL);
        assert_int_equal(parse_u64(NULL, &v), -EINVAL);
        assert_int_equal(parse_u64("18446744073709551616", &v), -ERANGE);
        assert_int_equal(parse_u64("18446744073709551620", &v), -ERANGE);
        assert_int_equal(parse_u64("100000000000000000000000", &v), -ERANGE);
        assert_int_equal(v, 7); /* not changed on failure */

        assert_int_equal(parse_u64("0", &v), 0);
        assert_int_equal(v, 0);
        assert_int_equal(parse_u64("00042", &v), 0);
        assert_int_equal(v, 42);
        assert_int_equal(parse_u64("18446744073709551615", &v), 0);
        assert_true(v == UINT64_MAX);
}

static void test_parse_u32(void **state) {
        uint32_t v = 7;

        assert_int_equal(parse_u32("4294967296", &v), -ERANGE);
        assert_int_equal(parse_u32("18446744073709551616", &v), -ERANGE);
        assert_int_equal(parse_u32("-1", &v), -EINVAL);
        assert_int_equal(parse_u32("", &v), -EINVAL);
        assert_int_equal(v, 7);
        assert_int_equal(parse_u32("4294967295", &v), 0);
        assert_true(v == UINT32_MAX);
}

static void test_parse_i32(void **state) {
        int32_t v = 7;

        assert_int_equal(parse_i32("2147483648", &v), -ERANGE);
        assert_int_equal(parse_i32("-2147483649", &v), -ERANGE);
        assert_int_equal(parse_i32("--1", &v), -EINVAL);
        assert_int_equal(parse_i32("-", &v), -EINVAL);
        assert_int_equal(parse_i32("+1", &v), -EINVAL);
        assert_int_equal(parse_i32("- 1", &v), -EINVAL);
        assert_int_equal(parse_i32(NULL, &v), -EINVAL);
        assert_int_equal(v, 7);
        assert_int_equal(parse_i32("2147483647", &v), 0);
        assert_int_equal(v, INT32_MAX);
        assert_int_equal(parse_i32("-2147483648", &v), 0);
        assert_int_equal(v, INT32_MIN);
        assert_int_equal(parse_i32("-5", &v), 0);
        assert_int_equal(v, -5);
}

static void test_boolean(void **state) {
        static const char *const words[2][7] = { { "0", "no", "n", "FALSE", "f", "Off", " no\t" },
                { "1", "yes", "y", "True", "t", "ON", " yes\n" } };
        static const char *const bad[] = { "", " ", "2", "ye", "yess", "yes no", "00" };

        for (int value = 0; value < 2; value++)
                for (size_t i = 0; i < ELEMENTSOF(words[value]); i++) {
                        bool b = !value;

                        assert_return_code(parse_boolean(words[value][i], &b), 0);
                        assert_int_equal(b, value);
                }
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                bool b = true;

                assert_int_equal(parse_boolean(bad[i], &b), -EINVAL);
                assert_true(b);
        }
}

typedef struct Parsed {
        const char *text;
        int result;
        uint64_t value;
} Parsed;

static void expect_parsed(const Parsed *expected, int r, uint64_t value) {
        if (r != expected->result || value != (r < 0 ? 42 : expected->value))
                fail_msg("\"%s\": %d, %" PRIu64, expected->text, r, value);
}

/* The values of systemd.time(7) and more. */
static void test_time(void **state) {
        static const Parsed table[] = {
                { "30", 0, 30 * USEC_PER_SEC },
                { "0", 0, 0 },
                { "1us", 0, 1 },
                { "1usec 1\u00b5s 1\u03bcs", 0, 3 },
                { "20ms", 0, 20 * USEC_PER_MSEC },
                { "1 msec", 0, USEC_PER_MSEC },
                { "2 h", 0, 7200 * USEC_PER_SEC },
                { "2hours", 0, 7200 * USEC_PER_SEC },
                { "48hr", 0, 172800 * USEC_PER_SEC },
                { "1y 12month", 0, 63115200 * USEC_PER_SEC },
                { "2M", 0, 5259600 * USEC_PER_SEC },
                { "2m", 0, 120 * USEC_PER_SEC },
                { "55s500ms", 0, 55500 * USEC_PER_MSEC },
                { "300ms20s 5day", 0, 432020300 * USEC_PER_MSEC },
                { "1week 1days", 0, 691200 * USEC_PER_SEC },
                { "2min", 0, 120 * USEC_PER_SEC },
                { "1h 1min 1s", 0, 3661 * USEC_PER_SEC },
                { "1min30s", 0, 90 * USEC_PER_SEC },
                { " 1min\t30 ", 0, 90 * USEC_PER_SEC },
                { "1.5s", 0, 1500 * USEC_PER_MSEC },
                { ".5s", 0, 500 * USEC_PER_MSEC },
                { "0.0000009s", 0, 0 }, /* less than a microsecond */
                { "1.5us", 0, 1 },
                { "1.0000019s", 0, 1000001 },
                { "0.1234567s", 0, 123456 },
                { "infinity", 0, USEC_INFINITY },
                { " infinity ", 0, USEC_INFINITY },
                { "18446744073709551614us", 0, USEC_INFINITY - 1 },
                { "", -EINVAL, 0 },
                { " ", -EINVAL, 0 },
                { "s", -EINVAL, 0 },
                { "-1", -EINVAL, 0 },
                { "+1", -EINVAL, 0 },
                { "1.s", -EINVAL, 0 },
                { ".", -EINVAL, 0 },
                { "1S", -EINVAL, 0 },
                { "1se", -EINVAL, 0 },
                { "1s,", -EINVAL, 0 },
                { "1 parsec", -EINVAL, 0 },
                { "Infinity", -EINVAL, 0 },
                { "infinity 1s", -EINVAL, 0 },
                { "20000000000000", -ERANGE, 0 },
                { "99999999999999999999", -ERANGE, 0 },
                { "99999999999999999999x", -EINVAL, 0 },
                { "18446744073709551615us", -ERANGE, 0 }, /* not infinity by chance */
                { "18446744073709551615us 1us", -ERANGE, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                uint64_t usec = 42;
                int r = parse_time(table[i].text, USEC_PER_SEC, &usec);

                expect_parsed(&table[i], r, usec);
        }
        uint64_t usec = 0;
        assert_return_code(parse_time("7 1ms", 1, &usec), 0);
        assert_int_equal(usec, 1007);
}

static void test_size(void **state) {
        static const Parsed table[] = {
                { "0", 0, 0 },
                { "1", 0, 1 },
                { "1B", 0, 1 },
                { "16K", 0, 16384 },
                { "3M", 0, 3145728 },
                { "2G", 0, UINT64_C(2) << 30 },
                { "2T", 0, UINT64_C(2) << 40 },
                { "2P", 0, UINT64_C(2) << 50 },
                { "2E", 0, UINT64_C(2) << 60 },
                { " 1 K ", 0, 1024 },
                { "1.5K", 0, 1536 },
                { "18446744073709551615", 0, UINT64_MAX },
                { "", -EINVAL, 0 },
                { "K", -EINVAL, 0 },
                { "1k", -EINVAL, 0 },
                { "1KB", -EINVAL, 0 },
                { "1KiB", -EINVAL, 0 },
                { "1K 1", -EINVAL, 0 },
                { "-1", -EINVAL, 0 },
                { "1.K", -EINVAL, 0 },
                { "infinity", -EINVAL, 0 },
                { "99999999999999999999", -ERANGE, 0 },
                { "18446744073709551615K", -ERANGE, 0 },
                { "16E", -ERANGE, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                uint64_t size = 42;
                int r = parse_size(table[i].text, &size);

                expect_parsed(&table[i], r, size);
        }
}

static void test_signal(void **state) {
        const Parsed table[] = {
                { "1", 0, SIGHUP },
                { "15", 0, SIGTERM },
                { "64", 0, 64 },
                { "SIGTERM", 0, SIGTERM },
                { "TERM", 0, SIGTERM },
                { "SIGUSR1", 0, SIGUSR1 },
                { "KILL", 0, SIGKILL },
                { "RTMIN", 0, (uint64_t) SIGRTMIN },
                { "SIGRTMIN+3", 0, (uint64_t) SIGRTMIN + 3 },
                { "RTMAX-2", 0, (uint64_t) SIGRTMAX - 2 },
                { "SIGRTMAX", 0, (uint64_t) SIGRTMAX },
                { "0", -ERANGE, 0 },
                { "65", -ERANGE, 0 },
                { "4294967311", -ERANGE, 0 },
                { "RTMIN+99", -ERANGE, 0 },
                { "", -EINVAL, 0 },
                { "SIG", -EINVAL, 0 },
                { "SIGSIGTERM", -EINVAL, 0 },
                { "sigterm", -EINVAL, 0 },
                { "TERM ", -EINVAL, 0 },
                { "-15", -EINVAL, 0 },
                { "RTMIN-1", -EINVAL, 0 },
                { "RTMAX+1", -EINVAL, 0 },
                { "RTMIN+", -EINVAL, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                int signo = 42;
                int r = parse_signal(table[i].text, &signo);

                expect_parsed(&table[i], r, (uint64_t) signo);
        }
}

static void test_role_names(void **state) {
        static const char *const good[] = { "a", "Z", "0", "cam", "ccd-sim.2_b", "a..", "0-" };
        static const char *const bad[] = { "", ".", "-a", "_a", "a b", "a/b", "a@b", "a\n", "é", "a\xff",
                "a:b", "*" };
        char name[ROLE_NAME_MAX + 2];

        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                assert_true(role_name_is_valid(good[i]));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_false(role_name_is_valid(bad[i]));
        assert_false(role_name_is_valid(NULL));

        memset(name, 'x', sizeof(name));
        name[ROLE_NAME_MAX + 1] = '\0';
        assert_false(role_name_is_valid(name));
        name[ROLE_NAME_MAX] = '\0';
        assert_true(role_name_is_valid(name));
}

static void expect_suggested(const char *text, const char *expected) {
        _cleanup_free_ char *name = role_name_suggest(text), *again = NULL;

        if (!expected) {
                if (name)
                        fail_msg("\"%s\" is suggested for \"%s\"", name, text);
                return;
        }
        if (!name || strcmp(name, expected) != 0)
                fail_msg("\"%s\" is suggested for \"%s\", not \"%s\"", name ? name : "nothing", text,
                        expected);
        assert_true(role_name_is_valid(name));
        again = role_name_suggest(name);
        assert_string_equal(again, name);
}

static void test_suggested_names(void **state) {
        static const char *const table[][2] = {
                { "ZWO CCD", "ZWO_CCD" },
                { "cam", "cam" },
                { "ccd-sim.2_b", "ccd-sim.2_b" },
                { "a..", "a.." },
                { "a__b_", "a__b_" },
                { "a \t\n b", "a_b" },
                { "a/b@c:d", "a_b_c_d" },
                { "a _ b", "a_b" },
                { "a_ b", "a_b" },
                { "a _b", "a_b" },
                { "-a", "a" },
                { "_.-/ 0a", "0a" },
                { "cam ", "cam" },
                { "cam (old)", "cam_old" },
                { "cam_ ", "cam_" },
                { "T\u00e9lescope 2 (nord)", "T_lescope_2_nord" },
                { "\u00e4\u00f6a", "a" },
                { "a\u00e4\u00f6\U0001f52d", "a" },
                { "a\u00e4\u00f6b", "a_b" },
                { "a\xff\xc3", "a" }, /* no UTF-8 */
                { "a\xc3z", "a_z" },
                { "", NULL },
                { " ", NULL },
                { "_.-", NULL },
                { "\u00e4", NULL },
                { NULL, NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                expect_suggested(table[i][0], table[i][1]);
}

/* Whatever the text is, the name is valid, and as long as it can be. */
static void test_suggested_lengths(void **state) {
        char text[3 * ROLE_NAME_MAX], expected[ROLE_NAME_MAX + 1];

        for (size_t n = 1; n < sizeof(text); n++) {
                memset(text, 'x', n);
                text[n] = '\0';
                (void) snprintf(expected, sizeof(expected), "%.*s", ROLE_NAME_MAX, text);
                expect_suggested(text, expected);
        }
        /* A '_' that replaces something has a character after it. */
        for (size_t n = 1; n < sizeof(text) - 2; n++) {
                memset(text, 'x', n);
                strcpy(text + n, " y");
                (void) snprintf(expected, sizeof(expected), "%.*s", ROLE_NAME_MAX, text);
                if (n == ROLE_NAME_MAX - 1)
                        expected[n] = '\0';
                else if (n < ROLE_NAME_MAX)
                        expected[n] = '_';
                expect_suggested(text, expected);
        }
}

static void test_suggested_bytes(void **state) {
        uint64_t random = 1;

        for (unsigned a = 1; a < 256; a++)
                for (unsigned b = 1; b < 256; b++) {
                        const char text[] = { (char) a, (char) b, '\0' };
                        _cleanup_free_ char *name = role_name_suggest(text);

                        assert_true(!name || role_name_is_valid(name));
                        if (role_name_is_valid(text))
                                assert_string_equal(name, text);
                        if (!name) {
                                assert_false(isalnum((int) a) || isalnum((int) b));
                                continue;
                        }
                        assert_true(isalnum((int) a) || isalnum((int) b));
                }
        for (unsigned i = 0; i < 100000; i++) {
                char text[2 * ROLE_NAME_MAX];
                const size_t n = i % (sizeof(text) - 1);

                for (size_t k = 0; k < n; k++) {
                        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
                        text[k] = (char) (random >> 56);
                        if (text[k] == '\0' || (i % 2 > 0 && !role_name_is_valid((char[]){ text[k], '\0' })))
                                text[k] = 'a';
                }
                text[n] = '\0';
                _cleanup_free_ char *name = role_name_suggest(text);
                assert_true(!name || role_name_is_valid(name));
                if (role_name_is_valid(text))
                        assert_string_equal(name, text);
        }
}

static void test_instance_names(void **state) {
        static const char *const good[] = { "main", "_", "A0", "x_y" };
        static const char *const bad[] = { "", "0a", "a-b", "a.b", "a b", "a/", "é" };

        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                assert_true(instance_name_is_valid(good[i]));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_false(instance_name_is_valid(bad[i]));
        assert_false(instance_name_is_valid(NULL));
        assert_true(instance_name_is_valid("abcdefghijabcdefghijabcdefghij12"));
        assert_false(instance_name_is_valid("abcdefghijabcdefghijabcdefghij123"));
}

static void test_scope_names(void **state) {
        static const char *const foreign[] = { "", "architect-main-.scope", "architect-main-cam.service",
                "architect-main-cam", "architect-mai-cam.scope", "architect-main2-cam.scope",
                "architect-main-cam.scop", "xarchitect-main-cam.scope", "architect-main-a@b.scope",
                "architect-main--a.scope", "architect-main-.a.scope", "architect-main.slice", ".scope",
                "architect-main-cam.scope " };
        static const char *const roles[] = { "cam", "a-b-c", "cam.scope", "x.y_z-0" };
        char *role = NULL;

        for (size_t i = 0; i < ELEMENTSOF(roles); i++) {
                char *unit = role_scope_name("main", roles[i]);

                assert_non_null(unit);
                assert_int_equal(role_scope_name_parse("main", unit, &role), 0);
                assert_string_equal(role, roles[i]);
                free(role);
                role = NULL;
                assert_int_equal(role_scope_name_parse("other", unit, &role), -EINVAL);
                assert_null(role);
                free(unit);
        }

        for (size_t i = 0; i < ELEMENTSOF(foreign); i++)
                assert_int_equal(role_scope_name_parse("main", foreign[i], &role), -EINVAL);
        assert_int_equal(role_scope_name_parse("main", NULL, &role), -EINVAL);
        assert_int_equal(role_scope_name_parse("a-b", "architect-a-b-c.scope", &role), -EINVAL);
        assert_null(role);

        assert_null(role_scope_name("main", "a/b"));
        assert_null(role_scope_name("a-b", "c"));
        assert_string_equal(role = role_scope_name("main", "cam"), "architect-main-cam.scope");
        free(role);
}

static void test_exit_status(void **state) {
        ExitCode code;
        int status;

        /* All values that wait(2) can return have 16 bits. */
        for (int w = 0; w <= 0xffff; w++) {
                int r = exit_status_from_wait(w, &code, &status);

                if (w == 0xffff || (w & 0xff) == 0x7f || (w & 0xff) == 0xff || (w & 0xff) == 0x80) {
                        assert_int_equal(r, -EINVAL); /* continued, stopped, or invalid */
                        continue;
                }
                assert_int_equal(r, 0);
                if ((w & 0x7f) == 0) {
                        assert_int_equal(code, EXIT_CODE_EXITED);
                        assert_int_equal(status, w >> 8);
                } else {
                        assert_int_equal(code, w & 0x80 ? EXIT_CODE_DUMPED : EXIT_CODE_KILLED);
                        assert_int_equal(status, w & 0x7f);
                }
        }

        code = EXIT_CODE_LOST;
        status = -1;
        assert_int_equal(exit_status_from_wait(-1, &code, &status), -EINVAL);
        assert_int_equal(exit_status_from_wait(0x10000, &code, &status), -EINVAL);
        assert_int_equal(exit_status_from_wait(SIGSTOP << 8 | 0x7f, &code, &status), -EINVAL);
        assert_int_equal(code, EXIT_CODE_LOST);
        assert_int_equal(status, -1);
}

static void test_usec_add(void **state) {
        assert_true(usec_add(0, 0) == 0);
        assert_true(usec_add(2, 3) == 5);
        assert_true(usec_add(USEC_INFINITY - 1, 1) == USEC_INFINITY);
        assert_true(usec_add(USEC_INFINITY - 1, 2) == USEC_INFINITY);
        assert_true(usec_add(7, USEC_INFINITY) == USEC_INFINITY);
        assert_true(usec_add(USEC_INFINITY, 7) == USEC_INFINITY);
        assert_true(usec_add(USEC_INFINITY, USEC_INFINITY) == USEC_INFINITY);
}

static void test_timeouts(void **state) {
        assert_int_equal(timeout_until(5, 5), 0);
        assert_int_equal(timeout_until(4, 5), 0);
        assert_int_equal(timeout_until(6, 5), 1);
        assert_int_equal(timeout_until(1999, 0), 2);
        assert_int_equal(timeout_until(USEC_INFINITY, 1), INT_MAX);
        assert_int_equal(timeout_sooner(-1, -1), -1);
        assert_int_equal(timeout_sooner(-1, 0), 0);
        assert_int_equal(timeout_sooner(3, -1), 3);
        assert_int_equal(timeout_sooner(3, 2), 2);
        assert_int_equal(timeout_sooner(2, 3), 2);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_parse_u64),
                cmocka_unit_test(test_parse_u32),
                cmocka_unit_test(test_parse_i32),
                cmocka_unit_test(test_boolean),
                cmocka_unit_test(test_time),
                cmocka_unit_test(test_size),
                cmocka_unit_test(test_signal),
                cmocka_unit_test(test_role_names),
                cmocka_unit_test(test_suggested_names),
                cmocka_unit_test(test_suggested_lengths),
                cmocka_unit_test(test_suggested_bytes),
                cmocka_unit_test(test_instance_names),
                cmocka_unit_test(test_scope_names),
                cmocka_unit_test(test_exit_status),
                cmocka_unit_test(test_usec_add),
                cmocka_unit_test(test_timeouts),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
