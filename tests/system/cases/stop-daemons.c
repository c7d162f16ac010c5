/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * After the reply of Stop no process of the role is left, whatever they have done to escape: double forks,
 * sessions of their own, ignored signals, stopped or frozen processes. */

#include <unistd.h>

#include "testlib.h"

#define SHORT_TIMEOUT "{'stop-timeout-usec': <@t 300000>}"

typedef struct Processes {
        char *cgroup;
        GArray *pidfds;
} Processes;

static guint count_pids(const char *cgroup) {
        g_autoptr(GArray) pids = cgroup_pids(cgroup);
        return pids->len;
}

static Processes processes_of(Bus *bus, const char *role, guint expected) {
        Processes p = { .cgroup = role_cgroup(bus, role), .pidfds = g_array_new(false, false, sizeof(int)) };
        g_autoptr(GArray) pids = NULL;

        /* The processes between a daemon and its creator may still be exiting. */
        WAIT_UNTIL(count_pids(p.cgroup) == expected);
        pids = cgroup_pids(p.cgroup);
        for (guint i = 0; i < pids->len; i++) {
                int fd = process_open(g_array_index(pids, pid_t, i));
                assert_false(process_is_dead(fd));
                g_array_append_val(p.pidfds, fd);
        }
        return p;
}

/* At once, without waiting. */
static void assert_all_dead(Bus *bus, const char *role, Processes *p) {
        g_autofree char *scope = role_scope(role);

        assert_false(cgroup_is_populated(p->cgroup));
        for (guint i = 0; i < p->pidfds->len; i++) {
                assert_true(process_is_dead(g_array_index(p->pidfds, int, i)));
                close(g_array_index(p->pidfds, int, i));
        }
        g_array_unref(p->pidfds);
        g_free(p->cgroup);
        assert_state(bus, role, "ended");
        WAIT_UNTIL(count_units(bus, scope) == 0);
}

/* Starts six processes that are hard to stop. */
static void start_stubborn(Bus *bus, const char *role, GVariant *options, Fifo *ready) {
        const char *say = fifo_path(ready);

        start(bus, role, options, actor(),
                /* a typical daemon, and one that ignores SIGTERM */
                "daemon{", "say", say, "up", "pause", "}", "daemon{", "ignore", "TERM", "ignore", "HUP",
                "ignore", "INT", "say", say, "up", "pause", "}",
                /* a stopped child, and one that ignores SIGTERM, too */
                "fork{", "say", say, "up", "raise", "STOP", "pause", "}", "fork{", "ignore", "TERM", "ignore",
                "HUP", "say", say, "up", "raise", "STOP", "pause", "}",
                /* a daemon of a daemon */
                "daemon{", "daemon{", "ignore", "TERM", "say", say, "up", "pause", "}", "}", "ignore", "TERM",
                "ignore", "HUP", "say", say, "up", "pause", NULL);
        for (int i = 0; i < 6; i++)
                fifo_expect_pid(ready, "up");
}

static void test_stop(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");
        g_autoptr(Fifo) ready = fifo_new("ready");
        Census before = census_before(bus);
        Processes p;
        gint64 asked;
        Exited exited;

        start_stubborn(bus, role, OPTIONS(SHORT_TIMEOUT), ready);
        p = processes_of(bus, role, 6);
        asked = g_get_monotonic_time();
        stop(bus, role);
        assert_all_dead(bus, role, &p);
        exited = expect_exited(bus, role, "killed", SIGKILL, "stop");
        /* Not before its timeout expired. */
        assert_true(exited.event->usec - asked >= 300000);
        purge(bus, role);
        assert_census(bus, &before);
}

/* Kill does not send SIGTERM first: the timeout is an hour, but the role ends at once. */
static void test_kill(void **state) {
        Bus *bus = *state;
        const char *role = role_name("b");
        g_autoptr(Fifo) ready = fifo_new("ready");
        Census before = census_before(bus);
        Processes p;

        start_stubborn(bus, role, OPTIONS("{'stop-timeout-usec': <@t 3600000000>}"), ready);
        p = processes_of(bus, role, 6);
        kill_role(bus, role);
        assert_all_dead(bus, role, &p);
        expect_exited(bus, role, "killed", SIGKILL, "kill");
        purge(bus, role);
        assert_census(bus, &before);
}

/* A main process that is stopped by SIGSTOP receives the stop signal, because SIGCONT follows, so no SIGKILL
 * is needed. */
static void test_stopped_main(void **state) {
        Bus *bus = *state;
        const char *role = role_name("c");
        g_autoptr(Fifo) ready = fifo_new("ready");
        pid_t pid;
        Processes p;

        start(bus, role, OPTIONS("{'stop-timeout-usec': <@t 3600000000>}"), actor(), "exit-on", "TERM", "5",
                "say", fifo_path(ready), "ready", "raise", "STOP", "pause", NULL);
        pid = fifo_expect_pid(ready, "ready");
        WAIT_UNTIL(process_state(pid) == 'T');
        p = processes_of(bus, role, 1);
        stop(bus, role);
        expect_exited(bus, role, "exited", 5, "stop");
        assert_all_dead(bus, role, &p);
}

static void freeze(Bus *bus, const char *role) {
        g_autofree char *scope = role_scope(role), *cgroup = role_cgroup(bus, role);

        systemctl("freeze", scope);
        assert_true(cgroup_is_frozen(cgroup));
}

/* The same for a frozen one, which is thawed. */
static void test_frozen(void **state) {
        Bus *bus = *state;
        const char *role = role_name("d");
        g_autoptr(Fifo) ready = fifo_new("ready");
        Processes p;

        start(bus, role, OPTIONS("{'stop-timeout-usec': <@t 3600000000>}"), actor(), "exit-on", "TERM", "6",
                "say", fifo_path(ready), "ready", "pause", NULL);
        fifo_expect_pid(ready, "ready");
        p = processes_of(bus, role, 1);
        freeze(bus, role);
        assert_poll(bus, role, "running");
        stop(bus, role);
        expect_exited(bus, role, "exited", 6, "stop");
        assert_all_dead(bus, role, &p);
}

static void test_frozen_and_stubborn(void **state) {
        Bus *bus = *state;
        const char *role = role_name("e");
        g_autoptr(Fifo) ready = fifo_new("ready");
        const char *verbs[] = { "Stop", "Kill" };

        for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++) {
                Processes p;

                start_stubborn(bus, role, OPTIONS(SHORT_TIMEOUT), ready);
                p = processes_of(bus, role, 6);
                freeze(bus, role);
                g_variant_unref(node_call(bus, verbs[i], g_variant_new("(s)", role)));
                expect_exited(bus, role, "killed", SIGKILL, i == 0 ? "stop" : "kill");
                assert_all_dead(bus, role, &p);
        }
}

/* With stop-to=main the children receive nothing before the main process has ended. Then they are swept. */
static void test_stop_to_main(void **state) {
        Bus *bus = *state;
        const char *role = role_name("f");
        g_autoptr(Fifo) ready = fifo_new("ready"), main_heard = fifo_new("main"),
                        child_heard = fifo_new("child");
        pid_t main_pid;
        Processes p;
        guint32 serial;

        start(bus, role, OPTIONS("{'stop-to': <'main'>, 'stop-timeout-usec': <@t 3600000000>}"), actor(),
                "fork{", "tell-on", "TERM", fifo_path(child_heard), "heard", "say", fifo_path(ready), "child",
                "pause", "}", "tell-on", "TERM", fifo_path(main_heard), "heard", "exit-on", "USR1", "4",
                "say", fifo_path(ready), "main", "pause", NULL);
        /* In either order. */
        for (int i = 0; i < 2; i++)
                g_free(fifo_line(ready));
        main_pid = role_pid(bus, role);
        p = processes_of(bus, role, 2);

        serial = node_send(bus, "Stop", g_variant_new("(s)", role));
        assert_int_equal(fifo_expect_pid(main_heard, "heard"), main_pid);
        node_sync(bus);
        assert_state(bus, role, "stopping");
        assert_false(fifo_has_line(child_heard));

        assert_int_equal(kill(main_pid, SIGUSR1), 0);
        expect_exited(bus, role, "exited", 4, "stop");
        /* Now the child gets the signal. It ignores it, and is not killed for an hour. */
        fifo_expect_pid(child_heard, "heard");
        node_sync(bus);
        assert_false(bus_has_reply(bus, serial));
        kill_role(bus, role);
        g_variant_unref(bus_result(bus, serial));
        assert_all_dead(bus, role, &p);
}

/* With stop-timeout-usec = UINT64_MAX the role is never killed. Only a Kill ends it, and then both calls get
 * their reply. */
static void test_never_kill(void **state) {
        Bus *bus = *state;
        const char *role = role_name("g");
        g_autoptr(Fifo) ready = fifo_new("ready");
        guint32 stopping, killing;
        Processes p;

        start(bus, role, OPTIONS("{'stop-timeout-usec': <@t 18446744073709551615>}"), actor(), "tell-on",
                "TERM", fifo_path(ready), "heard", "say", fifo_path(ready), "ready", "pause", NULL);
        fifo_expect_pid(ready, "ready");
        assert_int_equal(role_get_u64(bus, role, "StopTimeoutUSec"), G_MAXUINT64);
        p = processes_of(bus, role, 1);

        stopping = node_send(bus, "Stop", g_variant_new("(s)", role));
        fifo_expect_pid(ready, "heard");
        for (int i = 0; i < 100; i++)
                assert_poll(bus, role, "running");
        assert_state(bus, role, "stopping");
        assert_false(bus_has_reply(bus, stopping));

        killing = node_send(bus, "Kill", g_variant_new("(s)", role));
        g_variant_unref(bus_result(bus, killing));
        g_variant_unref(bus_result(bus, stopping));
        expect_exited(bus, role, "killed", SIGKILL, "kill");
        assert_all_dead(bus, role, &p);
}

/* Many Stops of one role are one stop, and all get a reply. */
static void test_many_stops(void **state) {
        Bus *bus = *state;
        const char *role = role_name("h");
        g_autoptr(Fifo) ready = fifo_new("ready");
        guint32 serials[50];
        Processes p;

        start(bus, role, OPTIONS(SHORT_TIMEOUT), actor(), "tell-on", "TERM", fifo_path(ready), "heard", "say",
                fifo_path(ready), "ready", "pause", NULL);
        fifo_expect_pid(ready, "ready");
        p = processes_of(bus, role, 1);
        for (size_t i = 0; i < G_N_ELEMENTS(serials); i++)
                serials[i] = node_send(bus, "Stop", g_variant_new("(s)", role));
        for (size_t i = 0; i < G_N_ELEMENTS(serials); i++)
                g_variant_unref(bus_result(bus, serials[i]));
        assert_all_dead(bus, role, &p);
        fifo_expect_pid(ready, "heard");
        assert_false(fifo_has_line(ready));
        assert_int_equal(bus_count(bus, "RoleExited", role), 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_stop),
                TEST(test_kill),
                TEST(test_stopped_main),
                TEST(test_frozen),
                TEST(test_frozen_and_stubborn),
                TEST(test_stop_to_main),
                TEST(test_never_kill),
                TEST(test_many_stops),
        };
        return run_case("stop-daemons", tests);
}
