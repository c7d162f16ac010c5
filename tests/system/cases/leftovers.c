/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * The main process has ended, but its children have not. RoleExited is sent at once with the correct status,
 * and then the remaining processes are swept. A Start of the same name inside a handler of RoleExited works,
 * because it waits for the sweep. */

#include <unistd.h>

#include "testlib.h"

/* The main process exits with 7 and leaves a child that reports "heard" at SIGTERM and stays. */
static int start_and_leave(Bus *bus, const char *role, GVariant *options, Fifo *fifo) {
        int child;

        start(bus, role, options, actor(), "daemon{", "tell-on", "TERM", fifo_path(fifo), "heard", "say",
                fifo_path(fifo), "ready", "pause", "}", "read-eof", "exit", "7", NULL);
        child = process_open(fifo_expect_pid(fifo, "ready"));
        close_input(bus, role);
        return child;
}

static void test_swept(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        g_autofree char *scope = role_scope(role), *cgroup = NULL;
        Census before = census_before(bus);
        gint64 exited;
        int child;

        child = start_and_leave(bus, role, OPTIONS("{'stop-timeout-usec': <@t 500000>}"), fifo);
        exited = expect_exited(bus, role, "exited", 7, "self").event->usec;
        cgroup = role_cgroup(bus, role);
        assert_poll(bus, role, "exit 7");
        assert_state(bus, role, "ended");
        /* It gets SIGTERM first, and has its time. */
        fifo_expect_pid(fifo, "heard");
        assert_false(process_is_dead(child));
        process_wait_dead(child);
        assert_true(g_get_monotonic_time() - exited >= 450000);
        cgroup_wait_empty(cgroup);
        WAIT_UNTIL(count_units(bus, scope) == 0);

        assert_int_equal(bus_count(bus, "RoleExited", role), 1);
        assert_poll(bus, role, "exit 7");
        purge(bus, role);
        close(child);
        assert_census(bus, &before);
}

/* Processes that exit at SIGTERM need no SIGKILL and no waiting; their timeout is an hour. */
static void test_willing(void **state) {
        Bus *bus = *state;
        const char *role = role_name("b");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        int children[3];

        start(bus, role, OPTIONS("{'stop-timeout-usec': <@t 3600000000>}"), actor(), "daemon{", "say",
                fifo_path(fifo), "ready", "pause", "}", "fork{", "say", fifo_path(fifo), "ready", "raise",
                "STOP", "pause", "}", "daemon{", "exit-on", "TERM", "0", "say", fifo_path(fifo), "ready",
                "pause", "}", "read-eof", "exit", "0", NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(children); i++)
                children[i] = process_open(fifo_expect_pid(fifo, "ready"));
        close_input(bus, role);
        expect_exited(bus, role, "exited", 0, "self");
        stop(bus, role); /* succeeds once they have ended */
        for (size_t i = 0; i < G_N_ELEMENTS(children); i++) {
                assert_true(process_is_dead(children[i]));
                close(children[i]);
        }
}

/* During the sweep Purge is refused, and Stop waits. */
static void test_while_swept(void **state) {
        Bus *bus = *state;
        const char *role = role_name("c");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        guint32 serial;
        int child;

        child = start_and_leave(bus, role, OPTIONS("{'stop-timeout-usec': <@t 3600000000>}"), fifo);
        expect_exited(bus, role, "exited", 7, "self");
        fifo_expect_pid(fifo, "heard");
        node_call_fails(bus, "Purge", g_variant_new("(^as)", (const char *[]){ role, NULL }), "RoleRunning",
                role, NULL);
        serial = node_send(bus, "Stop", g_variant_new("(s)", role));
        node_sync(bus);
        assert_false(bus_has_reply(bus, serial));
        assert_poll(bus, role, "exit 7");
        kill_role(bus, role);
        assert_true(process_is_dead(child));
        g_variant_unref(bus_result(bus, serial));
        purge(bus, role);
        assert_poll(bus, role, "none");
        close(child);
}

typedef struct Again {
        const char *role;
        const char *fifo;
        guint32 serial;
        gint done; /* atomic */
} Again;

/* Runs in the thread of the connection, during RoleExited. */
static void start_again(Bus *bus, const Event *event, void *userdata) {
        Again *again = userdata;

        if (!event_is(event, "RoleExited", again->role) || again->serial > 0)
                return;
        again->serial = node_send(bus, "Start",
                start_args(again->role, NULL, actor(), "say", again->fifo, "again", "pause", NULL));
        g_atomic_int_set(&again->done, 1);
}

static void test_start_in_handler(void **state) {
        Bus *bus = *state;
        const char *role = role_name("d");
        g_autoptr(Fifo) fifo = fifo_new("fifo"), second = fifo_new("second");
        Again again = { .role = role, .fifo = fifo_path(second) };
        g_autoptr(GVariant) started = NULL;
        g_autofree char *now = NULL;
        int child;

        bus_set_handler(bus, start_again, &again);
        child = start_and_leave(bus, role, OPTIONS("{'stop-timeout-usec': <@t 400000>}"), fifo);
        /* Of the first run, because the second may have begun already. */
        started = event_details(bus_wait(bus, "RoleStarted", role));

        expect_exited(bus, role, "exited", 7, "self");
        WAIT_UNTIL(g_atomic_int_get(&again.done));
        fifo_expect_pid(fifo, "heard");
        g_variant_unref(bus_result(bus, again.serial));
        /* Not before the last process of the old run had ended. */
        assert_true(process_is_dead(child));
        close(child);
        assert_int_equal(fifo_expect_pid(second, "again"), role_pid(bus, role));
        assert_poll(bus, role, "running");
        now = role_get_string(bus, role, "InvocationID");
        assert_string_not_equal(now, detail_string(started, "invocation-id"));
        assert_int_equal(bus_count(bus, "RoleStarted", role), 2);
        assert_int_equal(bus_count(bus, "RoleExited", role), 1);
        bus_set_handler(bus, NULL, NULL);
}

/* Stop and Kill of a start that waits for the sweep of the previous run. They reply when no process of that
 * name is left; Kill applies to the processes of the previous run. */
static void test_cancel_waiting_start(void **state) {
        static const char *const verbs[] = { "Stop", "Kill" };
        Bus *bus = *state;

        for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++) {
                const char *role = role_name(verbs[i]);
                g_autoptr(Fifo) fifo = fifo_new(verbs[i]);
                bool killed = g_str_equal(verbs[i], "Kill");
                guint32 started, cancelled;
                gint64 begin;
                int child;

                child = start_and_leave(bus, role,
                        killed ? OPTIONS("{'stop-timeout-usec': <@t 3600000000>}")
                               : OPTIONS("{'stop-timeout-usec': <@t 700000>}"),
                        fifo);
                expect_exited(bus, role, "exited", 7, "self");
                fifo_expect_pid(fifo, "heard");
                begin = g_get_monotonic_time();
                started = node_send(bus, "Start", start_args(role, NULL, actor(), "pause", NULL));
                node_sync(bus);
                assert_false(bus_has_reply(bus, started));
                assert_state(bus, role, "starting");
                cancelled = node_send(bus, verbs[i], g_variant_new("(s)", role));
                bus_failure(bus, started, "StartCancelled", role, verbs[i], NULL);
                g_variant_unref(bus_result(bus, cancelled));
                assert_true(process_is_dead(child));
                if (killed)
                        assert_true(g_get_monotonic_time() - begin < 60 * G_USEC_PER_SEC);
                assert_poll(bus, role, "exit 7"); /* as before that start */
                purge(bus, role);
                close(child);
        }
}

/* The same repeatedly, without remaining processes. The unit of the last run may still be in removal. */
static void test_again_and_again(void **state) {
        Bus *bus = *state;
        const char *role = role_name("e");

        for (int i = 0; i < 30; i++) {
                Exited exited;

                start(bus, role, NULL, actor(), "exit", "9", NULL);
                exited = expect_exited(bus, role, "exited", 9, "self");
                assert_true(exited.seq > 0);
        }
        assert_int_equal(bus_count(bus, "RoleStarted", role), 30);
        assert_int_equal(bus_count(bus, "RoleExited", role), 30);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_swept),
                TEST(test_willing),
                TEST(test_while_swept),
                TEST(test_start_in_handler),
                TEST(test_cancel_waiting_start),
                TEST(test_again_and_again),
        };
        return run_case("leftovers", tests);
}
