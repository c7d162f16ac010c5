/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The introspection of the service must be equal to dbus-interfaces/, without missing or additional
 * members. */

#include "bus-world.h"

#include "bus/role-dbus.h"
#include "interface-facts.h"
#include "util/autoptr.h"

static void compare(BusWorld *b, const char *path, const char *interface) {
        g_autofree char *xml = call_introspect(b, path);

        interface_compare(xml, interface);
}

static GDBusNodeInfo *introspected(BusWorld *b, const char *path) {
        g_autofree char *xml = call_introspect(b, path);

        return interface_parse(xml);
}

static void test_node(void **state) {
        BusWorld *b = *state;

        compare(b, NODE_PATH, NODE_INTERFACE);
        g_autoptr(GDBusNodeInfo) info = introspected(b, NODE_PATH);
        assert_non_null(g_dbus_node_info_lookup_interface(info, "org.freedesktop.DBus.ObjectManager"));
        assert_non_null(g_dbus_node_info_lookup_interface(info, "org.freedesktop.DBus.Properties"));
}

static void test_role(void **state) {
        BusWorld *b = *state;

        (void) world_run(b->world, "cam-1.x", NULL);
        g_autofree char *path = role_dbus_path("cam-1.x");
        assert_string_equal(path, NODE_ROLE_PATH_PREFIX "/cam_2d1_2ex");
        compare(b, path, NODE_ROLE_INTERFACE);
}

/* Follows the standard interfaces from the root to each role. */
static void test_tree(void **state) {
        BusWorld *b = *state;

        (void) world_run(b->world, "a", NULL);
        (void) world_run_and_exit(b->world, "b", NULL);
        g_autoptr(GDBusNodeInfo) info = introspected(b, NODE_ROLE_PATH_PREFIX);
        unsigned n = 0;
        for (GDBusNodeInfo **child = info->nodes; child && *child; child++) {
                assert_true(g_str_equal((*child)->path, "a") || g_str_equal((*child)->path, "b"));
                n++;
        }
        assert_int_equal(n, 2);

        g_auto(Call) call = {};
        g_autoptr(sd_bus_message) m =
                call_new(b, NULL, NODE_ROLE_PATH_PREFIX "/c", NODE_ROLE_INTERFACE, "Stop");
        call_send(b, &call, m);
        world_wait(b->world, call.n > 0);
        assert_error(&call, "org.freedesktop.DBus.Error.UnknownObject", "");
}

static unsigned n_properties(BusWorld *b, const char *path, const char *interface) {
        g_auto(Call) call = {};
        g_autoptr(sd_bus_message) m = call_new(b, NULL, path, "org.freedesktop.DBus.Properties", "GetAll");
        unsigned n = 0;
        int r;

        assert_return_code(sd_bus_message_append(m, "s", interface), 0);
        call_send(b, &call, m);
        world_wait(b->world, call.n > 0);
        assert_replied(&call);
        assert_return_code(sd_bus_message_enter_container(call.reply, 'a', "{sv}"), 0);
        while ((r = sd_bus_message_skip(call.reply, "{sv}")) > 0)
                n++;
        return n;
}

static unsigned n_promised(const char *interface) {
        g_autoptr(GDBusNodeInfo) info = interface_promised(interface);
        unsigned n = 0;

        while (info->interfaces[0]->properties[n])
                n++;
        return n;
}

/* Every property can be read, in every state of a role. */
static void test_properties_can_be_read(void **state) {
        BusWorld *b = *state;
        TestWorld *w = b->world;
        unsigned n = n_promised(NODE_ROLE_INTERFACE);

        assert_int_equal(n_properties(b, NODE_PATH, NODE_INTERFACE), n_promised(NODE_INTERFACE));

        Role *role = world_start(w, "cam", NULL, NULL);
        g_autofree char *path = role_dbus_path("cam");
        assert_int_equal(n_properties(b, path, NODE_ROLE_INTERFACE), n);
        world_forked(w, role);
        world_scope_made(w, role);
        role_on_gate_closed(role);
        assert_int_equal(n_properties(b, path, NODE_ROLE_INTERFACE), n);
        node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, (Waiter){});
        assert_int_equal(n_properties(b, path, NODE_ROLE_INTERFACE), n);
        world_exit(w, role, EXIT_CODE_EXITED, 0);
        assert_int_equal(n_properties(b, path, NODE_ROLE_INTERFACE), n);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                BUS_TEST(test_node),
                BUS_TEST(test_role),
                BUS_TEST(test_tree),
                BUS_TEST(test_properties_can_be_read),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
