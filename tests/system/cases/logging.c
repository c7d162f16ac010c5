/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * The log level by SetLogLevel and by systemctl service-log-level (LogControl1), kept over restarts; SetLogToSve sends each
 * message as a signal with its fields, at most so many a second, and a listener who never reads costs nothing. */

#include <unistd.h>

#include "testlib.h"

#define LOG_CONTROL "org.freedesktop.LogControl1"
#define LOG_CONTROL_PATH "/org/freedesktop/LogControl1"

static char *level(Bus *bus) {
        g_autoptr(GVariant) value = bus_get(bus, NODE_NAME, LOG_CONTROL_PATH, LOG_CONTROL, "LogLevel");
        return g_variant_dup_string(value, NULL);
}

static void assert_level(Bus *bus, const char *expected) {
        g_autofree char *l = level(bus);
        assert_string_equal(l, expected);
}

static void set_level(Bus *bus, const char *name) {
        g_variant_unref(node_call(bus, "SetLogLevel", g_variant_new("(s)", name)));
}

static void set_sve(Bus *bus, bool enabled) {
        g_variant_unref(node_call(bus, "SetLogToSve", g_variant_new("(b)", enabled)));
}

static void test_level(void **state) {
        Bus *bus = *state;
        g_autofree char *out = NULL;
        g_autoptr(GVariant) identifier =
                bus_get(bus, NODE_NAME, LOG_CONTROL_PATH, LOG_CONTROL, "SyslogIdentifier");

        assert_string_equal(g_variant_get_string(identifier, NULL), "architect-node");
        set_level(bus, "info");
        g_free(run_ok("systemctl", "service-log-level", NODE_UNIT, "debug", NULL));
        assert_level(bus, "debug");
        out = run_ok("systemctl", "service-log-level", NODE_UNIT, NULL);
        assert_string_equal(g_strstrip(out), "debug");

        start(bus, role_name("a"), NULL, actor(), "exit", "0", NULL);
        expect_exited(bus, role_name("a"), "exited", 0, "self");
        g_autofree char *log = journal("-u", NODE_UNIT, "-p", "debug", NULL);
        g_autofree char *expected = g_strdup_printf("%s: starting -> running", role_name("a"));
        assert_non_null(strstr(log, expected));

        systemctl("restart", NODE_UNIT);
        node_wait_name(bus, true);
        assert_level(bus, "debug");
        node_crash(bus);
        assert_level(bus, "debug");
        set_level(bus, "info");
        assert_level(bus, "info");
}

static void test_errors(void **state) {
        Bus *bus = *state;
        g_autoptr(Bus) alice = bus_new_as("alice");

        node_call_fails(
                bus, "SetLogLevel", g_variant_new("(s)", "loud"), INVALID_ARGS, "loud", "debug", NULL);
        node_call_fails(alice, "SetLogLevel", g_variant_new("(s)", "debug"), ACCESS_DENIED, NULL);
        node_call_fails(alice, "SetLogToSve", g_variant_new("(b)", true), ACCESS_DENIED, NULL);
        guint32 serial = bus_send(alice, NODE_NAME, LOG_CONTROL_PATH, "org.freedesktop.DBus.Properties",
                "Set", g_variant_new("(ssv)", LOG_CONTROL, "LogLevel", g_variant_new_string("debug")));
        bus_failure(alice, serial, ACCESS_DENIED, NULL);
        assert_level(bus, "info");
}

/* NULL: it does not have this field. */
static const char *field(const Event *event, const char *key) {
        /* In its final form first: what is pointed to must not move when another child is read. */
        (void) g_variant_get_data(event->body);
        g_autoptr(GVariant) fields = g_variant_get_child_value(event->body, 3);
        const char *value = NULL;

        (void) g_variant_lookup(fields, key, "&s", &value);
        return value;
}

static void test_messages(void **state) {
        Bus *bus = *state;
        const char *role = role_name("b");
        guint mark;
        bool found = false;

        set_sve(bus, true);
        start(bus, role, NULL, actor(), "exit", "3", NULL);
        expect_exited(bus, role, "exited", 3, "self");
        node_sync(bus);
        g_autoptr(GPtrArray) all = bus_all(bus, "LogMessage", NULL);
        for (guint i = 0; i < all->len; i++) {
                const Event *event = g_ptr_array_index(all, i);
                const char *of = field(event, "ARCHITECT_ROLE"), *message;

                g_variant_get_child(event->body, 2, "&s", &message);
                if (g_strcmp0(of, role) == 0 && strstr(message, "exited 3")) {
                        gint32 priority;

                        g_variant_get_child(event->body, 1, "i", &priority);
                        assert_int_equal(priority, 6);
                        assert_string_equal(field(event, "ARCHITECT_INSTANCE"), "main");
                        found = true;
                }
        }
        assert_true(found);

        set_sve(bus, false);
        mark = bus_mark(bus);
        start(bus, role, NULL, actor(), "exit", "3", NULL);
        expect_exited(bus, role, "exited", 3, "self");
        node_sync(bus);
        assert_int_equal(bus_count_since(bus, mark, "LogMessage", NULL), 0);
}

/* Far more messages than signals: a cap, and a count of what was dropped. */
static void test_flood(void **state) {
        Bus *bus = *state;
        guint64 n = 0, dropped = 0;

        set_level(bus, "debug");
        set_sve(bus, true);
        gint64 begin = g_get_monotonic_time();
        for (guint i = 0; i < 200; i++) {
                start(bus, role_name("flood"), NULL, actor(), "exit", "0", NULL);
                expect_exited(bus, role_name("flood"), "exited", 0, "self");
        }
        gint64 seconds = (g_get_monotonic_time() - begin) / G_USEC_PER_SEC + 2;
        set_level(bus, "info");
        node_sync(bus);

        g_autoptr(GPtrArray) all = bus_all(bus, "LogMessage", NULL);
        for (guint i = 0; i < all->len; i++) {
                const char *count = field(g_ptr_array_index(all, i), "ARCHITECT_DROPPED");

                n++;
                if (count)
                        dropped += g_ascii_strtoull(count, NULL, 10);
        }
        set_sve(bus, false);
        assert_true(n > 0);
        assert_true(n <= (guint64) seconds * 100);
        print_message("  %" G_GUINT64_FORMAT " sent, %" G_GUINT64_FORMAT
                      " counted as dropped, in %" G_GINT64_FORMAT " s\n",
                n, dropped, seconds);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_level),
                TEST(test_errors),
                TEST(test_messages),
                TEST(test_flood),

        };
        return run_case("logging", tests);
}
