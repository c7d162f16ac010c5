/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What may be sent over the bus. */

#include "unit-test.h"

#include "base/utf8.h"

static void test_valid(void **state) {
        static const char *const all[] = { "", "a", "\x01\x7f", "\xc3\xa4", "\xe2\x82\xac",
                "\xf0\x9f\x98\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xb7\x8f", "\xef\xb7\xb0",
                "\xef\xbf\xbd", "\xf4\x8f\xbf\xbd", "a\xc3\xa4z" };

        for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
                if (!utf8_is_valid(all[i]))
                        fail_msg("was refused: number %zu", i);
        assert_int_equal(utf8_length(""), 0);
        assert_int_equal(utf8_length("\xf0\x9f\x98\x80"), 4);
}

static void test_invalid(void **state) {
        static const char *const all[] = { "\xff", "a\x80", "\xc3", "\xc3z", "\xc0\x80", "\xc1\xbf",
                "\xe0\x9f\xbf", "\xe2\x82", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
                "\xed\xa0\x80",
                /* noncharacters */
                "\xef\xbf\xbe", "\xef\xbf\xbf", "\xef\xb7\x90", "\xef\xb7\xaf", "\xf0\x9f\xbf\xbe",
                "\xf4\x8f\xbf\xbf" };

        for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
                if (utf8_is_valid(all[i]))
                        fail_msg("was accepted: number %zu", i);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_valid),
                cmocka_unit_test(test_invalid),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
