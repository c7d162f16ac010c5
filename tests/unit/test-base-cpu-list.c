/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Lists of CPUs in the syntax of systemd, and their shortest form. */

#include "unit-test.h"

#include "base/cpu-list.h"
#include "base/macro.h"

static void test_lists(void **state) {
        static const struct {
                const char *text, *shortest;
        } table[] = {
                { "0", "0" },
                { "3 1 2", "1-3" },
                { "0-3 5", "0-3 5" },
                { "0-3,5", "0-3 5" },
                { " 7 , 8\t9\n", "7-9" },
                { "5-5", "5" },
                { "1-4 2-6", "1-6" },
                { "63 64", "63-64" },
                { "8191", "8191" },
                { "0-8191", "0-8191" },
                { "0 2 4", "0 2 4" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                CpuList list = { 0 }, again = { 0 };
                _cleanup_free_ char *text = NULL;

                assert_int_equal(cpu_list_parse(table[i].text, &list), 0);
                text = cpu_list_format(&list);
                assert_string_equal(text, table[i].shortest);
                assert_int_equal(cpu_list_parse(text, &again), 0);
                assert_memory_equal(&list, &again, sizeof(list));
        }
}

/* Each CPU is the bit of its number, as the kernel wants it. */
static void test_bits(void **state) {
        const unsigned n = 8 * sizeof(unsigned long);
        CpuList list = { 0 };
        _cleanup_free_ char *all = NULL, *none = NULL;

        assert_int_equal(cpu_list_parse("0", &list), 0);
        assert_int_equal(list.bits[0], 1);
        assert_int_equal(cpu_list_parse("3", &list), 0); /* adds */
        assert_int_equal(list.bits[0], 9);
        assert_int_equal(cpu_list_parse("8191", &list), 0);
        assert_true(list.bits[CPU_LIST_MAX / n - 1] == 1UL << (n - 1));

        list = (CpuList){ 0 };
        none = cpu_list_format(&list);
        assert_string_equal(none, "");
        for (unsigned i = 0; i < CPU_LIST_MAX; i += 2)
                list.bits[i / n] |= 1UL << i % n;
        all = cpu_list_format(&list); /* the longest text */
        assert_int_equal(strlen(all), 5 * 1 + 45 * 2 + 450 * 3 + 3596 * 4 + 4095);
}

static void test_refused(void **state) {
        static const struct {
                const char *text;
                int error;
        } table[] = {
                { "", -EINVAL },
                { " , ", -EINVAL },
                { "numa", -EINVAL },
                { "1 x", -EINVAL },
                { "-1", -EINVAL },
                { "1-", -EINVAL },
                { "3-1", -EINVAL },
                { "1-2-3", -EINVAL },
                { "+1", -EINVAL },
                { "0x1", -EINVAL },
                { "1.5", -EINVAL },
                { "8192", -ERANGE },
                { "0-8192", -ERANGE },
                { "99999999999999999999", -ERANGE },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                CpuList list = { 0 };

                if (cpu_list_parse(table[i].text, &list) != table[i].error)
                        fail_msg("\"%s\" gives no error %d", table[i].text, table[i].error);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_lists),
                cmocka_unit_test(test_bits),
                cmocka_unit_test(test_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
