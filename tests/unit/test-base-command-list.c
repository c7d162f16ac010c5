/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Several commands in one list. */

#include "unit-test.h"

#include "base/command-list.h"
#include "base/macro.h"

static void test_valid(void **state) {
        static char *lists[][8] = {
                { NULL },
                { "1", "x" },
                { "3", "-x", "", "2" },
                { "1", "x", "2", "y", "1" },
        };

        assert_true(command_list_is_valid(NULL));
        for (size_t i = 0; i < ELEMENTSOF(lists); i++)
                assert_true(command_list_is_valid(lists[i]));
}

static void test_invalid(void **state) {
        static char *lists[][8] = {
                { "" },
                { "x" },
                { "0" },
                { "1" },
                { "-1", "x" },
                { "2", "x" },
                { "4294967295", "x" },
                { "4294967296", "x" },
                { "1", "" },
                { "1", "-" },
                { "1", "x", "y" },
        };

        for (size_t i = 0; i < ELEMENTSOF(lists); i++)
                assert_false(command_list_is_valid(lists[i]));
}

static void test_walk(void **state) {
        char *all[] = { "3", "-x", "", "2", "1", "y", NULL };
        char *const *list = all, *const * words;
        size_t n = 0;

        words = command_list_next(&list, &n);
        assert_ptr_equal(words, all + 1);
        assert_int_equal(n, 3);
        words = command_list_next(&list, &n);
        assert_ptr_equal(words, all + 5);
        assert_int_equal(n, 1);
        assert_null(command_list_next(&list, &n));
        assert_int_equal(command_list_count(all), 2);
        assert_int_equal(command_list_count(NULL), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_valid),
                cmocka_unit_test(test_invalid),
                cmocka_unit_test(test_walk),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
