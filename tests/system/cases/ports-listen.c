/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * tcp-ports and udp-ports: a role gets its ports as open, listening sockets, and users can read their
 * numbers. When the role ends no process listens on them, whatever it has left behind, and they stay reserved
 * for the next role. */

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net.h"
#include "testlib.h"

#define PROXYD "/lib/systemd/systemd-socket-proxyd"

static void assert_only_reserved(uint16_t port) {
        assert_int_equal(ask_tcp(port), -ECONNREFUSED);
        assert_int_equal(try_bind(SOCK_STREAM, port), EADDRINUSE);
}

static void assert_role(Bus *bus, uint16_t port, const char *role) {
        g_autofree char *line = list_port(bus, "TCP", port),
                        *expected = g_strdup_printf("tcp %u 0 %s", port, role);

        assert_non_null(line);
        assert_string_equal(line, expected);
}

static void serve_start(Bus *bus, const char *role, GVariant *options, Fifo *fifo) {
        start(bus, role, options, actor(), "serve", fifo_path(fifo), NULL);
        fifo_expect_pid(fifo, "serve");
}

static void test_served(void **state) {
        Bus *bus = *state;
        const char *first = role_name("first"), *second = role_name("second");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        uint16_t port;

        bind_ports(bus, "TCP", 1, &port);
        assert_role(bus, port, "");
        assert_only_reserved(port);

        /* The role checks the first variable of a name, so there must be no other one. */
        serve_start(bus, first,
                OPTIONS("{'tcp-ports': <[%q]>, 'env': <{'LISTEN_FDS': '9', 'LISTEN_PID': '1'}>}", port),
                fifo);
        for (int i = 0; i < 20; i++)
                assert_int_equal(ask_tcp(port), role_pid(bus, first));
        assert_role(bus, port, first);
        assert_int_equal(try_bind(SOCK_STREAM, port), EADDRINUSE);

        /* A port belongs to one role at a time. */
        start_fails(bus, start_args(second, port_option("tcp-ports", port), actor(), "pause", NULL),
                "PortsUnavailable", second, first, "running", NULL);
        start_fails(bus, start_args(second, port_option("release-ports", port), actor(), "pause", NULL),
                "PortsUnavailable", first, NULL);
        node_call_fails(bus, "ReleaseTCP", port_args(port), "PortsUnavailable", first, NULL);
        assert_int_equal(ask_tcp(port), role_pid(bus, first));

        stop(bus, first);
        assert_role(bus, port, "");
        assert_only_reserved(port);
        serve_start(bus, second, port_option("tcp-ports", port), fifo);
        assert_int_equal(ask_tcp(port), role_pid(bus, second));
        assert_role(bus, port, second);

        /* However the role ends, the port is closed by RoleExited. */
        kill_role(bus, second);
        expect_exited(bus, second, "killed", SIGKILL, "kill");
        assert_only_reserved(port);
        serve_start(bus, first, port_option("tcp-ports", port), fifo);
        assert_int_equal(kill(role_pid(bus, first), SIGSEGV), 0);
        bus_wait(bus, "RoleExited", first);
        bus_wait(bus, "RoleExited", first);
        assert_only_reserved(port);
        release_port(bus, "TCP", port);
        assert_int_equal(try_bind(SOCK_STREAM, port), 0);
}

static void test_environment(void **state) {
        Bus *bus = *state;
        const char *role = role_name("env"), *path = scratch("dump");
        g_autoptr(GHashTable) dump = NULL;
        g_autofree char *tcp_text = NULL, *names = NULL, *udp_text = NULL;
        uint16_t tcp[2], udp;

        bind_ports(bus, "TCP", 2, tcp);
        bind_ports(bus, "UDP", 1, &udp);
        /* In the order of the options, of any integer type. */
        start(bus, role,
                OPTIONS("{'udp-ports': <[@x %x]>, 'tcp-ports': <[@u %u, %u]>, 'env': <{'LISTEN_FDS': '7', 'LISTEN_PID': '1',"
                        "'LISTEN_FDNAMES': 'mine', 'ARCHITECT_TCP_PORTS': '1', 'LISTEN_FDS_OTHER': 'kept'}>}",
                        (gint64) udp, (guint32) tcp[1], (guint32) tcp[0]),
                actor(), "dump", path, "pause", NULL);
        WAIT_UNTIL(access(path, F_OK) == 0);
        dump = read_dump(path);
        tcp_text = g_strdup_printf("%u %u", tcp[1], tcp[0]);
        udp_text = g_strdup_printf("%u", udp);
        names = g_strdup_printf("tcp-%u:tcp-%u:udp-%u", tcp[1], tcp[0], udp);
        assert_string_equal(dump_get(dump, "env.LISTEN_FDS"), "3");
        assert_int_equal(atoi(dump_get(dump, "env.LISTEN_PID")), role_pid(bus, role));
        assert_string_equal(dump_get(dump, "env.LISTEN_FDNAMES"), names);
        assert_string_equal(dump_get(dump, "env.ARCHITECT_TCP_PORTS"), tcp_text);
        assert_string_equal(dump_get(dump, "env.ARCHITECT_UDP_PORTS"), udp_text);
        assert_string_equal(dump_get(dump, "env.LISTEN_FDS_OTHER"), "kept");
        for (int fd = 3; fd <= 5; fd++) {
                g_autofree char *nonblock = g_strdup_printf("fd.%d.nonblock", fd),
                                *cloexec = g_strdup_printf("fd.%d.cloexec", fd);
                assert_string_equal(dump_get(dump, nonblock), "0");
                assert_string_equal(dump_get(dump, cloexec), "0");
        }
        assert_false(g_hash_table_contains(dump, "fd.6.nonblock"));
        stop(bus, role);
        release_port(bus, "TCP", tcp[0]);
        release_port(bus, "TCP", tcp[1]);
        release_port(bus, "UDP", udp);
}

static void test_udp(void **state) {
        Bus *bus = *state;
        const char *role = role_name("udp"), *next = role_name("next");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        uint16_t port;

        bind_ports(bus, "UDP", 1, &port);
        /* Earlier datagrams reach no role. */
        for (int i = 0; i < 10; i++)
                send_udp(port);
        start(bus, role, port_option("udp-ports", port), actor(), "serve", fifo_path(fifo), NULL);
        fifo_expect_pid(fifo, "serve");
        assert_int_equal(ask_udp(port, 20000), role_pid(bus, role));
        stop(bus, role);
        for (int i = 0; i < 10; i++)
                send_udp(port);
        assert_int_equal(try_bind(SOCK_DGRAM, port), EADDRINUSE);

        /* The next role reads only what is sent to it: the first datagram is this one. */
        start(bus, next, port_option("udp-ports", port), "/bin/sh", "-c",
                "echo ready $$ >\"$0\"; head -c 3 <&3 >\"$0.got\"; echo got $$ >\"$0\"", fifo_path(fifo),
                NULL);
        fifo_expect_pid(fifo, "ready");
        {
                const struct sockaddr_in to = { .sin_family = AF_INET,
                        .sin_port = htons(port),
                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
                int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

                assert_int_equal(sendto(fd, "new", 3, 0, (const void *) &to, sizeof(to)), 3);
                close(fd);
        }
        fifo_expect_pid(fifo, "got");
        g_autofree char *path = g_strconcat(fifo_path(fifo), ".got", NULL), *got = read_file(path);
        assert_string_equal(got, "new");
        stop(bus, next);
        release_port(bus, "UDP", port);
}

/* The main process ends. A process that it has left has the socket, accepts connections and ignores
 * SIGTERM. */
static void test_leftovers(void **state) {
        Bus *bus = *state;
        const char *role = role_name("leaves"), *other = role_name("other");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        int left_fd;
        uint16_t port;

        bind_ports(bus, "TCP", 1, &port);
        start(bus, role,
                g_variant_new_parsed(
                        "@a{sv} {'tcp-ports': <[%q]>, 'stop-timeout-usec': <@t 3600000000>}", port),
                actor(), "exit-on", "USR1", "0", "fork{", "ignore", "TERM", "tell-on", "USR2",
                fifo_path(fifo), "usr2", "say", fifo_path(fifo), "left", "pause", "}", "pause", NULL);
        left_fd = process_open(fifo_expect_pid(fifo, "left"));
        assert_int_equal(kill(role_pid(bus, role), SIGUSR1), 0);
        expect_exited(bus, role, "exited", 0, "self");
        assert_only_reserved(port);
        assert_false(process_is_dead(left_fd));

        /* It still has the socket, and no other role gets it before it has ended. */
        start_fails(bus, start_args(other, port_option("tcp-ports", port), actor(), "pause", NULL),
                "PortsUnavailable", role, "processes it left", NULL);
        kill_role(bus, role);
        process_wait_dead(left_fd);
        close(left_fd);
        assert_role(bus, port, "");

        /* A process that calls listen() again receives nothing. */
        start(bus, role,
                g_variant_new_parsed(
                        "@a{sv} {'tcp-ports': <[%q]>, 'stop-timeout-usec': <@t 3600000000>}", port),
                actor(), "exit-on", "USR1", "0", "fork{", "ignore", "TERM", "say", fifo_path(fifo), "left",
                "read-eof", "listen", "3", fifo_path(fifo), "pause", "}", "close", "0", "pause", NULL);
        left_fd = process_open(fifo_expect_pid(fifo, "left"));
        assert_int_equal(kill(role_pid(bus, role), SIGUSR1), 0);
        bus_wait(bus, "RoleExited", role);
        fifo_expect_pid(fifo, "listen 0");
        assert_only_reserved(port);
        kill_role(bus, role);
        close(left_fd);
        assert_only_reserved(port);
        serve_start(bus, other, port_option("tcp-ports", port), fifo);
        assert_int_equal(ask_tcp(port), role_pid(bus, other));
        stop(bus, other);
        release_port(bus, "TCP", port);
}

static void test_failed_start(void **state) {
        Bus *bus = *state;
        const char *role = role_name("fails"), *good = role_name("good");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        uint16_t port;

        bind_ports(bus, "TCP", 1, &port);
        start_fails(bus, start_args(role, port_option("tcp-ports", port), "/nowhere/to/be/found", NULL),
                "ExecFailed", "/nowhere/to/be/found", NULL);
        assert_role(bus, port, "");
        assert_only_reserved(port);
        serve_start(bus, good, port_option("tcp-ports", port), fifo);
        assert_int_equal(ask_tcp(port), role_pid(bus, good));
        stop(bus, good);
        release_port(bus, "TCP", port);
}

/* If the role hung up first, the kernel keeps its connections for a minute, which delays no start. */
static void test_time_wait(void **state) {
        Bus *bus = *state;
        const char *role = role_name("hangs-up");
        uint16_t port;

        bind_ports(bus, "TCP", 1, &port);
        for (int i = 0; i < 3; i++) {
                start(bus, role, port_option("tcp-ports", port), actor(), "accept", "1", "1", "exit", "0",
                        NULL);
                wait_hang_up(port);
                expect_exited(bus, role, "exited", 0, "self");
                assert_only_reserved(port);
        }
        release_port(bus, "TCP", port);
}

/* A program that does not know the service. */
static void test_proxyd(void **state) {
        Bus *bus = *state;
        const char *role = role_name("behind"), *proxy = role_name("proxy");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        g_autofree char *to = NULL;
        uint16_t ports[2];

        bind_ports(bus, "TCP", 2, ports);
        serve_start(bus, role, port_option("tcp-ports", ports[0]), fifo);
        to = g_strdup_printf("127.0.0.1:%u", ports[0]);
        start(bus, proxy, port_option("tcp-ports", ports[1]), PROXYD, to, NULL);
        for (int i = 0; i < 10; i++)
                assert_int_equal(ask_tcp(ports[1]), role_pid(bus, role));
        stop(bus, proxy);
        stop(bus, role);
        release_port(bus, "TCP", ports[0]);
        release_port(bus, "TCP", ports[1]);
}

static void test_many(void **state) {
        Bus *bus = *state;
        const char *role = role_name("many");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        uint16_t ports[256];

        bind_ports(bus, "TCP", 256, ports);
        /* More descriptors than it may open itself. */
        start(bus, role,
                g_variant_new_parsed("@a{sv} {'tcp-ports': <%@aq>, 'limits': <{'nofile': @t 300}>}",
                        g_variant_new_fixed_array(G_VARIANT_TYPE_UINT16, ports, 256, sizeof(ports[0]))),
                actor(), "serve", fifo_path(fifo), NULL);
        fifo_expect_pid(fifo, "serve");
        for (int i = 0; i < 256; i++)
                assert_int_equal(ask_tcp(ports[i]), role_pid(bus, role));
        stop(bus, role);
        g_variant_unref(node_call(bus, "ReleaseTCP",
                g_variant_new("(@aq)",
                        g_variant_new_fixed_array(G_VARIANT_TYPE_UINT16, ports, 256, sizeof(ports[0])))));
        assert_ports(bus, "");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_served),
                TEST(test_environment),
                TEST(test_udp),
                TEST(test_leftovers),
                TEST(test_failed_start),
                TEST(test_time_wait),
                TEST(test_proxyd),
                TEST(test_many),
        };
        return run_case("ports-listen", tests);
}
