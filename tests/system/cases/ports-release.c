/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * release-ports: a role that binds its port itself finds it free, however fast it is, and until then the port
 * was reserved. A start that fails leaves it unchanged. */

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net.h"
#include "testlib.h"

/* The bind is the first thing that the role does. If the keeper released the port a moment later, some of
 * these would fail. */
static void test_binds_itself(void **state) {
        Bus *bus = *state;
        g_autoptr(Fifo) fifo = fifo_new("fifo");

        for (guint i = 0; i < 100; i++) {
                const char *role = role_name_n("binds", i % 4);
                g_autofree char *number = NULL, *line = NULL;
                uint16_t port;

                bind_ports(bus, "TCP", 1, &port);
                number = g_strdup_printf("%u", port);
                start(bus, role, port_option("release-ports", port), actor(), "bind", number, fifo_path(fifo),
                        "pause", NULL);
                fifo_expect_pid(fifo, "bind 0");
                line = list_port(bus, "TCP", port);
                assert_null(line); /* the port is not reserved any more */
                stop(bus, role);
                assert_int_equal(try_bind(SOCK_STREAM, port), 0);
                node_call_fails(bus, "ReleaseTCP", port_args(port), "NoSuchPort", NULL);
        }
        assert_ports(bus, "");
}

static void test_failed_start(void **state) {
        Bus *bus = *state;
        const char *role = role_name("fails");
        uint16_t ports[20];

        bind_ports(bus, "TCP", 10, ports);
        bind_ports(bus, "UDP", 10, ports + 10);
        g_autofree char *before = list_ports(bus);
        for (int i = 0; i < 20; i++) {
                start_fails(bus,
                        start_args(role,
                                g_variant_new_parsed("@a{sv} {'release-ports': <%@aq>}",
                                        g_variant_new_fixed_array(
                                                G_VARIANT_TYPE_UINT16, ports, 20, sizeof(ports[0]))),
                                i % 2 ? "/nowhere/to/be/found" : "/etc/passwd", NULL),
                        "ExecFailed", NULL);
                assert_ports(bus, before);
                for (int k = 0; k < 20; k++)
                        assert_int_equal(try_bind(k < 10 ? SOCK_STREAM : SOCK_DGRAM, ports[k]), EADDRINUSE);
        }
        /* They can be passed on as before. */
        start(bus, role,
                g_variant_new_parsed("@a{sv} {'release-ports': <%@aq>}",
                        g_variant_new_fixed_array(G_VARIANT_TYPE_UINT16, ports, 20, sizeof(ports[0]))),
                actor(), "pause", NULL);
        assert_ports(bus, "");
        for (int k = 0; k < 20; k++)
                WAIT_UNTIL(try_bind(k < 10 ? SOCK_STREAM : SOCK_DGRAM, ports[k]) == 0);
        stop(bus, role);
}

/* Directly before the exec the port is still reserved. */
static void test_at_the_door(void **state) {
        Bus *bus = *state;
        const char *role = role_name("held");
        g_autoptr(Hold) hold = hold_new();
        uint16_t ports[2];
        guint32 serial;

        bind_ports(bus, "TCP", 2, ports);
        serial = node_send(bus, "Start",
                start_args(role,
                        OPTIONS("{'tcp-ports': <[%q]>, 'release-ports': <[%q]>}", ports[0], ports[1]),
                        hold_program(hold), "pause", NULL));
        (void) held_child(bus, role);
        for (int i = 0; i < 2; i++) {
                g_autofree char *line = list_port(bus, "TCP", ports[i]),
                                *expected = g_strdup_printf("tcp %u 0 %s", ports[i], role);

                assert_string_equal(line, expected);
                assert_int_equal(try_bind(SOCK_STREAM, ports[i]), EADDRINUSE);
        }
        hold_release(hold);
        g_variant_unref(bus_result(bus, serial));
        assert_int_equal(try_bind(SOCK_STREAM, ports[0]), EADDRINUSE);
        /* The port is free for the role from its first instruction on, and for others when the kernel has
         * completed the exec. */
        WAIT_UNTIL(try_bind(SOCK_STREAM, ports[1]) == 0);
        stop(bus, role);
        release_port(bus, "TCP", ports[0]);
        assert_ports(bus, "");
}

/* A child that is killed there cannot give the port back, but it is reserved again. */
static void test_cancelled(void **state) {
        Bus *bus = *state;
        const char *role = role_name("cancelled");
        g_autoptr(Hold) hold = hold_new();
        g_autofree char *before = NULL;
        uint16_t port;
        guint32 serial;

        bind_ports(bus, "TCP", 1, &port);
        before = list_ports(bus);
        serial = node_send(bus, "Start",
                start_args(role, port_option("release-ports", port), hold_program(hold), "pause", NULL));
        (void) held_child(bus, role);
        stop(bus, role);
        bus_failure(bus, serial, "StartCancelled", NULL);
        hold_release(hold);
        assert_ports(bus, before);
        assert_int_equal(try_bind(SOCK_STREAM, port), EADDRINUSE);
        start(bus, role, port_option("tcp-ports", port), actor(), "serve", "/dev/null", NULL);
        assert_int_equal(ask_tcp(port), role_pid(bus, role));
        stop(bus, role);
        release_port(bus, "TCP", port);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_binds_itself),
                TEST(test_failed_start),
                TEST(test_at_the_door),
                TEST(test_cancelled),
        };
        return run_case("ports-release", tests);
}
