/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * Objects that do not belong to the role are not affected: units with similar names, roles with the same
 * prefix, processes of other services, whatever is stopped, killed or restarted. */

#include <unistd.h>

#include "testlib.h"

static void test_units(void **state) {
        Bus *bus = *state;
        /* None of them is a role of this instance. */
        const char *foreign[] = {
                "architect-other-nothing-foreign.a.scope",
                "architect-mainly-nothing-foreign.a.scope",
                "architect-main.nothing-foreign.a.scope",
                "nothing-foreign.a.scope",
                "architect-nothing-foreign.a.scope",
        };
        const char *role = role_name("a");
        int pidfds[G_N_ELEMENTS(foreign)];
        pid_t pids[G_N_ELEMENTS(foreign)];
        g_autoptr(Fifo) fifo = fifo_new("fifo");

        for (size_t i = 0; i < G_N_ELEMENTS(foreign); i++) {
                g_autofree char *unit = g_strconcat("--unit=", foreign[i], NULL);

                spawn("systemd-run", "--quiet", "--scope", "--collect", unit, actor(), "say", fifo_path(fifo),
                        "ready", "pause", NULL);
                pids[i] = fifo_expect_pid(fifo, "ready");
                pidfds[i] = process_open(pids[i]);
        }

        for (size_t i = 0; i < G_N_ELEMENTS(pids); i++)
                node_call_fails(
                        bus, "GetRoleByPID", g_variant_new("(u)", (guint32) pids[i]), "NoSuchRole", NULL);

        start(bus, role, NULL, actor(), "daemon{", "pause", "}", "pause", NULL);
        stop(bus, role);
        start(bus, role, NULL, actor(), "pause", NULL);
        kill_role(bus, role);
        start(bus, role, NULL, actor(), "pause", NULL);
        send_signal(bus, role, "all", SIGKILL);
        expect_exited(bus, role, "killed", SIGTERM, "stop");
        expect_exited(bus, role, "killed", SIGKILL, "kill");
        expect_exited(bus, role, "killed", SIGKILL, "kill");
        /* After a crash the node lists its own scopes only. */
        node_crash(bus);
        node_sync(bus);
        node_restart(bus);
        node_sync(bus);
        /* A shutdown ends its own roles only. */
        start(bus, role, NULL, actor(), "pause", NULL);
        systemctl("stop", NODE_UNIT);
        systemctl("start", NODE_UNIT);
        node_wait_name(bus, true);

        for (size_t i = 0; i < G_N_ELEMENTS(foreign); i++) {
                assert_false(process_is_dead(pidfds[i]));
                assert_int_equal(count_units(bus, foreign[i]), 1);
                assert_int_equal(kill(pids[i], SIGKILL), 0);
                process_wait_dead(pidfds[i]);
                close(pidfds[i]);
        }
}

/* Names are exact: x is neither x-y, nor x.y, nor x with a suffix that looks like a unit. */
static void test_roles(void **state) {
        Bus *bus = *state;
        const char *others[] = { role_name("x-y"), role_name("x.y"), role_name("xy"), role_name("x.scope"),
                role_name("X"), role_name("x-"), role_name("x.") };
        const char *role = role_name("x");
        pid_t pids[G_N_ELEMENTS(others)];

        for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
                start(bus, others[i], NULL, actor(), "pause", NULL);
                pids[i] = role_pid(bus, others[i]);
        }
        for (int round = 0; round < 3; round++) {
                start(bus, role, NULL, actor(), "pause", NULL);
                if (round == 0)
                        stop(bus, role);
                else if (round == 1)
                        kill_role(bus, role);
                else {
                        send_signal(bus, role, "all", SIGKILL);
                        wait_exited(bus, role);
                        stop(bus, role);
                }
                purge(bus, role);
                for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
                        assert_poll(bus, others[i], "running");
                        assert_int_equal(role_pid(bus, others[i]), pids[i]);
                }
        }
}

/* A PID that was that of a role and now belongs to another process is not signalled. The main process is
 * signalled through its parent. */
static void test_ended(void **state) {
        Bus *bus = *state;
        const char *role = role_name("e");
        g_autofree char *scope = role_scope(role), *unit = g_strconcat("--unit=", scope, NULL);
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        pid_t pid;
        int pidfd;

        start(bus, role, NULL, actor(), "exit", "0", NULL);
        expect_exited(bus, role, "exited", 0, "self");
        stop(bus, role);
        WAIT_UNTIL(count_units(bus, scope) == 0);

        /* Another client has made a unit of the same name after the role had ended. Verbs on the ended role
         * do not affect it. */
        spawn("systemd-run", "--quiet", "--scope", "--collect", unit, actor(), "say", fifo_path(fifo),
                "ready", "pause", NULL);
        pid = fifo_expect_pid(fifo, "ready");
        pidfd = process_open(pid);
        node_call_fails(
                bus, "Signal", g_variant_new("(ssi)", role, "all", SIGKILL), "RoleNotRunning", role, NULL);
        stop(bus, role);
        kill_role(bus, role);
        purge(bus, role);
        node_sync(bus);
        assert_false(process_is_dead(pidfd));
        assert_int_equal(kill(pid, SIGKILL), 0);
        process_wait_dead(pidfd);
        close(pidfd);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_units),
                TEST(test_roles),
                TEST(test_ended),
        };
        return run_case("nothing-foreign", tests);
}
