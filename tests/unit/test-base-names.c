/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Strict parsing, times, names of roles, instances and units, and exit statuses. */

#include <signal.h>
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

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_parse_u64),
                cmocka_unit_test(test_parse_u32),
                cmocka_unit_test(test_parse_i32),
                cmocka_unit_test(test_role_names),
                cmocka_unit_test(test_instance_names),
                cmocka_unit_test(test_scope_names),
                cmocka_unit_test(test_exit_status),
                cmocka_unit_test(test_usec_add),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
