/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * The node handles what an administrator does with systemctl. A scope that is stopped or killed from outside
 * is a role that has ended; daemon-reload and daemon-reexec have no effect. */

#include "testlib.h"

static void test_stop_of_the_scope(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");
        g_autofree char *scope = role_scope(role);

        start(bus, role, NULL, actor(), "pause", NULL);
        systemctl("stop", scope);
        expect_exited(bus, role, "killed", SIGTERM, "external");
        assert_poll(bus, role, "exit -15");
        stop(bus, role);

        /* The role can be started again at once. */
        start(bus, role, NULL, actor(), "pause", NULL);
        g_free(run_ok("systemctl", "kill", "--signal=KILL", scope, NULL));
        expect_exited(bus, role, "killed", SIGKILL, "external");
        start(bus, role, NULL, actor(), "pause", NULL);
        stop(bus, role);
}

/* The whole slice is stopped, while its roles handle the signal and exit with a status of their own. Each of
 * them was stopped from outside. */
static void test_stop_of_the_slice(void **state) {
        Bus *bus = *state;
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        const char *self = role_name("self");
        g_autofree char *scope = role_scope(self);

        for (int round = 0; round < 3; round++) {
                for (guint i = 0; i < 40; i++) {
                        g_autofree char *status = g_strdup_printf("%u", i);

                        start(bus, role_name_n("s", i), NULL, actor(), "exit-on", "TERM", status, "say",
                                fifo_path(fifo), "ready", "pause", NULL);
                        fifo_expect_pid(fifo, "ready");
                }
                systemctl("stop", NODE_SLICE);
                for (guint i = 0; i < 40; i++)
                        expect_exited(bus, role_name_n("s", i), "exited", (int) i, "external");
        }

        /* Other jobs have no effect. */
        start(bus, self, NULL, actor(), "exit-on", "USR1", "3", "say", fifo_path(fifo), "ready", "pause",
                NULL);
        pid_t pid = fifo_expect_pid(fifo, "ready");
        systemctl("start", scope);
        /* By now the node has received the signal for that job and the reply of systemd about it. */
        node_sync(bus);
        g_free(unit_get_string(bus, scope, "Unit", "Id"));
        node_sync(bus);
        assert_int_equal(kill(pid, SIGUSR1), 0);
        expect_exited(bus, self, "exited", 3, "self");
}

/* The scope has the properties of a unit: description, the stop timeout and the signal of the node, the
 * slice. */
static void test_scope(void **state) {
        Bus *bus = *state;
        const char *role = role_name("b");
        g_autofree char *scope = role_scope(role), *slice = NULL, *parent = NULL, *description = NULL;
        g_autoptr(GVariant) timeout = NULL, kill_signal = NULL;

        start(bus, role, OPTIONS("{'stop-timeout-usec': <@t 3210000>, 'stop-signal': <2>}"), actor(), "pause",
                NULL);
        timeout = unit_get(bus, scope, "Scope", "TimeoutStopUSec");
        assert_int_equal(g_variant_get_uint64(timeout), 3210000);
        kill_signal = unit_get(bus, scope, "Scope", "KillSignal");
        assert_int_equal(g_variant_get_int32(kill_signal), 2);
        description = unit_get_string(bus, scope, "Unit", "Description");
        assert_contains(description, role);
        slice = unit_get_string(bus, scope, "Scope", "Slice");
        assert_true(g_str_has_prefix(slice, "architect-main-") && g_str_has_suffix(slice, ".slice"));
        parent = unit_get_string(bus, slice, "Slice", "Slice");
        assert_string_equal(parent, NODE_SLICE);
}

static void survives(Bus *bus, const char *verb) {
        const char *runs = role_name("runs"), *slow = role_name("slow"), *other = role_name("other");
        g_autoptr(Fifo) fifo = fifo_new(verb);
        pid_t pid;
        guint32 serial;

        start(bus, runs, NULL, actor(), "pause", NULL);
        pid = role_pid(bus, runs);
        start(bus, slow, OPTIONS("{'stop-timeout-usec': <@t 600000>}"), actor(), "tell-on", "TERM",
                fifo_path(fifo), "heard", "say", fifo_path(fifo), "ready", "pause", NULL);
        fifo_expect_pid(fifo, "ready");
        serial = node_send(bus, "Stop", g_variant_new("(s)", slow));
        fifo_expect_pid(fifo, "heard");

        g_free(run_ok("systemctl", verb, NULL));

        node_sync(bus);
        assert_poll(bus, runs, "running");
        assert_int_equal(role_pid(bus, runs), pid);
        assert_int_equal(bus_count(bus, "RoleExited", runs), 0);
        start(bus, other, NULL, actor(), "exit", "4", NULL);
        expect_exited(bus, other, "exited", 4, "self");
        g_variant_unref(bus_result(bus, serial));
        expect_exited(bus, slow, "killed", SIGKILL, "stop");
        stop(bus, runs);
        expect_exited(bus, runs, "killed", SIGTERM, "stop");
}

static void test_daemon_reload(void **state) {
        survives(*state, "daemon-reload");
}

static void test_daemon_reexec(void **state) {
        survives(*state, "daemon-reexec");
}

/* Starts and reloads at the same time. Neither systemd nor the node loses a role. */
static void test_reload_during_starts(void **state) {
        Bus *bus = *state;
        guint32 serials[60];

        for (guint i = 0; i < G_N_ELEMENTS(serials); i++) {
                serials[i] = node_send(
                        bus, "Start", start_args(role_name_n("s", i), NULL, actor(), "pause", NULL));
                if (i % 20 == 10)
                        systemctl("daemon-reload", NULL);
        }
        for (guint i = 0; i < G_N_ELEMENTS(serials); i++)
                g_variant_unref(bus_result(bus, serials[i]));
        for (guint i = 0; i < G_N_ELEMENTS(serials); i++) {
                g_autofree char *scope = role_scope(role_name_n("s", i)),
                                *cgroup = process_cgroup(role_pid(bus, role_name_n("s", i)));

                assert_true(g_str_has_suffix(cgroup, scope));
        }
}

/* "systemctl stop architect-keeper" is refused, because the keeper is the parent of every role. */
static void test_keeper_is_not_stopped(void **state) {
        Bus *bus = *state;
        pid_t keeper = keeper_pid(bus);
        g_autofree char *err = NULL;

        assert_int_not_equal(run(NULL, &err, "systemctl", "stop", KEEPER_UNIT, NULL), 0);
        assert_int_equal(keeper_pid(bus), keeper);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_stop_of_the_scope),
                TEST(test_stop_of_the_slice),
                TEST(test_scope),
                TEST(test_daemon_reload),
                TEST(test_daemon_reexec),
                TEST(test_reload_during_starts),
                TEST(test_keeper_is_not_stopped),
        };
        return run_case("administrator", tests);
}
