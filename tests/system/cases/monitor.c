/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * The dead-man's switch is armed by the first beat. When beats stop, MonitorTimedOut is sent; on-monitor-loss
 * of a role has precedence over the action of the node. A restart of the service keeps the deadline and does
 * not make it expire, nor does an outage of the service itself. */

#include <signal.h>
#include <unistd.h>

#include "testlib.h"

static void beat(Bus *bus) {
        g_variant_unref(node_call(bus, "Beat", NULL));
}

static void set_timeout(Bus *bus, guint64 usec) {
        g_variant_unref(node_call(bus, "SetMonitorTimeout", g_variant_new("(t)", usec)));
}

static guint64 node_get_u64(Bus *bus, const char *property) {
        g_autoptr(GVariant) value = node_get(bus, property);
        return g_variant_get_uint64(value);
}

/* Stops everything and starts again, disarmed and with the configured timeout. */
static void afresh(Bus *bus) {
        systemctl("stop", NODE_UNIT);
        systemctl("start", NODE_UNIT);
        node_wait_name(bus, true);
}

static void test_fires(void **state) {
        Bus *bus = *state;
        const char *plain = role_name("plain"), *stops = role_name("stops"), *killed = role_name("killed");
        g_autoptr(GVariant) details = NULL;
        Event *event;
        Exited exited;
        guint64 timeout;

        afresh(bus);
        start(bus, plain, NULL, actor(), "pause", NULL);
        start(bus, stops, OPTIONS("{'on-monitor-loss': <'stop'>}"), actor(), "exit-on", "TERM", "4", "pause",
                NULL);
        start(bus, killed, OPTIONS("{'on-monitor-loss': <'kill'>}"), actor(), "ignore", "TERM", "pause",
                NULL);
        g_autofree char *loss = role_get_string(bus, killed, "OnMonitorLoss");
        assert_string_equal(loss, "kill");
        assert_int_equal(node_get_u64(bus, "MonitorTimeoutUSec"), 30 * G_USEC_PER_SEC);
        assert_int_equal(node_get_u64(bus, "MonitorDeadlineUSec"), 0); /* no manager has sent a beat */

        set_timeout(bus, 300000);
        assert_int_equal(node_get_u64(bus, "MonitorDeadlineUSec"), 0);
        gint64 before = g_get_monotonic_time();
        beat(bus);
        guint64 deadline = node_get_u64(bus, "MonitorDeadlineUSec");
        assert_true(deadline >= (guint64) before + 300000);

        event = bus_wait(bus, "MonitorTimedOut", NULL);
        assert_true(event->usec >= (gint64) deadline);
        g_variant_get_child(event->body, 0, "t", &timeout);
        assert_int_equal(timeout, 300000);
        details = event_details(event);
        assert_true(detail_u64(details, "seq") > 0);

        /* The default action: everything stops, including the service. */
        exited = expect_exited(bus, plain, "killed", SIGTERM, "monitor");
        assert_true(exited.event->index > event->index);
        expect_exited(bus, stops, "exited", 4, "monitor");
        expect_exited(bus, killed, "killed", SIGKILL, "monitor");
        bus_wait(bus, "ShuttingDown", "no beat arrived for 0.3 s");
        node_wait_name(bus, false);
        systemctl("start", NODE_UNIT);
        node_wait_name(bus, true);
        assert_int_equal(node_get_u64(bus, "MonitorDeadlineUSec"), 0);
}

/* A role that is kept keeps the service running. */
static void test_keep(void **state) {
        Bus *bus = *state;
        const char *critical = role_name("critical"), *other = role_name("other");

        afresh(bus);
        g_autofree char *from = journal_from_now();
        start(bus, critical, OPTIONS("{'on-monitor-loss': <'keep'>}"), actor(), "pause", NULL);
        start(bus, other, NULL, actor(), "pause", NULL);
        pid_t pid = role_pid(bus, critical), node = node_pid(bus);
        set_timeout(bus, 200000);
        beat(bus);
        bus_wait(bus, "MonitorTimedOut", NULL);
        expect_exited(bus, other, "killed", SIGTERM, "monitor");
        assert_poll(bus, critical, "running");
        assert_int_equal(role_pid(bus, critical), pid);
        assert_int_equal(node_pid(bus), node);
        assert_int_equal(node_get_u64(bus, "MonitorDeadlineUSec"), 0); /* until the next beat */
        g_autofree char *said = journal("-u", NODE_UNIT, from, NULL);
        assert_contains(said,
                "No beat arrived for 0.2 s, stopping 1 roles, killing 0, keeping 1; the service goes on");
        stop(bus, critical);
}

static void test_off(void **state) {
        Bus *bus = *state;

        afresh(bus);
        set_timeout(bus, 200000);
        beat(bus);
        set_timeout(bus, 0);
        beat(bus);
        assert_int_equal(node_get_u64(bus, "MonitorDeadlineUSec"), 0);
        assert_int_equal(node_get_u64(bus, "MonitorTimeoutUSec"), 0);
        g_usleep(400000); /* twice the old timeout; there is no event to wait for */
        node_sync(bus);
        assert_int_equal(bus_count(bus, "MonitorTimedOut", NULL), 0);
}

static void test_restart(void **state) {
        Bus *bus = *state;

        afresh(bus);
        set_timeout(bus, 3600 * (guint64) G_USEC_PER_SEC);
        beat(bus);
        guint64 deadline = node_get_u64(bus, "MonitorDeadlineUSec");
        node_restart(bus);
        assert_int_equal(node_get_u64(bus, "MonitorDeadlineUSec"), deadline);
        assert_int_equal(node_get_u64(bus, "MonitorTimeoutUSec"), 3600 * (guint64) G_USEC_PER_SEC);
        node_crash(bus);
        assert_int_equal(node_get_u64(bus, "MonitorDeadlineUSec"), deadline);
}

/* The service is stopped, restarted or crashed for longer than the timeout. The manager may have sent beats
 * all the time. */
static void test_own_outage(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");

        afresh(bus);
        start(bus, role, NULL, actor(), "pause", NULL);
        set_timeout(bus, 1000000);
        beat(bus);
        pid_t node = node_pid(bus);
        assert_return_code(kill(node, SIGSTOP), errno);
        g_usleep(2500000); /* the outage itself */
        assert_return_code(kill(node, SIGCONT), errno);
        assert_poll(bus, role, "running");
        /* Messages are handled first: the monitor checks the deadline after all pending ones. */
        WAIT_UNTIL(node_get_u64(bus, "MonitorDeadlineUSec") > (guint64) g_get_monotonic_time() + 3000000);

        set_timeout(bus, 500000);
        node_crash(bus);
        assert_true(node_get_u64(bus, "MonitorDeadlineUSec") > (guint64) g_get_monotonic_time() + 3000000);
        assert_poll(bus, role, "running");
        set_timeout(bus, 0);
        assert_int_equal(bus_count(bus, "MonitorTimedOut", NULL), 0);
        stop(bus, role);
}

/* A new timeout in the configuration counts from the last beat, after a reload and after a restart; 0
 * disables it at once. */
static void test_reconfigured(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");
        guint64 last;

        write_configuration("MonitorTimeout=4s\n");
        afresh(bus);
        start(bus, role, NULL, actor(), "pause", NULL);
        pid_t pid = role_pid(bus, role);
        beat(bus);
        last = node_get_u64(bus, "MonitorDeadlineUSec") - 4 * G_USEC_PER_SEC;

        node_configure(bus, "MonitorTimeout=60s\n");
        assert_int_equal(node_get_u64(bus, "MonitorDeadlineUSec"), last + 60 * G_USEC_PER_SEC);
        write_configuration("MonitorTimeout=1h\n");
        node_restart(bus);
        assert_int_equal(node_get_u64(bus, "MonitorDeadlineUSec"), last + 3600 * (guint64) G_USEC_PER_SEC);

        node_configure(bus, "MonitorTimeout=1s\n");
        beat(bus);
        node_configure(bus, "MonitorTimeout=0\n");
        assert_int_equal(node_get_u64(bus, "MonitorDeadlineUSec"), 0);
        g_usleep(1500000); /* longer than the old timeout; there is no event to wait for */
        node_sync(bus);
        assert_int_equal(role_pid(bus, role), pid);

        node_configure(bus, "MonitorTimeout=1s\n");
        beat(bus);
        write_configuration("MonitorTimeout=0\n");
        node_restart(bus);
        assert_int_equal(node_get_u64(bus, "MonitorDeadlineUSec"), 0);
        g_usleep(5500000); /* the grace period after a restart */
        node_sync(bus);
        assert_int_equal(role_pid(bus, role), pid);
        assert_int_equal(bus_count(bus, "MonitorTimedOut", NULL), 0);

        stop(bus, role);
        write_configuration(NULL);
        afresh(bus);
}

static void test_errors(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) alice = bus_new_as("alice");

        start_fails(bus,
                start_args(
                        role_name("bad"), OPTIONS("{'on-monitor-loss': <'panic'>}"), actor(), "pause", NULL),
                INVALID_ARGS, "on-monitor-loss", "panic", NULL);
        node_call_fails(alice, "Beat", NULL, ACCESS_DENIED, NULL);
        node_call_fails(alice, "SetMonitorTimeout", g_variant_new("(t)", (guint64) 1), ACCESS_DENIED, NULL);
        afresh(bus);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_fires),
                TEST(test_keep),
                TEST(test_off),
                TEST(test_restart),
                TEST(test_own_outage),
                TEST(test_reconfigured),
                TEST(test_errors),
        };
        return run_case("monitor", tests);
}
