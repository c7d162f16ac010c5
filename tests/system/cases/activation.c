/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * The service does not have to run to be used. The first call starts it, and the keeper with it. A check
 * whether it runs does not start it. */

#include "testlib.h"

static void test_first_call(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");
        g_autofree char *active = NULL;

        systemctl("enable", NODE_UNIT);
        systemctl("stop", NODE_UNIT);
        node_wait_name(bus, false);
        g_free(run_ok("busctl", "list", NULL));
        assert_false(node_has_name(bus));

        start(bus, role, NULL, actor(), "exit", "0", NULL);
        expect_exited(bus, role, "exited", 0, "self");
        active = unit_get_string(bus, NODE_UNIT, "Unit", "ActiveState");
        assert_string_equal(active, "active");
}

/* "systemctl disable" disables the activation. */
static void test_disabled(void **state) {
        Bus *bus = *state;

        systemctl("disable", NODE_UNIT);
        systemctl("stop", NODE_UNIT);
        node_wait_name(bus, false);
        assert_int_equal(
                bus_wait_reply(bus, node_send(bus, "ListRoles", NULL))->type, G_DBUS_MESSAGE_TYPE_ERROR);
        assert_false(node_has_name(bus));
        systemctl("start", NODE_UNIT);
        node_wait_name(bus, true);
        node_sync(bus);
}

/* An enabled service that is masked until the next boot stays stopped while clients call it. */
static void test_masked(void **state) {
        Bus *bus = *state;

        systemctl("enable", NODE_UNIT);
        g_free(run_ok("systemctl", "mask", "--runtime", "--now", NODE_UNIT, NULL));
        node_wait_name(bus, false);
        for (guint i = 0; i < 3; i++)
                assert_int_equal(bus_wait_reply(bus, node_send(bus, "ListRoles", NULL))->type,
                        G_DBUS_MESSAGE_TYPE_ERROR);
        assert_false(node_has_name(bus));

        g_free(run_ok("systemctl", "unmask", "--runtime", NODE_UNIT, NULL));
        node_sync(bus); /* the call starts it */
        assert_true(node_has_name(bus));
        systemctl("disable", NODE_UNIT);
}

/* A second node of the same name exits, because the name has an owner. */
static void test_one_owner(void **state) {
        Bus *bus = *state;
        g_autoptr(GVariant) command = unit_get(bus, NODE_UNIT, "Service", "ExecStart");
        g_autofree char *err = NULL;
        pid_t node = node_pid(bus);
        const char *program;

        g_variant_get_child(command, 0, "(&s@as@bttttuii)", &program, NULL, NULL, NULL, NULL, NULL, NULL,
                NULL, NULL, NULL);
        assert_int_not_equal(run(NULL, &err, "timeout", "20", program, "--instance=main", NULL), 124);
        assert_int_equal(node_pid(bus), node);
        node_sync(bus);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_first_call),
                TEST(test_disabled),
                TEST(test_masked),
                TEST(test_one_owner),
        };
        return run_case("activation", tests);
}
