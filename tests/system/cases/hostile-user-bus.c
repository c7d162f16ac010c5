/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified, last
 *
 * The bus is restarted while polkit is asked for an ordinary user. The answer belongs to nobody then, and the
 * next bus gives the unique names of the last one again, to others: what the node has known of a name, or was
 * permitted to it, is not true of its next owner. */

#include <unistd.h>

#include "polkit.h"
#include "testlib.h"

#define BUS_SERVICE "dbus.service"

/* Makes a new connection once the node has its name on the new bus. */
static Bus *reconnect(void) {
        Bus *bus;

        /* A daemon that is stopping still accepts connections. */
        WAIT_UNTIL(run(NULL, NULL, "busctl", "--system", "status", "org.freedesktop.DBus", NULL) == 0 &&
                   run(NULL, NULL, "systemctl", "is-active", "--quiet", BUS_SERVICE, NULL) == 0);
        bus = bus_new();
        node_wait_name(bus, true);
        node_sync(bus);
        return bus;
}

/* Whether alice has had a connection with the name of one of root's, of before. */
static bool impostor(Bus *alice, GPtrArray *names_of_root) {
        return g_ptr_array_find_with_equal_func(names_of_root, bus_unique_name(alice), g_str_equal, NULL);
}

static void test_restart(void **state) {
        Bus *bus = *state, *alice;
        const char *role = role_name("a");
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        pid_t node = node_pid(bus), pid;
        guint n_impostors = 0;
        int fd;

        /* A bus counts its connections from 1 on. This one may be old. */
        systemctl("restart", BUS_SERVICE);
        bus_free(bus);
        *state = bus = reconnect();
        alice = bus_new_as("alice");
        start(bus, role, NULL, actor(), "pause", NULL);
        pid = role_pid(bus, role);
        /* The node knows all of these as root. */
        for (int i = 0; i < 60; i++) {
                g_autoptr(Bus) root = bus_new();

                g_variant_unref(node_call(root, "ListEnv", NULL));
                g_ptr_array_add(names, g_strdup(bus_unique_name(root)));
        }
        answer("hold");
        (void) node_send(alice, "Kill", g_variant_new("(s)", role));
        fd = held();

        systemctl("restart", BUS_SERVICE);
        bus_free(bus);
        bus_free(alice);
        *state = bus = reconnect();
        /* The rule may still wait for it, if polkit has survived. */
        (void) !write(fd, "yes", 3);
        (void) close(fd);
        answer("no");
        assert_poll(bus, role, "running");

        for (int i = 0; i < 200; i++) {
                g_autoptr(Bus) connection = bus_new_as("alice");

                n_impostors += impostor(connection, names);
                node_call_fails(
                        connection, i % 2 ? "Kill" : "Stop", g_variant_new("(s)", role), ACCESS_DENIED, NULL);
        }
        assert_int_not_equal(n_impostors, 0);
        assert_poll(bus, role, "running");
        assert_int_equal(role_pid(bus, role), pid);
        assert_int_equal(node_pid(bus), node);

        /* polkit is asked on the new bus. */
        answer("yes");
        alice = bus_new_as("alice");
        g_variant_unref(node_call(alice, "Kill", g_variant_new("(s)", role)));
        bus_free(alice);
        expect_exited(bus, role, "killed", SIGKILL, "kill");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                POLKIT_TEST(test_restart),
        };

        case_begin("hostile-user-bus");
        return cmocka_run_group_tests_name(
                "hostile-user-bus", tests, polkit_group_setup, polkit_group_teardown);
}
