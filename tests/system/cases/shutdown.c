/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * Shutdown(reason) replies, sends ShuttingDown, stops all roles in parallel and ends the service with
 * success. Meanwhile calls that change something are refused with ShuttingDown, and calls that read get their
 * reply. systemctl stop does the same. Afterwards the service starts without any trace of it. */

#include <glib/gstdio.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "testlib.h"

/* Otherwise systemd removes the unit and its result as soon as it has ended. */
static void keep_unit(Bus *bus) {
        g_variant_unref(bus_call(bus, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "RefUnit",
                g_variant_new("(s)", NODE_UNIT)));
}

static bool service_is_inactive(Bus *bus) {
        g_autofree char *active = unit_get_string(bus, NODE_UNIT, "Unit", "ActiveState");

        assert_string_not_equal(active, "failed");
        return strcmp(active, "inactive") == 0;
}

static bool service_has_failed(Bus *bus) {
        g_autofree char *active = unit_get_string(bus, NODE_UNIT, "Unit", "ActiveState");

        return strcmp(active, "failed") == 0;
}

static void check_service_ended(Bus *bus) {
        g_autofree char *result = NULL;
        g_autoptr(GVariant) status = NULL, code = NULL;
        g_autoptr(GArray) children = NULL;

        node_wait_name(bus, false);
        WAIT_UNTIL(service_is_inactive(bus)); /* systemd sends its state only to subscribers */
        result = unit_get_string(bus, NODE_UNIT, "Service", "Result");
        status = unit_get(bus, NODE_UNIT, "Service", "ExecMainStatus");
        code = unit_get(bus, NODE_UNIT, "Service", "ExecMainCode");
        assert_string_equal(result, "success");
        assert_int_equal(g_variant_get_int32(code), 1 /* CLD_EXITED */);
        assert_int_equal(g_variant_get_int32(status), 0);
        WAIT_UNTIL(count_units(bus, SCOPE_PATTERN) ==
                   0); /* their cgroups are empty, and systemd removes the units soon */
        /* The keeper has reaped them, so no exit is left for a successor. */
        children = process_children(keeper_pid(bus));
        assert_int_equal(children->len, 0);
}

static void check_starts_afresh(Bus *bus, pid_t keeper) {
        const char *role = role_name("afresh");

        systemctl("start", NODE_UNIT);
        node_wait_name(bus, true);
        start(bus, role, NULL, actor(), "exit", "0", NULL);
        expect_exited(bus, role, "exited", 0, "self");
        assert_int_equal(keeper_pid(bus), keeper);
}

/* One role that takes its time, one that must be killed, two that exit at once. */
static void start_some(Bus *bus, Fifo *fifo) {
        start(bus, role_name("willing"), NULL, actor(), "pause", NULL);
        start(bus, role_name("ordered"), NULL, actor(), "exit-on", "TERM", "5", "say", fifo_path(fifo),
                "ready", "pause", NULL);
        start(bus, role_name("stubborn"), OPTIONS("{'stop-timeout-usec': <@t 1000000>}"), actor(), "tell-on",
                "TERM", fifo_path(fifo), "heard", "daemon{", "ignore", "TERM", "say", fifo_path(fifo),
                "ready", "pause", "}", "pause", NULL);
        start(bus, role_name("ended"), NULL, actor(), "exit", "3", NULL);
        fifo_expect_pid(fifo, "ready");
        fifo_expect_pid(fifo, "ready");
        expect_exited(bus, role_name("ended"), "exited", 3, "self");
}

static void check_exits(Bus *bus, const Event *announced) {
        Exited exits[] = {
                expect_exited(bus, role_name("willing"), "killed", SIGTERM, "shutdown"),
                expect_exited(bus, role_name("ordered"), "exited", 5, "shutdown"),
                expect_exited(bus, role_name("stubborn"), "killed", SIGKILL, "shutdown"),
        };

        for (size_t i = 0; i < G_N_ELEMENTS(exits); i++) {
                assert_true(announced->index < exits[i].event->index);
                assert_int_equal(bus_count(bus, "RoleExited", exits[i].event->text), 1);
        }
        /* In parallel, so the slow one is the last. */
        assert_true(exits[0].event->index < exits[2].event->index);
        assert_true(exits[1].event->index < exits[2].event->index);
}

static void test_method(void **state) {
        Bus *bus = *state;
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        g_autofree char *slice = NULL;
        g_autoptr(GVariant) details = NULL;
        const char *refused = role_name("refused"), *none[] = { NULL };
        g_autofree char *from = journal_from_now(), *log = NULL;
        pid_t keeper = keeper_pid(bus);
        Event *announced;
        guint32 serial;

        keep_unit(bus);
        start_some(bus, fifo);
        serial = node_send(bus, "Shutdown", g_variant_new("(s)", "the roof is open"));
        announced = bus_wait(bus, "ShuttingDown", NULL);
        assert_string_equal(announced->text, "the roof is open");
        assert_string_equal(announced->path, NODE_PATH);
        details = event_details(announced);
        assert_int_equal(detail_u32(details, "caller-uid"), 0);
        assert_int_equal(detail_u32(details, "caller-pid"), getpid());
        assert_true(detail_u64(details, "seq") > 0);
        g_variant_unref(bus_result(bus, serial));

        /* The stubborn one leaves a second. */
        fifo_expect_pid(fifo, "heard");
        start_fails(bus, start_args(refused, NULL, actor(), "pause", NULL), "ShuttingDown", NULL);
        node_call_fails(bus, "Purge", g_variant_new("(^as)", none), "ShuttingDown", NULL);
        assert_poll(bus, role_name("stubborn"), "running");
        assert_poll(bus, role_name("ended"), "exit 3");
        slice = node_get_string(bus, "State");
        assert_string_equal(slice, "stopping");
        node_call_fails(
                bus, "SendInput", g_variant_new("(ss)", role_name("stubborn"), "x"), "ShuttingDown", NULL);

        check_exits(bus, announced);
        check_service_ended(bus);
        assert_int_equal(bus_count(bus, "ShuttingDown", NULL), 1);
        log = journal(from, "-u", NODE_UNIT, "ARCHITECT_REASON=the roof is open", NULL);
        assert_string_equal(log, "Shutting down: the roof is open\n");
        check_starts_afresh(bus, keeper);
}

static void test_systemctl_stop(void **state) {
        Bus *bus = *state;
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        pid_t keeper = keeper_pid(bus);
        Event *announced;

        keep_unit(bus);
        start_some(bus, fifo);
        systemctl("stop", NODE_UNIT);
        announced = bus_wait(bus, "ShuttingDown", NULL);
        assert_string_equal(announced->text, "");
        check_exits(bus, announced);
        check_service_ended(bus);
        check_starts_afresh(bus, keeper);
}

/* A pending start is cancelled and not lost. */
static void test_start_under_way(void **state) {
        Bus *bus = *state;
        const char *role = role_name("starting");
        g_autofree char *path = role_path(role);
        pid_t keeper = keeper_pid(bus);
        guint32 serial;

        keep_unit(bus);
        assert_int_equal(kill(keeper, SIGSTOP), 0);
        WAIT_UNTIL(process_state(keeper) == 'T');
        serial = node_send(bus, "Start", start_args(role, NULL, actor(), "pause", NULL));
        bus_wait(bus, "InterfacesAdded", path);
        g_variant_unref(node_call(bus, "Shutdown", g_variant_new("(s)", "")));
        bus_wait(bus, "ShuttingDown", NULL);
        assert_int_equal(kill(keeper, SIGCONT), 0);
        bus_failure(bus, serial, "StartCancelled", role, NULL);
        check_service_ended(bus);
        check_starts_afresh(bus, keeper);
        assert_int_equal(bus_count(bus, "RoleStarted", role), 0);
        assert_poll(bus, role, "none");
}

/* 60 roles, each of which needs its timeout of half a second: together, and not one after the other. */
static void test_in_parallel(void **state) {
        Bus *bus = *state;
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        pid_t keeper = keeper_pid(bus);
        gint64 begin;

        keep_unit(bus);
        for (guint i = 0; i < 60; i++) {
                start(bus, role_name_n("p", i), OPTIONS("{'stop-timeout-usec': <@t 500000>}"), actor(),
                        "ignore", "TERM", "say", fifo_path(fifo), "ready", "pause", NULL);
                fifo_expect_pid(fifo, "ready");
        }
        begin = g_get_monotonic_time();
        g_variant_unref(node_call(bus, "Shutdown", g_variant_new("(s)", "")));
        for (guint i = 0; i < 60; i++)
                expect_exited(bus, role_name_n("p", i), "killed", SIGKILL, "shutdown");
        /* One after the other would take 30 s. */
        assert_true(g_get_monotonic_time() - begin < 15 * G_USEC_PER_SEC);
        check_service_ended(bus);
        check_starts_afresh(bus, keeper);
}

/* For a service that was started by hand it means the same as systemctl stop. */
static void test_interrupt(void **state) {
        Bus *bus = *state;
        const char *role = role_name("runs");
        pid_t keeper = keeper_pid(bus);

        keep_unit(bus);
        start(bus, role, NULL, actor(), "pause", NULL);
        assert_int_equal(kill(node_pid(bus), SIGINT), 0);
        bus_wait(bus, "ShuttingDown", NULL);
        expect_exited(bus, role, "killed", SIGTERM, "shutdown");
        check_service_ended(bus);
        check_starts_afresh(bus, keeper);
}

/* The longest stop timeout and at most 5 s, however short the timeout of the unit is, because the service
 * makes systemd wait. */
static void test_time(void **state) {
        Bus *bus = *state;
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        pid_t keeper = keeper_pid(bus);
        gint64 begin, took;

        keep_unit(bus);
        unit_configure(NODE_UNIT, "[Service]\nTimeoutStopSec=500ms\n");
        start(bus, role_name("short"), OPTIONS("{'stop-timeout-usec': <@t 100000>}"), actor(), "ignore",
                "TERM", "say", fifo_path(fifo), "ready", "pause", NULL);
        start(bus, role_name("long"), OPTIONS("{'stop-timeout-usec': <@t 3000000>}"), actor(), "ignore",
                "TERM", "say", fifo_path(fifo), "ready", "pause", NULL);
        fifo_expect_pid(fifo, "ready");
        fifo_expect_pid(fifo, "ready");
        begin = g_get_monotonic_time();
        systemctl("stop", NODE_UNIT);
        took = g_get_monotonic_time() - begin;
        unit_configure(NODE_UNIT, NULL);
        expect_exited(bus, role_name("short"), "killed", SIGKILL, "shutdown");
        expect_exited(bus, role_name("long"), "killed", SIGKILL, "shutdown");
        assert_true(took >= 3 * G_USEC_PER_SEC);
        assert_true(took <= (3 + 5) * G_USEC_PER_SEC);
        check_service_ended(bus);
        check_starts_afresh(bus, keeper);
}

#define POLICY "/etc/dbus-1/system.d/zz-test-systemd-is-deaf.conf"

/* Stops or restores the messages of systemd on the bus. systemctl uses a private connection. */
static void systemd_answers(bool answers) {
        if (answers)
                assert_int_equal(g_unlink(POLICY), 0);
        else
                assert_true(g_file_set_contents(POLICY,
                        "<busconfig><policy context='mandatory'><deny send_destination='" SYSTEMD_NAME
                        "' send_interface='org.freedesktop.DBus.Properties'/></policy></busconfig>\n",
                        -1, NULL));
        g_free(run_ok("busctl", "call", "org.freedesktop.DBus", "/org/freedesktop/DBus",
                "org.freedesktop.DBus", "ReloadConfig", NULL));
}

/* A shutdown continues at SIGTERM, even though a service that cannot find out the reason of the signal would
 * leave the roles running. */
static void test_signal_under_way(void **state) {
        Bus *bus = *state;
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        const char *role = role_name("stubborn");
        pid_t keeper = keeper_pid(bus), node = node_pid(bus);
        Exited exited;

        keep_unit(bus);
        start(bus, role, OPTIONS("{'stop-timeout-usec': <@t 2000000>}"), actor(), "tell-on", "TERM",
                fifo_path(fifo), "heard", "say", fifo_path(fifo), "ready", "pause", NULL);
        fifo_expect_pid(fifo, "ready");
        int child = process_open(role_pid(bus, role)), service = process_open(node);
        g_variant_unref(node_call(bus, "Shutdown", g_variant_new("(s)", "")));
        fifo_expect_pid(fifo, "heard");
        systemd_answers(false);
        assert_return_code(kill(node, SIGTERM), errno);
        process_wait_dead(service);
        systemd_answers(true);
        assert_true(process_is_dead(child));
        exited = expect_exited(bus, role, "killed", SIGKILL, "shutdown");
        assert_int_equal(bus_count(bus, "RoleExited", exited.event->text), 1);
        check_service_ended(bus);
        check_starts_afresh(bus, keeper);
        close(child);
        close(service);
}

/* The same in the successor of a service that crashed, before it has resumed the shutdown, because the keeper
 * does not reply yet. */
static void test_signal_before_resumed(void **state) {
        Bus *bus = *state;
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        const char *role = role_name("stubborn");
        pid_t keeper = keeper_pid(bus);

        keep_unit(bus);
        start(bus, role, OPTIONS("{'stop-timeout-usec': <@t 4000000>}"), actor(), "tell-on", "TERM",
                fifo_path(fifo), "heard", "say", fifo_path(fifo), "ready", "pause", NULL);
        fifo_expect_pid(fifo, "ready");
        int child = process_open(role_pid(bus, role));
        g_variant_unref(node_call(bus, "Shutdown", g_variant_new("(s)", "")));
        fifo_expect_pid(fifo, "heard");
        assert_return_code(kill(keeper, SIGSTOP), errno);
        node_crash(bus);
        pid_t node = node_pid(bus);
        int service = process_open(node);
        systemd_answers(false);
        assert_return_code(kill(node, SIGTERM), errno);
        g_usleep(300000); /* that it is still waiting is not an event */
        assert_return_code(kill(keeper, SIGCONT), errno);
        process_wait_dead(service);
        systemd_answers(true);
        assert_true(process_is_dead(child));
        expect_exited(bus, role, "killed", SIGKILL, "shutdown");
        check_service_ended(bus);
        check_starts_afresh(bus, keeper);
        close(child);
        close(service);
}

/* The successor of a service that crashed during a shutdown completes it, with the same reason, and refuses
 * other calls in the meantime. */
static void test_crash(void **state) {
        Bus *bus = *state;
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        g_autoptr(GVariant) details = NULL;
        const char *role = role_name("stubborn"), *late = role_name("late");
        pid_t keeper = keeper_pid(bus);
        Event *announced;

        keep_unit(bus);
        start(bus, role, OPTIONS("{'stop-timeout-usec': <@t 4000000>}"), actor(), "tell-on", "TERM",
                fifo_path(fifo), "heard", "say", fifo_path(fifo), "ready", "pause", NULL);
        fifo_expect_pid(fifo, "ready");
        g_variant_unref(node_call(bus, "Shutdown", g_variant_new("(s)", "a storm = \"\u2602\"\ncomes")));
        bus_wait(bus, "ShuttingDown", NULL);
        fifo_expect_pid(fifo, "heard");
        node_crash(bus);
        announced = bus_wait(bus, "ShuttingDown", NULL);
        assert_string_equal(announced->text, "a storm = \"\u2602\"\ncomes");
        details = event_details(announced);
        assert_int_equal(detail_u32(details, "caller-uid"), 0);
        assert_int_equal(detail_u32(details, "caller-pid"), getpid());
        start_fails(bus, start_args(late, NULL, actor(), "pause", NULL), "ShuttingDown", NULL);
        expect_exited(bus, role, "killed", SIGKILL, "shutdown");
        check_service_ended(bus);
        check_starts_afresh(bus, keeper); /* the shutdown is complete */
        assert_int_equal(bus_count(bus, "ShuttingDown", NULL), 2);
}

/* A tracer keeps the role from ending, which SIGKILL does not change. The service ends with a status of its
 * own, and systemd does not start it again, because it was to stop. */
static void test_stuck(void **state) {
        static const char *const ways[] = { "Shutdown", "systemctl stop" };
        Bus *bus = *state;
        g_autoptr(Fifo) fifo = fifo_new("fifo");

        keep_unit(bus);
        for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
                const char *role = role_name_n("stuck", (guint) i);
                g_autoptr(GVariant) status = NULL, before = unit_get(bus, NODE_UNIT, "Service", "NRestarts"),
                                    after = NULL;
                pid_t pid;

                start(bus, role, OPTIONS("{'stop-timeout-usec': <@t 100000>}"), actor(), "ignore", "TERM",
                        "say", fifo_path(fifo), "ready", "pause", NULL);
                pid = fifo_expect_pid(fifo, "ready");
                assert_return_code(ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_TRACEEXIT), errno);
                if (g_str_equal(ways[i], "Shutdown"))
                        g_variant_unref(node_call(bus, "Shutdown", g_variant_new("(s)", "")));
                else
                        (void) run(NULL, NULL, "systemctl", "stop", NODE_UNIT, NULL);
                node_wait_name(bus, false);
                WAIT_UNTIL(service_has_failed(bus));
                status = unit_get(bus, NODE_UNIT, "Service", "ExecMainStatus");
                assert_int_equal(g_variant_get_int32(status), 3);
                after = unit_get(bus, NODE_UNIT, "Service", "NRestarts");
                assert_true(g_variant_equal(before, after));
                /* The next one still knows the role, and does not shut down. */
                systemctl("start", NODE_UNIT);
                node_wait_name(bus, true);
                assert_state(bus, role, "stopping");
                assert_return_code(waitpid(pid, NULL, __WALL), errno); /* it has stopped at its exit */
                assert_return_code(ptrace(PTRACE_DETACH, pid, NULL, NULL), errno);
                stop(bus, role);
                expect_exited(bus, role, "killed", SIGKILL, "shutdown");
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_method),
                TEST(test_systemctl_stop),
                TEST(test_start_under_way),
                TEST(test_in_parallel),
                TEST(test_interrupt),
                TEST(test_time),
                TEST(test_signal_under_way),
                TEST(test_signal_before_resumed),
                TEST(test_crash),
                TEST(test_stuck),
        };
        return run_case("shutdown", tests);
}
