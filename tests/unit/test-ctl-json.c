/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* JSON of one host as a part of the JSON of several. */

#include "unit-test.h"

#include "base/macro.h"
#include "ctl/json.h"

static void test_member(void **state) {
        static const struct {
                const char *json, *expected;
        } cases[] = {
                { "[]", "" },
                { "[ ]", "" },
                { "{}", "{\"host\":\"h\"}" },
                { "[{}]", "{\"host\":\"h\"}" },
                { "{\"a\":1}", "{\"host\":\"h\",\"a\":1}" },
                { " [{\"a\":[1,{\"b\":2}]}, {\"c\":null}]\n",
                        "{\"host\":\"h\",\"a\":[1,{\"b\":2}]},{\"host\":\"h\",\"c\":null}" },
                { "[{\"a\":\"},{\\\"]\"},{\"b\":\"\\\\\"}]",
                        "{\"host\":\"h\",\"a\":\"},{\\\"]\"},{\"host\":\"h\",\"b\":\"\\\\\"}" },
                { "\"debug\"", "{\"host\":\"h\",\"value\":\"debug\"}" },
                { "[1,\"a,b\",[2,3]]",
                        "{\"host\":\"h\",\"value\":1},{\"host\":\"h\",\"value\":\"a,b\"},{\"host\":\"h\",\"value\":[2,3]}" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                g_autoptr(GString) out = g_string_new(NULL);

                json_append_with_member(out, cases[i].json, "host", "h");
                assert_string_equal(out->str, cases[i].expected);
        }
}

/* What comes after something that is there already has a comma before it, and text is escaped. */
static void test_comma(void **state) {
        g_autoptr(GString) out = g_string_new(NULL);

        json_append_with_member(out, "[{\"a\":1}]", "host", "h\"");
        json_append_with_member(out, "[]", "host", "i");
        json_append_with_member(out, "2", "host", "j");
        assert_string_equal(out->str, "{\"host\":\"h\\\"\",\"a\":1},{\"host\":\"j\",\"value\":2}");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_member),
                cmocka_unit_test(test_comma),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
