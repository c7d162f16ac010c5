/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * RoleStarted is sent before the reply of Start, RoleExited before the reply of the Stop that caused it. Each
 * event has a number of its own, one higher than the last, and contains the caller. */

#include <unistd.h>

#include "testlib.h"

static void test_started_before_reply(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");
        g_autofree char *path = role_path(role), *scope = role_scope(role), *epoch = NULL, *invocation = NULL;
        guint32 serial = node_send(bus, "Start", start_args(role, NULL, actor(), "pause", NULL));
        Event *reply = bus_wait_reply(bus, serial);
        /* A signal that arrives after the reply would be too late. */
        Event *started = bus_find(bus, "RoleStarted", role);
        g_autoptr(GVariant) details = NULL;
        const char *object, *unit;
        guint32 pid;

        g_variant_unref(bus_result(bus, serial));
        assert_non_null(started);
        assert_true(started->index < reply->index);
        assert_string_equal(started->path, NODE_PATH);
        assert_string_equal(started->interface, NODE_INTERFACE);

        g_variant_get(started->body, "(&s&ou&s@a{sv})", NULL, &object, &pid, &unit, &details);
        assert_string_equal(object, path);
        assert_string_equal(unit, scope);
        assert_int_equal(pid, role_pid(bus, role));

        epoch = node_get_string(bus, "EventEpoch");
        invocation = role_get_string(bus, role, "InvocationID");
        assert_string_equal(detail_string(details, "epoch"), epoch);
        assert_string_equal(detail_string(details, "invocation-id"), invocation);
        assert_int_equal(detail_u64(details, "realtime-usec"), role_get_u64(bus, role, "StartTimestamp"));
        assert_int_equal(
                detail_u64(details, "monotonic-usec"), role_get_u64(bus, role, "StartTimestampMonotonic"));
        assert_int_equal(detail_u32(details, "caller-uid"), 0);
        assert_int_equal(detail_u32(details, "caller-pid"), getpid());
}

static void test_exited_before_reply(void **state) {
        Bus *bus = *state;
        const char *role = role_name("b");
        guint32 serial;
        Event *reply, *event;
        Exited exited;

        start(bus, role, NULL, actor(), "pause", NULL);
        serial = node_send(bus, "Stop", g_variant_new("(s)", role));
        reply = bus_wait_reply(bus, serial);
        event = bus_find(bus, "RoleExited", role);
        g_variant_unref(bus_result(bus, serial));
        assert_non_null(event);
        assert_true(event->index < reply->index);
        exited = exited_from(event);
        assert_string_equal(exited.cause, "stop");
        assert_int_equal(detail_u32(exited.details, "caller-uid"), 0);
        assert_int_equal(detail_u32(exited.details, "caller-pid"), getpid());
}

static void test_sequence(void **state) {
        Bus *bus = *state;
        const char *role = role_name("c");
        g_autofree char *epoch = node_get_string(bus, "EventEpoch");
        g_autoptr(GVariant) before = node_get(bus, "EventSequence");
        g_autoptr(GVariant) after = NULL;
        guint64 seq = g_variant_get_uint64(before);
        const char *members[] = { "RoleStarted", "RoleExited", "RolePurged" };

        for (int round = 0; round < 3; round++) {
                start(bus, role, NULL, actor(), "pause", NULL);
                stop(bus, role);
                purge(bus, role);
                for (size_t i = 0; i < G_N_ELEMENTS(members); i++) {
                        g_autoptr(GVariant) details = event_details(bus_wait(bus, members[i], role));

                        assert_int_equal(detail_u64(details, "seq"), ++seq);
                        assert_string_equal(detail_string(details, "epoch"), epoch);
                }
        }
        after = node_get(bus, "EventSequence");
        assert_int_equal(g_variant_get_uint64(after), seq);
}

/* A client that only listens receives the same events as the one that calls. */
static void test_everybody_hears(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) other = bus_new();
        g_autoptr(Bus) alice = bus_new_as("alice");
        Bus *listeners[] = { other, alice };
        const char *role = role_name("d");

        start(bus, role, NULL, actor(), "exit", "5", NULL);
        expect_exited(bus, role, "exited", 5, "self");
        for (size_t i = 0; i < G_N_ELEMENTS(listeners); i++) {
                Event *started = bus_wait(listeners[i], "RoleStarted", role);
                Exited exited = expect_exited(listeners[i], role, "exited", 5, "self");

                assert_true(started->index < exited.event->index);
        }
}

/* The caller is identified by more than a number if it is a service. */
static void test_caller_unit(void **state) {
        Bus *bus = *state;
        const char *role = role_name("e");
        Exited exited;

        start(bus, role, NULL, actor(), "pause", NULL);
        g_free(run_ok("systemd-run", "--quiet", "--wait", "--collect", "--unit=signals-order-caller.service",
                "busctl", "call", NODE_NAME, NODE_PATH, NODE_INTERFACE, "Stop", "s", role, NULL));
        exited = expect_exited(bus, role, "killed", SIGTERM, "stop");
        assert_string_equal(detail_string(exited.details, "caller-unit"), "signals-order-caller.service");
        assert_int_equal(detail_u32(exited.details, "caller-uid"), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_started_before_reply),
                TEST(test_exited_before_reply),
                TEST(test_sequence),
                TEST(test_everybody_hears),
                TEST(test_caller_unit),
        };
        return run_case("signals-order", tests);
}
