/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Memory is returned once for many objects, a while after them, and never otherwise. */

#include "unit-test.h"

#include "base/trim.h"

static unsigned n_trims;

int __wrap_malloc_trim(size_t pad);
int __wrap_malloc_trim(size_t pad) {
        assert_int_equal(pad, 0);
        n_trims++;
        return 1;
}

static void free_some(Trim *trim, unsigned n, uint64_t now) {
        for (unsigned i = 0; i < n; i++)
                assert_false(trim_freed(trim, now));
}

static void test_trim(void **state) {
        const uint64_t start = 5000000;
        Trim trim = { 0 };

        n_trims = 0;
        assert_int_equal(trim_run(&trim, start), -1);
        free_some(&trim, TRIM_OBJECTS - 1, start);
        assert_int_equal(trim_run(&trim, UINT64_MAX), -1);
        assert_int_equal(n_trims, 0);

        assert_true(trim_freed(&trim, start));
        assert_int_equal(trim.due_usec, start + TRIM_DELAY_USEC);
        assert_int_equal(trim_run(&trim, start), TRIM_DELAY_USEC / 1000 + 1);
        /* More of them do not delay it. */
        free_some(&trim, 3 * TRIM_OBJECTS, start + TRIM_DELAY_USEC - 1);
        assert_int_equal(trim_run(&trim, start + TRIM_DELAY_USEC - 1), 1);
        assert_int_equal(n_trims, 0);
        assert_int_equal(trim_run(&trim, start + TRIM_DELAY_USEC), -1);
        assert_int_equal(n_trims, 1);

        /* Nothing wakes up until there is something to do again. */
        assert_int_equal(trim_run(&trim, UINT64_MAX), -1);
        free_some(&trim, TRIM_OBJECTS - 1, start);
        assert_int_equal(trim_run(&trim, UINT64_MAX), -1);
        assert_int_equal(n_trims, 1);
        assert_true(trim_freed(&trim, start));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_trim),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
