/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Each value of an enum of the model and of node-errors with a table has a name, the name is parsed back to
 * the value, and values outside the table are refused. */

#include "unit-test.h"

#include "model/ports.h"
#include "model/role-spec.h"
#include "model/role.h"
#include "proto/node-errors.h"

#define TEST_TABLE(name, type, max) \
        static void test_##name(void **state) { \
                for (int i = 0; i < (int) (max); i++) { \
                        const char *s = name##_to_string((type) i); \
                        assert_non_null(s); \
                        assert_string_not_equal(s, ""); \
                        assert_int_equal(name##_from_string(s), i); \
                } \
                assert_null(name##_to_string((type) (max))); \
                assert_null(name##_to_string((type) -1)); \
                assert_null(name##_to_string((type) -EINVAL)); \
                assert_int_equal(name##_from_string("no such name"), -EINVAL); \
                assert_int_equal(name##_from_string(""), -EINVAL); \
                assert_int_equal(name##_from_string(NULL), -EINVAL); \
        } \
        struct name##_test_semicolon

TEST_TABLE(role_state, RoleState, _ROLE_STATE_MAX);
TEST_TABLE(role_phase, RolePhase, _ROLE_PHASE_MAX);
TEST_TABLE(start_step, StartStep, _START_STEP_MAX);
TEST_TABLE(role_cause, RoleCause, _ROLE_CAUSE_MAX);
TEST_TABLE(stop_step, StopStep, _STOP_STEP_MAX);
TEST_TABLE(role_stdin, RoleStdin, _ROLE_STDIN_MAX);
TEST_TABLE(stop_to, StopTo, _STOP_TO_MAX);
TEST_TABLE(product_provider, ProductProvider, _PRODUCT_PROVIDER_MAX);
TEST_TABLE(role_ports, RolePorts, _ROLE_PORTS_MAX);
TEST_TABLE(port_protocol, PortProtocol, _PORT_PROTOCOL_MAX);
TEST_TABLE(node_error, NodeError, _NODE_ERROR_MAX);

/* These words are part of the bus interface, and clients compare them. */
static void test_words(void **state) {
        assert_string_equal(role_state_to_string(ROLE_STARTING), "starting");
        assert_string_equal(role_state_to_string(ROLE_RUNNING), "running");
        assert_string_equal(role_state_to_string(ROLE_STOPPING), "stopping");
        assert_string_equal(role_state_to_string(ROLE_ENDED), "ended");
        assert_string_equal(role_cause_to_string(ROLE_CAUSE_SELF), "self");
        assert_string_equal(role_cause_to_string(ROLE_CAUSE_STOP), "stop");
        assert_string_equal(role_cause_to_string(ROLE_CAUSE_KILL), "kill");
        assert_string_equal(role_cause_to_string(ROLE_CAUSE_MONITOR), "monitor");
        assert_string_equal(role_cause_to_string(ROLE_CAUSE_SHUTDOWN), "shutdown");
        assert_string_equal(role_cause_to_string(ROLE_CAUSE_OOM), "oom");
        assert_string_equal(role_cause_to_string(ROLE_CAUSE_EXTERNAL), "external");
        assert_string_equal(role_cause_to_string(ROLE_CAUSE_TIMEOUT), "timeout");
        assert_string_equal(role_cause_to_string(ROLE_CAUSE_WATCHDOG), "watchdog");
        assert_string_equal(role_stdin_to_string(ROLE_STDIN_PIPE), "pipe");
        assert_string_equal(role_stdin_to_string(ROLE_STDIN_NULL), "null");
        assert_string_equal(stop_to_to_string(STOP_TO_ALL), "all");
        assert_string_equal(stop_to_to_string(STOP_TO_MAIN), "main");
        assert_string_equal(role_ports_to_string(ROLE_PORTS_RELEASE), "release-ports");
        assert_string_equal(port_protocol_to_string(PORT_UDP), "udp");
        assert_string_equal(
                node_error_to_string(NODE_ERROR_NO_SUCH_ROLE), "org.architect.Node.Error.NoSuchRole");
        assert_string_equal(
                node_error_to_string(NODE_ERROR_INVALID_ARGS), "org.freedesktop.DBus.Error.InvalidArgs");
}

static void test_errnos(void **state) {
        for (int i = 0; i < _NODE_ERROR_MAX; i++) {
                assert_true(node_error_to_errno((NodeError) i) > 0);
                assert_true(node_error_to_errno((NodeError) i) < 4096);
        }
        assert_int_equal(node_error_to_errno(NODE_ERROR_NO_SUCH_ROLE), ENOENT);
        assert_int_equal(node_error_to_errno(NODE_ERROR_STOP_TIMED_OUT), ETIMEDOUT);
        assert_int_equal(node_error_to_errno(_NODE_ERROR_MAX), EIO);
        assert_int_equal(node_error_to_errno(_NODE_ERROR_INVALID), EIO);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_role_state),
                cmocka_unit_test(test_role_phase),
                cmocka_unit_test(test_start_step),
                cmocka_unit_test(test_role_cause),
                cmocka_unit_test(test_stop_step),
                cmocka_unit_test(test_role_stdin),
                cmocka_unit_test(test_stop_to),
                cmocka_unit_test(test_product_provider),
                cmocka_unit_test(test_role_ports),
                cmocka_unit_test(test_port_protocol),
                cmocka_unit_test(test_node_error),
                cmocka_unit_test(test_words),
                cmocka_unit_test(test_errnos),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
