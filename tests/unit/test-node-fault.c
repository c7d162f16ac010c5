/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "test-world.h"

#include "model/fault.h"

static void test_first_reason_stays(void **state) {
        g_auto(Fault) fault = {};

        assert_int_equal(fault_set(&fault, NODE_ERROR_NO_SUCH_ROLE, "no %s, %d", "cam", 7), -ENOENT);
        assert_int_equal(fault.error, NODE_ERROR_NO_SUCH_ROLE);
        assert_string_equal(fault.message, "no cam, 7");

        /* The second call returns its own errno, but the first error is kept as the cause. */
        assert_int_equal(fault_set(&fault, NODE_ERROR_ROLE_EXISTS, "later"), -EEXIST);
        assert_int_equal(fault.error, NODE_ERROR_NO_SUCH_ROLE);
        assert_string_equal(fault.message, "no cam, 7");
}

/* The bus refuses a reply that is not valid UTF-8. */
static void test_utf8(void **state) {
        g_auto(Fault) fault = {};

        (void) fault_set(&fault, NODE_ERROR_INVALID_ARGS, "%s is no key", "\xff\xc3");
        assert_string_equal(fault.message, "\xef\xbf\xbd\xef\xbf\xbd is no key");
}

static void test_nobody_asks(void **state) {
        for (int i = 0; i < _NODE_ERROR_MAX; i++)
                assert_int_equal(fault_set(NULL, (NodeError) i, "nobody reads it"),
                        -node_error_to_errno((NodeError) i));
}

/* A request of which no caller waits for the result has no function. */
static void test_waiter(void **state) {
        g_auto(Told) success = {}, unset = {}, failed = {};
        g_auto(Fault) none = {}, fault = {};

        (void) fault_set(&fault, NODE_ERROR_NO_INPUT, "one");
        waiter_wake((Waiter){}, NULL);
        waiter_wake((Waiter){}, &fault);
        waiter_wake(told_by(&success), NULL);
        assert_told_success(&success);
        waiter_wake(told_by(&unset), &none);
        assert_told_success(&unset);
        waiter_wake(told_by(&failed), &fault);
        assert_int_equal(failed.n, 1);
        assert_int_equal(failed.error, NODE_ERROR_NO_INPUT);
        assert_string_equal(failed.message, "one");
}

static void test_clear(void **state) {
        Fault fault = {};

        fault_clear(&fault);
        assert_null(fault.message);
        (void) fault_set(&fault, NODE_ERROR_NO_INPUT, "one");
        fault_clear(&fault);
        assert_null(fault.message);
        (void) fault_set(&fault, NODE_ERROR_INPUT_FULL, "two");
        assert_int_equal(fault.error, NODE_ERROR_INPUT_FULL);
        assert_string_equal(fault.message, "two");
        fault_clear(&fault);
}

static void test_copy(void **state) {
        g_auto(Fault) from = {}, to = {}, empty = {};

        fault_copy(&to, &empty);
        assert_null(to.message);

        /* A message that looks like a format is not formatted again. */
        (void) fault_set(&from, NODE_ERROR_EXEC_FAILED, "%s", "100%s %n");
        fault_copy(&to, &from);
        assert_int_equal(to.error, NODE_ERROR_EXEC_FAILED);
        assert_string_equal(to.message, "100%s %n");
        assert_ptr_not_equal(to.message, from.message);

        fault_copy(&from, &empty);
        assert_string_equal(from.message, "100%s %n");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_first_reason_stays),
                cmocka_unit_test(test_utf8),
                cmocka_unit_test(test_nobody_asks),
                cmocka_unit_test(test_waiter),
                cmocka_unit_test(test_clear),
                cmocka_unit_test(test_copy),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
