/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * The keeper may die alone, and nothing runs away: the roles live on under the same node, starts wait for the next keeper, and an
 * end that nobody could see is "lost" or, where the kernel tells (pidfd-info), exact; never made up. The same when both die. */

#include "testlib.h"

/* Of a role whose parent is gone. */
static void expect_end(
        Bus *bus, const char *role, const char *code, int status, const char *poll, const char *cause) {
        g_autoptr(GVariant) value = node_get(bus, "Features");
        g_autofree const char **features = g_variant_get_strv(value, NULL);

        if (g_strv_contains(features, "pidfd-info")) {
                expect_exited(bus, role, code, status, cause);
                assert_poll(bus, role, poll);
        } else {
                expect_exited(bus, role, "lost", -1, cause);
                assert_poll(bus, role, "exit unknown");
        }
        assert_int_equal(bus_count(bus, "RoleExited", role), 1);
}

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

        /* The names can be used again, and what is started now is as exact as ever. */
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

/* Asked for while there is none, it is answered by the next one. */
static void test_start_meanwhile(void **state) {
        Bus *bus = *state;
        const char *role = role_name("meanwhile");

        for (int i = 0; i < 3; i++) {
                keeper_crash(bus);
                start(bus, role, NULL, actor(), "exit", "3", NULL);
                expect_exited(bus, role, "exited", 3, "self");
        }
}

/* Children at the gate die with it; none of them runs half started. */
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
                        /* One that was made together with others may stay loaded as long as those. */
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

/* Nobody is left who knew them as children. (Who held the writing end of a standard input is gone as well.) */
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

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_keeper),
                TEST(test_start_meanwhile),
                TEST(test_during_starts),
                TEST(test_both),
        };
        return run_case("keeper-crash", tests);
}
