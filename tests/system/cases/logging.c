/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * The log level by SetLogLevel and by systemctl service-log-level (LogControl1) is kept over restarts. With
 * SetLogToSve each message is sent as a signal with its fields, with a limit for each second, and a client
 * that never reads costs nothing. */

#include <unistd.h>

#include <sys/socket.h>
#include <sys/un.h>

#include "../../../src/model/message-ids.h"
#include "testlib.h"

#define LOG_CONTROL "org.freedesktop.LogControl1"
#define LOG_CONTROL_PATH "/org/freedesktop/LogControl1"
#define LOG_FILE "/run/architect-node/main/log"

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

        node_restart(bus);
        assert_level(bus, "debug");
        node_crash(bus);
        assert_level(bus, "debug");
        set_level(bus, "info");
        assert_level(bus, "info");
}

/* A file of version 0.1.0, with a field of a newer version. */
static void test_level_of_1(void **state) {
        Bus *bus = *state;
        g_autofree char *text = NULL;

        set_level(bus, "info");
        assert_true(g_file_set_contents(LOG_FILE, "debug 0\nVERSION=2\nCOLOUR=blue\n", -1, NULL));
        node_crash(bus);
        assert_level(bus, "debug");
        set_level(bus, "info");
        assert_true(g_file_get_contents(LOG_FILE, &text, NULL, NULL));
        assert_contains(text, "\nVERSION=1\nCOLOUR=blue\nLEVEL=info\n# CHECKSUM=");
        node_crash(bus);
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

/* Returns NULL if the message does not have this field. */
static const char *field(const Event *event, const char *key) {
        /* The variant is normalised first, because the returned pointer must stay valid when another child is
         * read. */
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
                if (g_strcmp0(of, role) == 0 && strstr(message, "status=3")) {
                        gint32 priority;

                        g_variant_get_child(event->body, 1, "i", &priority);
                        assert_int_equal(priority, 6);
                        assert_string_equal(field(event, "ARCHITECT_INSTANCE"), "main");
                        assert_string_equal(field(event, "MESSAGE_ID"), MESSAGE_ROLE_EXITED);
                        assert_string_equal(field(event, "EXIT_CODE"), "exited");
                        assert_string_equal(field(event, "EXIT_STATUS"), "3");
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

/* Returns the only message of this kind about this role, with all its fields. */
static char *entry(const char *from, const char *id, const char *role) {
        g_autofree char *id_match = g_strconcat("MESSAGE_ID=", id, NULL);
        g_autofree char *role_match = g_strconcat("ARCHITECT_ROLE=", role, NULL);
        char *text = journal(from, "-o", "json", id_match, role_match, NULL);

        assert_contains(text, role);
        assert_ptr_equal(strchr(text, '\n') + 1, text + strlen(text)); /* one line */
        return text;
}

static void expect_field(const char *text, const char *name, const char *value) {
        g_autofree char *json = g_strdup_printf("\"%s\":\"%s\"", name, value);
        assert_contains(text, json);
}

static void expect_caller(const char *text) {
        g_autofree char *pid = g_strdup_printf("%d", (int) getpid());

        expect_field(text, "ARCHITECT_CALLER_UID", "0");
        expect_field(text, "ARCHITECT_CALLER_PID", pid);
}

static void test_lifecycle(void **state) {
        Bus *bus = *state;
        g_autofree char *from = journal_from_now(), *scope = role_scope(role_name("exits"));
        g_autofree char *started = NULL, *exited = NULL, *stopping = NULL, *stopped = NULL, *killed = NULL,
                        *purged = NULL, *failed = NULL, *of_scope = NULL;

        start(bus, role_name("exits"), NULL, actor(), "exit", "7", NULL);
        expect_exited(bus, role_name("exits"), "exited", 7, "self");
        purge(bus, role_name("exits"));
        start(bus, role_name("stopped"), NULL, actor(), "pause", NULL);
        stop(bus, role_name("stopped"));
        start(bus, role_name("killed"), NULL, actor(), "pause", NULL);
        kill_role(bus, role_name("killed"));
        start_fails(bus, start_args(role_name("fails"), NULL, "/no/such/program", NULL), "ExecFailed", NULL);

        started = entry(from, MESSAGE_ROLE_STARTED, role_name("exits"));
        expect_caller(started);
        expect_field(started, "ARCHITECT_INSTANCE", "main");
        expect_field(started, "OBJECT_SYSTEMD_UNIT", scope);
        expect_field(started, "PRIORITY", "6");
        expect_field(started, "ARCHITECT_USER", "root");
        exited = entry(from, MESSAGE_ROLE_EXITED, role_name("exits"));
        expect_field(exited, "EXIT_CODE", "exited");
        expect_field(exited, "EXIT_STATUS", "7");
        expect_field(exited, "ARCHITECT_CAUSE", "self");
        expect_field(exited, "OBJECT_SYSTEMD_UNIT", scope);
        assert_contains_not(exited, "ARCHITECT_CALLER_UID");
        purged = entry(from, MESSAGE_ROLE_PURGED, role_name("exits"));
        expect_caller(purged);
        stopping = entry(from, MESSAGE_ROLE_STOPPING, role_name("stopped"));
        expect_caller(stopping);
        stopped = entry(from, MESSAGE_ROLE_EXITED, role_name("stopped"));
        expect_caller(stopped);
        expect_field(stopped, "EXIT_CODE", "killed");
        expect_field(stopped, "EXIT_STATUS", "15");
        expect_field(stopped, "ARCHITECT_CAUSE", "stop");
        killed = entry(from, MESSAGE_ROLE_KILLED, role_name("killed"));
        expect_caller(killed);
        failed = entry(from, MESSAGE_ROLE_START_FAILED, role_name("fails"));
        expect_caller(failed);
        assert_contains(failed, "/no/such/program");

        of_scope = journal(from, "-u", scope, NULL);
        assert_contains(of_scope, "Main process exited, code=exited, status=7 (cause: self)");
}

/* The catalog has a text for each kind of message, which contains the fields of the message. */
static void test_catalog(void **state) {
        Bus *bus = *state;
        const char *const ids[] = { MESSAGE_ROLE_STARTED, MESSAGE_ROLE_START_FAILED, MESSAGE_ROLE_STOPPING,
                MESSAGE_ROLE_KILLED, MESSAGE_ROLE_EXITED, MESSAGE_ROLE_LEFT_PROCESSES, MESSAGE_ROLE_PURGED,
                MESSAGE_ROLE_STUCK, MESSAGE_ROLE_FROZEN, MESSAGE_ROLE_THAWED, MESSAGE_ROLE_LEFT_SCOPE,
                MESSAGE_ROLE_RESTARTING, MESSAGE_ROLE_FAILED, MESSAGE_ROLE_HOOK_FAILED,
                MESSAGE_MONITOR_TIMED_OUT, MESSAGE_LEASE_EXPIRED, MESSAGE_SHUTTING_DOWN };
        g_autofree char *from = journal_from_now(), *explained = NULL, *subject = NULL;
        const char *role = role_name("told");

        g_free(run_ok("journalctl", "--update-catalog", NULL));
        for (size_t i = 0; i < G_N_ELEMENTS(ids); i++) {
                g_autofree char *text = run_ok("journalctl", "--dump-catalog", ids[i], NULL);
                assert_contains(text, "Defined-By: architect-node");
        }
        start(bus, role, NULL, actor(), "exit", "5", NULL);
        expect_exited(bus, role, "exited", 5, "self");
        explained = journal("-x", "-o", "short", from, "MESSAGE_ID=" MESSAGE_ROLE_EXITED, NULL);
        subject = g_strdup_printf("Subject: Role %s has ended", role);
        assert_contains(explained, subject);
        assert_contains(explained, "exited, status 5, cause self");
}

static void raw_call(int fd, guint32 serial, const char *method, GVariant *args) {
        g_autoptr(GDBusMessage) m = g_dbus_message_new_method_call(
                "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", method);
        g_autoptr(GError) error = NULL;
        g_autofree guchar *blob = NULL;
        char reply[4096];
        gsize size;

        if (args)
                g_dbus_message_set_body(m, args);
        g_dbus_message_set_serial(m, serial);
        blob = g_dbus_message_to_blob(m, &size, G_DBUS_CAPABILITY_FLAGS_NONE, &error);
        assert_non_null(blob);
        assert_int_equal(send(fd, blob, size, 0), size);
        assert_true(recv(fd, reply, sizeof(reply), 0) > 0);
}

/* Subscribes to the signals of the node and never reads one. */
static int stuck_listener(void) {
        struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/run/dbus/system_bus_socket" };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), small = 1;
        static const char auth[] = "\0AUTH EXTERNAL 30\r\n"; /* UID 0, in hex */
        char answer[128];

        assert_true(fd >= 0);
        assert_return_code(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), errno);
        assert_return_code(connect(fd, (struct sockaddr *) &address, sizeof(address)), errno);
        assert_int_equal(send(fd, auth, sizeof(auth) - 1, 0), sizeof(auth) - 1);
        assert_true(recv(fd, answer, sizeof(answer), 0) > 0);
        assert_memory_equal(answer, "OK ", 3);
        assert_int_equal(send(fd, "BEGIN\r\n", 7, 0), 7);
        raw_call(fd, 1, "Hello", NULL);
        raw_call(fd, 2, "AddMatch", g_variant_new("(s)", "type='signal',path_namespace='" NODE_PATH "'"));
        return fd;
}

static void test_stuck_listener(void **state) {
        Bus *bus = *state;
        const char *role = role_name("busy");
        int fd = stuck_listener();
        gint64 longest = 0;
        guint n;

        set_level(bus, "debug");
        set_sve(bus, true);
        start(bus, role, NULL, actor(), "exit", "0", NULL);
        expect_exited(bus, role, "exited", 0, "self");
        guint64 before = process_rss(node_pid(bus));
        for (guint i = 0; i < 300; i++) {
                gint64 begin = g_get_monotonic_time();

                start(bus, role, NULL, actor(), "exit", "0", NULL);
                expect_exited(bus, role, "exited", 0, "self");
                longest = MAX(longest, g_get_monotonic_time() - begin);
        }
        guint64 after = process_rss(node_pid(bus));
        set_sve(bus, false);
        set_level(bus, "info");
        n = bus_count(bus, "LogMessage", NULL);
        print_message("  %u messages, %" G_GUINT64_FORMAT " KiB before, %" G_GUINT64_FORMAT
                      " after, the slowest round %" G_GINT64_FORMAT " ms\n",
                n, before / 1024, after / 1024, longest / 1000);
        assert_true(n > 0); /* a client that reads receives them */
        assert_true(longest < 5 * G_USEC_PER_SEC);
        if (!process_is_sanitized(node_pid(bus))) /* a sanitizer keeps freed memory */
                assert_true(after < before + 4 * 1024 * 1024);
        (void) close(fd);
}

static guint64 count_dropped(Bus *bus) {
        g_autoptr(GPtrArray) all = bus_all(bus, "LogMessage", NULL);
        guint64 dropped = 0;

        for (guint i = 0; i < all->len; i++) {
                const char *count = field(g_ptr_array_index(all, i), "ARCHITECT_DROPPED");
                if (count)
                        dropped += g_ascii_strtoull(count, NULL, 10);
        }
        return dropped;
}

/* Each of these costs the service no more than one message, so even a slow machine exceeds the limit with
 * them. */
static void cause_messages(Bus *bus) {
        for (guint i = 0; i < 200; i++)
                bus_emit(bus, NODE_NAME, "/org/architect", "org.architect.Test", "Nothing", NULL);
        node_sync(bus);
}

/* Far more messages than signals: the limit applies, and the number of dropped ones is reported. */
static void test_flood(void **state) {
        Bus *bus = *state;
        guint64 n = 0, dropped = 0;

        set_level(bus, "debug");
        set_sve(bus, true);
        gint64 begin = g_get_monotonic_time();
        /* Until a report of dropped messages arrives. */
        while (!count_dropped(bus)) {
                assert_true(g_get_monotonic_time() - begin < patience_usec());
                cause_messages(bus);
        }
        gint64 seconds = (g_get_monotonic_time() - begin) / G_USEC_PER_SEC + 2;
        set_level(bus, "info");
        node_sync(bus);

        g_autoptr(GPtrArray) all = bus_all(bus, "LogMessage", NULL);
        n = all->len;
        dropped = count_dropped(bus);
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
                TEST(test_level_of_1),
                TEST(test_errors),
                TEST(test_messages),
                TEST(test_lifecycle),
                TEST(test_catalog),
                TEST(test_stuck_listener),
                TEST(test_flood),
        };
        return run_case("logging", tests);
}
