/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * The keeper dies alone. The roles continue with the same node, starts wait for the next keeper, and an exit
 * that could not be seen is "lost" or, if the kernel provides it (pidfd-info), exact, but never invented. The
 * same applies if both die. What systemd had stored by then belongs to the next keeper: stdin, ports, and the
 * processes to be signalled. */

#include <sys/socket.h>
#include <unistd.h>

#include "keeper.h"
#include "net.h"
#include "testlib.h"

static void start_some(Bus *bus, Fifo *fifo) {
        start(bus, role_name("reads"), OPTIONS("{'output': <'null'>}"), actor(), "echo", fifo_path(fifo),
                NULL);
        start(bus, role_name("exits"), NULL, actor(), "exit-on", "USR1", "42", "say", fifo_path(fifo),
                "ready", "pause", NULL);
        fifo_expect_pid(fifo, "ready");
        start(bus, role_name("stays"), NULL, actor(), "pause", NULL);
}

static void check_some(Bus *bus, Fifo *fifo, bool with_stdin, const pid_t pids[3]) {
        const char *roles[] = { role_name("reads"), role_name("exits"), role_name("stays") };
        g_autofree char *cgroup = role_cgroup(bus, role_name("stays"));

        for (size_t i = 0; i < G_N_ELEMENTS(roles); i++) {
                assert_poll(bus, roles[i], "running");
                assert_int_equal(role_pid(bus, roles[i]), pids[i]);
        }
        if (with_stdin) {
                send_input(bus, roles[0], "still there?");
                fifo_expect_pid(fifo, "echo");
        }
        assert_int_equal(kill(pids[1], SIGUSR1), 0);
        expect_end(bus, roles[1], "exited", 42, "exit 42", NULL);
        stop(bus, roles[2]);
        assert_false(cgroup_is_populated(cgroup));
        expect_end(bus, roles[2], "killed", SIGTERM, "exit -15", "stop");
        kill_role(bus, roles[0]);
        expect_end(bus, roles[0], "killed", SIGKILL, "exit -9", "kill");

        /* The names can be used again, and new roles have exact exits. */
        start(bus, roles[1], NULL, actor(), "exit", "7", NULL);
        expect_exited(bus, roles[1], "exited", 7, "self");
}

static void test_keeper(void **state) {
        Bus *bus = *state;
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        pid_t keeper = keeper_pid(bus), node = node_pid(bus), pids[3];

        start_some(bus, fifo);
        pids[0] = role_pid(bus, role_name("reads"));
        pids[1] = role_pid(bus, role_name("exits"));
        pids[2] = role_pid(bus, role_name("stays"));
        keeper_crash(bus);
        check_some(bus, fifo, true, pids);
        WAIT_UNTIL(keeper_is_connected(bus, keeper));
        assert_int_equal(node_pid(bus), node);
}

/* A start without a keeper is completed by the next one. */
static void test_start_meanwhile(void **state) {
        Bus *bus = *state;
        const char *role = role_name("meanwhile");

        for (int i = 0; i < 3; i++) {
                keeper_crash(bus);
                start(bus, role, NULL, actor(), "exit", "3", NULL);
                expect_exited(bus, role, "exited", 3, "self");
        }
}

/* The node receives the call and the end of the keeper at the same time, and may handle the call first. */
static void test_start_at_once(void **state) {
        Bus *bus = *state;
        const char *role = role_name("at-once");
        pid_t node = node_pid(bus);

        for (int i = 0; i < 10; i++) {
                pid_t keeper = keeper_pid(bus);
                guint32 serial;

                assert_int_equal(kill(node, SIGSTOP), 0);
                serial = node_send(bus, "Start", start_args(role, NULL, actor(), "exit", "3", NULL));
                /* The bus has delivered the call before it replies to this one. */
                (void) unit_get(bus, KEEPER_UNIT, "Service", "MainPID");
                keeper_crash(bus);
                assert_int_equal(kill(node, SIGCONT), 0);
                assert_int_equal(bus_wait_reply(bus, serial)->type, G_DBUS_MESSAGE_TYPE_METHOD_RETURN);
                expect_exited(bus, role, "exited", 3, "self");
                WAIT_UNTIL(keeper_is_connected(bus, keeper));
        }
}

/* Children at the gate die with the keeper, so no half-started child runs. */
static void test_during_starts(void **state) {
        Bus *bus = *state;
        pid_t keeper = keeper_pid(bus);
        guint32 serials[40];
        guint running = 0;

        for (guint i = 0; i < G_N_ELEMENTS(serials); i++)
                serials[i] = node_send(
                        bus, "Start", start_args(role_name_n("s", i), NULL, actor(), "pause", NULL));
        bus_wait(bus, "RoleStarted", NULL);
        keeper_crash(bus);
        for (guint i = 0; i < G_N_ELEMENTS(serials); i++) {
                const char *role = role_name_n("s", i);
                g_autofree char *scope = role_scope(role);
                Event *reply = bus_wait_reply(bus, serials[i]);

                if (reply->type == G_DBUS_MESSAGE_TYPE_METHOD_RETURN) {
                        assert_poll(bus, role, "running");
                        assert_true(process_state(role_pid(bus, role)) != 0);
                        running++;
                } else {
                        assert_contains(reply->text, role);
                        /* A scope that was made together with others may stay loaded as long as those. */
                        WAIT_UNTIL(count_units(bus, scope) == 0);
                        assert_no_trace(bus, role, 0);
                }
        }
        print_message("  %u of %zu run\n", running, G_N_ELEMENTS(serials));
        WAIT_UNTIL(keeper_is_connected(bus, keeper));
        {
                Census now = census(bus);
                assert_int_equal(now.processes, running);
                assert_int_equal(now.scopes, running);
        }
}

/* No process is left that knew the roles as children. (The writing end of a standard input is closed,
 * too.) */
static void test_both(void **state) {
        Bus *bus = *state;
        const char *exits = role_name("exits"), *stays = role_name("stays");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        pid_t keeper = keeper_pid(bus), pid;

        start(bus, exits, OPTIONS("{'stdin': <'null'>}"), actor(), "exit-on", "USR1", "42", "say",
                fifo_path(fifo), "ready", "pause", NULL);
        pid = fifo_expect_pid(fifo, "ready");
        start(bus, stays, OPTIONS("{'stdin': <'null'>}"), actor(), "pause", NULL);
        keeper_crash(bus);
        node_crash(bus);
        assert_poll(bus, exits, "running");
        assert_int_equal(role_pid(bus, exits), pid);
        WAIT_UNTIL(keeper_is_connected(bus, keeper));
        assert_int_equal(kill(pid, SIGUSR1), 0);
        expect_end(bus, exits, "exited", 42, "exit 42", NULL);
        stop(bus, stays);
        expect_end(bus, stays, "killed", SIGTERM, "exit -15", "stop");
}

/* After a moment without a start systemd has stored everything: three roles with a pidfd and a stdin each,
 * three ports, the state. To systemd this is one shelf, and the state. */
#define STORED (1 + 3 * 2 + 3)

static void stored(Bus *bus, bool both) {
        const char *reads = role_name("reads"), *exits = role_name("exits"), *serves = role_name("serves");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        pid_t pid;
        uint16_t tcp[2], udp;
        guint mark;

        keeper_wait_stored(bus, 0);
        bind_ports(bus, "TCP", 2, tcp);
        bind_ports(bus, "UDP", 1, &udp);
        start(bus, reads, OPTIONS("{'output': <'null'>}"), actor(), "echo", fifo_path(fifo), NULL);
        start(bus, exits, NULL, actor(), "exit-on", "USR1", "42", "pause", NULL);
        start(bus, serves, port_option("tcp-ports", tcp[0]), actor(), "serve", fifo_path(fifo), NULL);
        pid = fifo_expect_pid(fifo, "serve");
        keeper_wait_stored(bus, STORED);
        keeper_wait_shelved(bus);
        mark = bus_mark(bus);

        /* Twice, because the keeper that has taken over must work like the first. */
        for (int i = 0; i < 2; i++) {
                g_autofree char *mine = NULL, *its = NULL;

                if (both)
                        keeper_and_node_crash(bus);
                else
                        keeper_crash_and_wait(bus);
                assert_poll(bus, reads, "running");
                assert_poll(bus, exits, "running");
                send_input(bus, reads, "still there?");
                fifo_expect_pid(fifo, "echo");

                assert_int_equal(try_bind(SOCK_STREAM, tcp[1]), EADDRINUSE);
                assert_int_equal(try_bind(SOCK_DGRAM, udp), EADDRINUSE);
                assert_int_equal(ask_tcp(tcp[0]), pid);
                mine = list_port(bus, "TCP", tcp[1]);
                its = list_port(bus, "TCP", tcp[0]);
                assert_non_null(mine);
                assert_contains(its, serves);
                keeper_wait_stored(bus, STORED);
                keeper_wait_shelved(bus);
        }
        assert_int_equal(bus_count_since(bus, mark, "RoleExited", NULL), 0);

        /* This goes to the main process only, which requires the keeper. */
        send_signal(bus, exits, "main", SIGUSR1);
        expect_end(bus, exits, "exited", 42, "exit 42", NULL);

        /* The keeper's copies are the last ones. Closing them gives end-of-file and frees the port. */
        close_input(bus, reads);
        expect_end(bus, reads, "exited", 0, "exit 0", NULL);
        release_port(bus, "TCP", tcp[1]);
        assert_int_equal(try_bind(SOCK_STREAM, tcp[1]), 0);
        release_port(bus, "UDP", udp);
        assert_int_equal(try_bind(SOCK_DGRAM, udp), 0);

        stop(bus, serves);
        expect_end(bus, serves, "killed", SIGTERM, "exit -15", "stop");
        assert_int_equal(ask_tcp(tcp[0]), -ECONNREFUSED);
        assert_int_equal(try_bind(SOCK_STREAM, tcp[0]), EADDRINUSE);
        release_port(bus, "TCP", tcp[0]);
        start(bus, exits, NULL, actor(), "exit", "7", NULL);
        expect_exited(bus, exits, "exited", 7, "self");
        keeper_wait_stored(bus, 0);
}

static void test_stored(void **state) {
        stored(*state, false);
}

static void test_both_stored(void **state) {
        stored(*state, true);
}

/* The exit was recorded and stored by systemd, but no node was connected. So the record comes from there,
 * with all values that only a parent gets. */
static void test_end_stored(void **state) {
        Bus *bus = *state;
        const char *role = role_name("ends");
        pid_t pid, node;
        guint64 state_before;
        int pidfd;

        keeper_wait_stored(bus, 0);
        start(bus, role, NULL, actor(), "exit-on", "USR1", "42", "burn", "50", "pause", NULL);
        pid = role_pid(bus, role);
        keeper_wait_stored(bus, 1 + 2);
        state_before = keeper_stored_state();
        node = node_pid(bus);
        pidfd = process_open(pid);
        assert_int_equal(kill(node, SIGSTOP), 0);
        assert_int_equal(kill(pid, SIGUSR1), 0);
        process_wait_dead(pidfd);
        close(pidfd);
        WAIT_UNTIL(keeper_stored_state() != 0 && keeper_stored_state() != state_before);
        keeper_crash(bus);
        assert_int_equal(kill(node, SIGKILL), 0);
        {
                Exited e = expect_exited(bus, role, "exited", 42, "self");

                assert_true(detail_u64(e.details, "cpu-usec") > 0);
        }
        assert_int_equal(bus_count(bus, "RoleExited", role), 1);
}

/* At SIGTERM recent changes are stored before the keeper exits. */
static void test_terminated(void **state) {
        Bus *bus = *state;
        const char *role = role_name("reads");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        pid_t keeper = keeper_pid(bus);

        start(bus, role, OPTIONS("{'output': <'null'>}"), actor(), "echo", fifo_path(fifo), NULL);
        assert_int_equal(kill(keeper, SIGTERM), 0);
        node_crash(bus);
        WAIT_UNTIL(keeper_is_connected(bus, keeper));
        send_input(bus, role, "still there?");
        fifo_expect_pid(fifo, "echo");
        kill_role(bus, role);
        expect_end(bus, role, "killed", SIGKILL, "exit -9", "kill");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_keeper),
                TEST(test_start_meanwhile),
                TEST(test_start_at_once),
                TEST(test_during_starts),
                TEST(test_both),
                TEST(test_stored),
                TEST(test_both_stored),
                TEST(test_end_stored),
                TEST(test_terminated),
        };
        return run_case("keeper-crash", tests);
}
