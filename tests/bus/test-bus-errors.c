/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Each error as a client receives it: its name, its message, and its errno. */

#include "bus-world.h"

#include "bus/operation.h"
#include "util/autoptr.h"

#define MESSAGE "100%s of \"cam\" \xc3\xa4" /* must not be formatted again */

static int make_fault(sd_bus_message *m, Fault *fault, int *ret_error) {
        uint32_t number;

        int r = sd_bus_message_read(m, "u", &number);
        if (r < 0)
                return r;
        *ret_error = fault_set(fault, (NodeError) number, "%s", MESSAGE);
        return 0;
}

static int method_fail_at_once(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        g_auto(Fault) fault = {};
        int e;

        int r = make_fault(m, &fault, &e);
        if (r < 0)
                return r;
        r = fault_to_bus_error(&fault, e, error);
        assert_int_equal(r, e); /* in this process, too, the name has its errno */
        return r;
}

static int method_fail_later(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        g_auto(Fault) fault = {};
        int e;

        int r = make_fault(m, &fault, &e);
        if (r < 0)
                return r;
        Waiter waiter = operation_new(m, NULL);
        waiter.done(waiter.userdata, &fault);
        return 1;
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("AtOnce", "u", "", method_fail_at_once, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Later", "u", "", method_fail_later, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static void check_all(BusWorld *b, const char *method) {
        assert_return_code(
                sd_bus_add_object_vtable(b->clients->bus, NULL, "/test", "test.Errors", vtable, b), 0);
        for (uint32_t i = 0; i < _NODE_ERROR_MAX; i++) {
                g_auto(Call) call = {};
                g_autoptr(sd_bus_message) m = call_new(b, CLIENT, "/test", "test.Errors", method);

                assert_return_code(sd_bus_message_append(m, "u", i), 0);
                call_send(b, &call, m);
                world_wait(b->world, call.n > 0);
                const char *name = node_error_to_string((NodeError) i);
                assert_error(&call, name, MESSAGE);
                const sd_bus_error *e = sd_bus_message_get_error(call.reply);
                assert_string_equal(e->message, MESSAGE);
                if (sd_bus_error_get_errno(e) != node_error_to_errno((NodeError) i))
                        fail_msg("%s: errno %d instead of %d", name, sd_bus_error_get_errno(e),
                                node_error_to_errno((NodeError) i));
                assert_int_equal(sd_bus_message_get_errno(call.reply), node_error_to_errno((NodeError) i));
        }
}

static void test_at_once(void **state) {
        check_all(*state, "AtOnce");
}

static void test_later(void **state) {
        check_all(*state, "Later");
}

/* Without a fault there is only an errno. */
static void test_no_fault(void **state) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        Fault none = {};

        assert_int_equal(fault_to_bus_error(&none, -ENOENT, &error), -ENOENT);
        assert_true(sd_bus_error_is_set(&error));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                BUS_TEST(test_at_once),
                BUS_TEST(test_later),
                BUS_TEST(test_no_fault),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
