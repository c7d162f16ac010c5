/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * What a Start waits for after the exec, by the option type, also over the death of the node. */

#include <unistd.h>

#include "testlib.h"

static guint32 send_start(Bus *bus, GVariant *args) {
        return node_send(bus, "Start", args);
}

static bool is_ready(Bus *bus, const char *role) {
        g_autoptr(GVariant) value = role_get(bus, role, "Ready");

        return g_variant_get_boolean(value);
}

static void test_exec(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");

        start(bus, role, NULL, actor(), "pause", NULL);
        assert_true(is_ready(bus, role));
        stop(bus, role);
        assert_false(is_ready(bus, role));
}

static void test_oneshot(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        guint32 serial =
                send_start(bus, start_args(role, OPTIONS("{'type': <'oneshot'>}"), actor(), "exit-on", "USR1",
                                        "0", "say", fifo_path(fifo), "up", "pause", NULL));
        pid_t pid = fifo_expect_pid(fifo, "up");

        bus_wait(bus, "RoleStarted", role);
        node_sync(bus);
        assert_false(bus_has_reply(bus, serial));
        assert_state(bus, role, "running");
        assert_poll(bus, role, "running");
        assert_false(is_ready(bus, role));
        assert_int_equal(kill(pid, SIGUSR1), 0);
        bus_result(bus, serial);
        assert_true(is_ready(bus, role));
        expect_exited(bus, role, "exited", 0, "self");
        assert_poll(bus, role, "exit 0");
}

static void test_fails(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");
        Census before = census_before(bus);

        start_fails(bus, start_args(role, OPTIONS("{'type': <'oneshot'>}"), actor(), "exit", "3", NULL),
                "StartFailed", role, "exit 3", NULL);
        expect_exited(bus, role, "exited", 3, "self");
        assert_poll(bus, role, "exit 3");
        start_fails(bus,
                start_args(role, OPTIONS("{'type': <'oneshot'>}"), actor(), "raise", "SEGV", "pause", NULL),
                "StartFailed", role, "killed by signal 11", NULL);
        expect_exited(bus, role, "killed", SIGSEGV, "self");
        /* What it has left is gone when the caller is told. */
        start_fails(bus,
                start_args(role, OPTIONS("{'type': <'oneshot'>}"), actor(), "daemon{", "pause", "}", "exit",
                        "4", NULL),
                "StartFailed", "exit 4", NULL);
        expect_exited(bus, role, "exited", 4, "self");
        assert_int_equal(count_units(bus, role_scope(role)), 0);
        start_fails(bus,
                start_args(role,
                        OPTIONS("{'type': <'oneshot'>, 'remove': <true>, 'timeout-start-usec': <@t 200000>}"),
                        actor(), "daemon{", "ignore", "TERM", "pause", "}", "pause", NULL),
                "StartTimedOut", role, "200 ms", NULL);
        expect_exited(bus, role, "killed", SIGTERM, "timeout");
        assert_state(bus, role, "none");
        assert_census(bus, &before);
}

static void test_stopped(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        guint32 serial =
                send_start(bus, start_args(role, OPTIONS("{'type': <'oneshot'>}"), actor(), "exit-on", "TERM",
                                        "0", "say", fifo_path(fifo), "up", "pause", NULL));

        fifo_expect_pid(fifo, "up");
        stop(bus, role);
        bus_failure(bus, serial, "StartCancelled", "Stop", NULL);
        expect_exited(bus, role, "exited", 0, "stop");
        assert_false(is_ready(bus, role));
}

/* The caller receives an error, the command runs on, and its timeout is the one of before. */
static void crash(Bus *bus, void (*again)(Bus *bus)) {
        const char *good = role_name("good"), *late = role_name("late");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        guint32 first = send_start(
                bus, start_args(good, OPTIONS("{'type': <'oneshot'>, 'timeout-start-usec': <@t 600000000>}"),
                             actor(), "exit-on", "USR1", "0", "say", fifo_path(fifo), "up", "pause", NULL));
        pid_t pid = fifo_expect_pid(fifo, "up");
        gint64 began = g_get_monotonic_time();
        guint32 second = send_start(
                bus, start_args(late, OPTIONS("{'type': <'oneshot'>, 'timeout-start-usec': <@t 4000000>}"),
                             actor(), "say", fifo_path(fifo), "late", "pause", NULL));
        Exited exited;

        fifo_expect_pid(fifo, "late");
        again(bus);
        assert_non_null(bus_wait_reply(bus, first)->error);
        assert_non_null(bus_wait_reply(bus, second)->error);
        assert_state(bus, good, "running");
        assert_false(is_ready(bus, good));
        assert_int_equal(role_pid(bus, good), pid);
        assert_int_equal(kill(pid, SIGUSR1), 0);
        expect_exited(bus, good, "exited", 0, "self");
        assert_true(is_ready(bus, good));

        exited = expect_exited(bus, late, "killed", SIGTERM, "timeout");
        assert_in_range((guint64) (exited.event->usec - began), 3900000, 20000000);
        assert_false(is_ready(bus, late));
}

static void test_restart(void **state) {
        crash(*state, node_restart);
}

static void test_crash(void **state) {
        crash(*state, node_crash);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_exec),
                TEST(test_oneshot),
                TEST(test_fails),
                TEST(test_stopped),
                TEST(test_restart),
                TEST(test_crash),
        };

        return run_case("start-type", tests);
}
