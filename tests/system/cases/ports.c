/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * Reserving and releasing ports: the permitted callers, the refused calls, which have no effect, what is kept
 * (over a restart and a crash of the service) and what is not (after a clean end, or the end of the
 * keeper). */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "keeper.h"
#include "net.h"
#include "testlib.h"

static GVariant *ports_args(const uint16_t *ports, gsize n) {
        return g_variant_new(
                "(@aq)", g_variant_new_fixed_array(G_VARIANT_TYPE_UINT16, ports, n, sizeof(*ports)));
}

static void test_reserve(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) alice = bus_new_as("alice");
        g_autofree char *listed = NULL, *seen = NULL;
        uint16_t tcp[3], udp[2];

        assert_ports(bus, "");
        bind_ports(bus, "TCP", 3, tcp);
        bind_ports(bus, "UDP", 2, udp);
        for (int i = 0; i < 3; i++) {
                assert_int_equal(try_bind(SOCK_STREAM, tcp[i]), EADDRINUSE);
                assert_int_equal(ask_tcp(tcp[i]), -ECONNREFUSED);
        }
        for (int i = 0; i < 2; i++)
                assert_int_equal(try_bind(SOCK_DGRAM, udp[i]), EADDRINUSE);
        assert_true(tcp[0] != tcp[1] && tcp[1] != tcp[2] && tcp[0] != tcp[2] && udp[0] != udp[1]);

        listed = list_ports(bus);
        assert_int_equal(strspn(listed, "tcpudp0123456789 \n"), strlen(listed));
        for (int i = 0; i < 3; i++) {
                g_autofree char *line = list_port(bus, "TCP", tcp[i]);
                assert_non_null(line);
        }
        seen = list_ports(alice); /* every user may read it */
        assert_string_equal(seen, listed);

        release_port(bus, "TCP", tcp[1]);
        assert_int_equal(try_bind(SOCK_STREAM, tcp[1]), 0);
        assert_int_equal(try_bind(SOCK_STREAM, tcp[0]), EADDRINUSE);
        g_variant_unref(node_call(bus, "ReleaseTCP", ports_args((uint16_t[]){ tcp[2], tcp[0] }, 2)));
        g_variant_unref(node_call(bus, "ReleaseUDP", ports_args(udp, 2)));
        for (int i = 0; i < 3; i++)
                assert_int_equal(try_bind(SOCK_STREAM, tcp[i]), 0);
        for (int i = 0; i < 2; i++)
                assert_int_equal(try_bind(SOCK_DGRAM, udp[i]), 0);
        assert_ports(bus, "");
}

/* Each call is refused with its reason, and nothing changes. */
static void test_errors(void **state) {
        Bus *bus = *state;
        const char *role = role_name("bad");
        g_autofree char *before = NULL;
        uint16_t tcp[2], udp, unknown;

        bind_ports(bus, "TCP", 2, tcp);
        bind_ports(bus, "UDP", 1, &udp);
        bind_ports(bus, "TCP", 1, &unknown);
        release_port(bus, "TCP", unknown);
        before = list_ports(bus);

        node_call_fails(bus, "BindTCP", g_variant_new("(u)", 0), INVALID_ARGS, "0 TCP ports", "256", NULL);
        node_call_fails(
                bus, "BindUDP", g_variant_new("(u)", 257), INVALID_ARGS, "257 UDP ports", "256", NULL);
        node_call_fails(bus, "BindTCP", g_variant_new("(u)", G_MAXUINT32), INVALID_ARGS, "4294967295", NULL);
        node_call_fails(bus, "ReleaseTCP", ports_args(NULL, 0), INVALID_ARGS, "0 TCP ports", NULL);
        node_call_fails(
                bus, "ReleaseTCP", ports_args((uint16_t[]){ tcp[0], unknown }, 2), "NoSuchPort", NULL);
        node_call_fails(bus, "ReleaseTCP", ports_args((uint16_t[]){ tcp[0], tcp[0] }, 2), INVALID_ARGS,
                "twice", NULL);
        node_call_fails(bus, "ReleaseTCP", ports_args((uint16_t[]){ 0 }, 1), INVALID_ARGS, "0 is not", NULL);
        node_call_fails(
                bus, "ReleaseUDP", ports_args((uint16_t[]){ udp, udp }, 2), INVALID_ARGS, "twice", NULL);
        /* Each protocol has numbers of its own. */
        if (udp != tcp[0] && udp != tcp[1])
                node_call_fails(bus, "ReleaseTCP", port_args(udp), "NoSuchPort", NULL);

        {
                const struct {
                        GVariant *options;
                        const char *error, *text;
                } starts[] = {
                        { OPTIONS("{'tcp-ports': <@aq []>}"), INVALID_ARGS, "tcp-ports" },
                        { OPTIONS("{'tcp-ports': <[%q, %q]>}", tcp[0], tcp[0]), INVALID_ARGS, "twice" },
                        { OPTIONS("{'tcp-ports': <[%q, %q]>}", tcp[0], unknown), "NoSuchPort",
                                "is not reserved" },
                        { OPTIONS("{'release-ports': <[%q]>}", unknown), "NoSuchPort", "is not reserved" },
                        { OPTIONS("{'udp-ports': <[@u 65536]>}"), INVALID_ARGS, "65536" },
                        { OPTIONS("{'udp-ports': <[@i -1]>}"), INVALID_ARGS, "-1" },
                        { OPTIONS("{'udp-ports': <['a']>}"), INVALID_ARGS, "integer" },
                        { OPTIONS("{'release-ports': <@q 5>}"), INVALID_ARGS, "integers" },
                        { OPTIONS("{'tcp-ports': <[%q]>, 'release-ports': <[%q]>}", tcp[0], tcp[0]),
                                INVALID_ARGS, "release-ports" },
                };

                for (size_t i = 0; i < G_N_ELEMENTS(starts); i++)
                        start_fails(bus, start_args(role, starts[i].options, actor(), "pause", NULL),
                                starts[i].error, starts[i].text, role, NULL);
        }
        assert_state(bus, role, "none");
        assert_ports(bus, before);
        assert_int_equal(try_bind(SOCK_STREAM, tcp[0]), EADDRINUSE);
        assert_int_equal(try_bind(SOCK_STREAM, tcp[1]), EADDRINUSE);
        assert_int_equal(try_bind(SOCK_DGRAM, udp), EADDRINUSE);
        g_variant_unref(node_call(bus, "ReleaseTCP", ports_args(tcp, 2)));
        release_port(bus, "UDP", udp);
}

static void test_other_users(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) alice = bus_new_as("alice");
        const char *role = role_name("hers");
        g_autofree char *before = NULL;
        uint16_t tcp;

        bind_ports(bus, "TCP", 1, &tcp);
        before = list_ports(bus);
        node_call_fails(alice, "BindTCP", g_variant_new("(u)", 1), ACCESS_DENIED, NULL);
        node_call_fails(alice, "BindUDP", g_variant_new("(u)", 1), ACCESS_DENIED, NULL);
        node_call_fails(alice, "ReleaseTCP", port_args(tcp), ACCESS_DENIED, NULL);
        node_call_fails(alice, "ReleaseUDP", port_args(tcp), ACCESS_DENIED, NULL);
        start_fails(alice, start_args(role, port_option("tcp-ports", tcp), actor(), "pause", NULL),
                ACCESS_DENIED, NULL);
        assert_ports(bus, before);
        assert_int_equal(try_bind(SOCK_STREAM, tcp), EADDRINUSE);
        release_port(bus, "TCP", tcp);
}

static void again(Bus *bus, bool crash) {
        if (crash)
                node_crash(bus);
        else
                node_restart(bus);
}

static void test_survive(void **state) {
        Bus *bus = *state;
        const char *role = role_name("serves");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        uint16_t idle, used, udp;

        bind_ports(bus, "TCP", 1, &idle);
        bind_ports(bus, "TCP", 1, &used);
        bind_ports(bus, "UDP", 1, &udp);
        start(bus, role, port_option("tcp-ports", used), actor(), "serve", fifo_path(fifo), NULL);
        fifo_expect_pid(fifo, "serve");
        pid_t pid = role_pid(bus, role);
        g_autofree char *before = list_ports(bus);

        for (int crash = 0; crash < 2; crash++) {
                again(bus, crash);
                assert_ports(bus, before);
                assert_int_equal(ask_tcp(used), pid);
                assert_int_equal(try_bind(SOCK_STREAM, idle), EADDRINUSE);
                assert_int_equal(try_bind(SOCK_DGRAM, udp), EADDRINUSE);
                node_call_fails(bus, "ReleaseTCP", port_args(used), "PortsUnavailable", role, NULL);
        }

        /* The role ends while the node is not running. The port does not listen any more, but it is still
         * reserved. */
        pid_t node = node_pid(bus);
        assert_int_equal(kill(node, SIGSTOP), 0);
        assert_int_equal(kill(pid, SIGKILL), 0);
        WAIT_UNTIL(ask_tcp(used) == -ECONNREFUSED);
        assert_int_equal(try_bind(SOCK_STREAM, used), EADDRINUSE);
        node_crash(bus);
        expect_exited(bus, role, "killed", SIGKILL, "external");
        start(bus, role, port_option("tcp-ports", used), actor(), "serve", fifo_path(fifo), NULL);
        fifo_expect_pid(fifo, "serve");
        assert_int_equal(ask_tcp(used), role_pid(bus, role));
        stop(bus, role);

        again(bus, true);
        g_variant_unref(node_call(bus, "ReleaseTCP", ports_args((uint16_t[]){ idle, used }, 2)));
        release_port(bus, "UDP", udp);
        assert_ports(bus, "");
        assert_int_equal(try_bind(SOCK_STREAM, idle), 0);
        again(bus, true);
        assert_ports(bus, "");
}

/* The node dies during a bind, before it has sent the reply. */
static void test_promised_to_nobody(void **state) {
        Bus *bus = *state;
        uint16_t kept;
        guint fds = process_n_fds(keeper_pid(bus));

        bind_ports(bus, "TCP", 1, &kept);
        for (int i = 0; i < 20; i++) {
                g_autofree char *before = list_ports(bus);
                guint32 serial = node_send(bus, "BindTCP", g_variant_new("(u)", 100));

                node_crash(bus);
                Event *reply = bus_wait_reply(bus, serial);
                g_autofree char *after = list_ports(bus);
                if (reply->type == G_DBUS_MESSAGE_TYPE_ERROR && g_str_equal(before, after)) {
                        g_auto(GStrv) lines = g_strsplit(after, "\n", -1);
                        guint expected = g_strv_length(lines) - 1;
                        WAIT_UNTIL(process_n_fds(keeper_pid(bus)) == fds + expected);
                }
                assert_true(g_str_has_prefix(after, "tcp "));
                assert_int_equal(try_bind(SOCK_STREAM, kept), EADDRINUSE);
                g_variant_unref(node_call(bus, "ReleaseTCP", port_args(kept)));
                systemctl("stop", NODE_UNIT);
                systemctl("start", NODE_UNIT);
                node_wait_name(bus, true);
                WAIT_UNTIL(process_n_fds(keeper_pid(bus)) == fds);
                bind_ports(bus, "TCP", 1, &kept);
        }
        release_port(bus, "TCP", kept);
}

/* The keeper has not read a request yet when the node ends. No process is told of the ports, so nobody could
 * release them. */
static void test_end_while_binding(void **state) {
        Bus *bus = *state;
        pid_t keeper = keeper_pid(bus);
        guint fds = process_n_fds(keeper);
        uint16_t port;

        bind_ports(bus, "TCP", 1, &port);
        release_port(bus, "TCP", port);
        assert_return_code(kill(keeper, SIGSTOP), errno);
        WAIT_UNTIL(process_state(keeper) == 'T');
        (void) node_send(bus, "BindTCP", g_variant_new("(u)", 100));
        /* The reply to the second call shows that the first one was handled. */
        node_call_fails(bus, "ReleaseTCP", port_args(port), "NoSuchPort", NULL);
        systemctl("stop", NODE_UNIT);
        assert_return_code(kill(keeper, SIGCONT), errno);
        /* It closes the connection when it has handled what came through it. */
        WAIT_UNTIL(process_n_fds(keeper) == fds - 1);
        systemctl("start", NODE_UNIT);
        node_wait_name(bus, true);
        assert_ports(bus, "");
}

static void test_clean_end(void **state) {
        Bus *bus = *state;
        const char *role = role_name("ends");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        uint16_t tcp[2], udp;

        bind_ports(bus, "TCP", 2, tcp);
        bind_ports(bus, "UDP", 1, &udp);
        start(bus, role, port_option("tcp-ports", tcp[0]), actor(), "serve", fifo_path(fifo), NULL);
        fifo_expect_pid(fifo, "serve");
        assert_true(ask_tcp(tcp[0]) > 0);
        systemctl("stop", NODE_UNIT);
        WAIT_UNTIL(try_bind(SOCK_STREAM, tcp[0]) == 0 && try_bind(SOCK_STREAM, tcp[1]) == 0 &&
                   try_bind(SOCK_DGRAM, udp) == 0);
        systemctl("start", NODE_UNIT);
        node_wait_name(bus, true);
        assert_ports(bus, "");
}

/* systemd stores them for the next keeper, if it has had the time and is configured for it. */
static void test_keeper_gone(void **state) {
        Bus *bus = *state;
        const char *role = role_name("orphan"), *next = role_name("next");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        g_autofree char *now = journal_from_now(), *log = NULL, *expected = NULL;
        uint16_t tcp[2];

        unit_configure(KEEPER_UNIT, "[Service]\nFileDescriptorStoreMax=0\n");
        bind_ports(bus, "TCP", 2, tcp);
        start(bus, role, port_option("tcp-ports", tcp[0]), actor(), "serve", fifo_path(fifo), NULL);
        fifo_expect_pid(fifo, "serve");
        pid_t pid = role_pid(bus, role);
        keeper_crash_and_wait(bus);
        unit_configure(KEEPER_UNIT, NULL);

        assert_ports(bus, "");
        assert_int_equal(try_bind(SOCK_STREAM, tcp[1]), 0);
        assert_int_equal(ask_tcp(tcp[0]), pid); /* the role has a copy of its own */
        log = journal("-u", NODE_UNIT, "-p", "warning", now, NULL);
        expected = g_strdup_printf("TCP port %u is no longer reserved", tcp[1]);
        assert_contains(log, expected);
        assert_contains(log, role);
        start_fails(bus, start_args(next, port_option("tcp-ports", tcp[1]), actor(), "pause", NULL),
                "NoSuchPort", NULL);
        kill_role(bus, role);
        bind_ports(bus, "TCP", 1, tcp);
        release_port(bus, "TCP", tcp[0]);
}

static int bind_at(const char *address, uint16_t port) {
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

        assert_int_equal(inet_pton(AF_INET, address, &a.sin_addr), 1);
        r = bind(fd, (const void *) &a, sizeof(a)) < 0 ? errno : 0;
        close(fd);
        return r;
}

static void test_address(void **state) {
        Bus *bus = *state;
        uint16_t port;

        node_configure(bus, "BindAddress=127.0.0.2\n");
        bind_ports(bus, "TCP", 1, &port);
        assert_int_equal(bind_at("127.0.0.2", port), EADDRINUSE);
        assert_int_equal(bind_at("127.0.0.1", port), 0);
        release_port(bus, "TCP", port);

        /* Not an address of this machine. */
        node_configure(bus, "BindAddress=192.0.2.1\n");
        node_call_fails(bus, "BindTCP", g_variant_new("(u)", 2), "PortsUnavailable", "2 TCP ports",
                "192.0.2.1", NULL);
        write_configuration("BindAddress=localhost\n");
        node_call_fails(bus, "Reload", NULL, INVALID_ARGS, CONFIGURATION_DROP_IN ":2", "BindAddress", NULL);
        node_configure(bus, NULL);
        bind_ports(bus, "TCP", 1, &port);
        assert_int_equal(bind_at("127.0.0.1", port), EADDRINUSE);
        release_port(bus, "TCP", port);
        assert_ports(bus, "");
}

/* Ports by their numbers, and of a range, at an address of their own. */
static void test_by_number(void **state) {
        Bus *bus = *state;
        const char *role = role_name("number");
        g_autoptr(Fifo) fifo = fifo_new("serve");
        uint16_t free_port[2], first, last;
        GVariant *reply;
        const char *text;

        /* Two that are free. */
        bind_ports(bus, "TCP", 2, free_port);
        node_call_fails(bus, "BindPorts", g_variant_new_parsed("('tcp', {'ports': <[%q]>})", free_port[1]),
                "PortsUnavailable", "is reserved already", NULL);
        node_release_ports(bus);
        reply = node_call(bus, "BindPorts",
                g_variant_new_parsed("('tcp', {'ports': <[%q, %q]>, 'address': <'127.0.0.1'>})", free_port[1],
                        free_port[0]));
        g_variant_get(reply, "(@aq&s)", NULL, &text);
        g_autofree char *expected = g_strdup_printf("%u %u", free_port[1], free_port[0]);
        assert_string_equal(text, expected);
        g_variant_unref(reply);
        assert_int_equal(bind_at("127.0.0.1", free_port[0]), EADDRINUSE);
        assert_int_equal(bind_at("127.0.0.2", free_port[0]), 0); /* it is reserved at one address only */

        /* A role gets it, and it survives a restart, as any other. */
        start(bus, role, port_option("tcp-ports", free_port[0]), actor(), "serve", fifo_path(fifo), NULL);
        fifo_expect_pid(fifo, "serve");
        assert_int_equal(ask_tcp(free_port[0]), role_pid(bus, role));
        node_restart(bus);
        assert_int_equal(bind_at("127.0.0.1", free_port[1]), EADDRINUSE);
        stop(bus, role);
        purge(bus, role);
        node_release_ports(bus);

        /* The lowest that is free, beside one that another process has. */
        first = MIN(free_port[0], free_port[1]);
        last = MIN(first + 4095, 65535);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(first) };
        assert_int_equal(bind(fd, (const void *) &any, sizeof(any)), 0);
        node_call_fails(bus, "BindPorts", g_variant_new_parsed("('tcp', {'ports': <[%q]>})", first),
                "PortsUnavailable", "Address already in use", NULL);
        node_call_fails(bus, "BindPorts",
                g_variant_new_parsed("('tcp', {'range': <(%q, %q)>})", first, first), "PortsUnavailable",
                "not enough of the range are free", NULL);
        reply = node_call(
                bus, "BindPorts", g_variant_new_parsed("('tcp', {'range': <(%q, %q)>})", first, last));
        g_variant_get(reply, "(@aq&s)", NULL, &text);
        assert_true(g_ascii_strtoull(text, NULL, 10) > first && g_ascii_strtoull(text, NULL, 10) <= last);
        g_variant_unref(reply);
        close(fd);
        node_release_ports(bus);
        assert_ports(bus, "");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_reserve),
                TEST(test_errors),
                TEST(test_other_users),
                TEST(test_survive),
                TEST(test_promised_to_nobody),
                TEST(test_end_while_binding),
                TEST(test_clean_end),
                TEST(test_keeper_gone),
                TEST(test_address),
                TEST(test_by_number),
        };
        return run_case("ports", tests);
}
