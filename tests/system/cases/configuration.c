/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * /etc/architect-node/main.conf and its drop-ins are read at the start and by Reload, which loses nothing.
 * With an invalid file the previous settings still apply, and the error names the place in the file. An
 * unknown key is a warning with file and line. */

#include <glib/gstdio.h>
#include <unistd.h>

#include "testlib.h"

static void reload(Bus *bus) {
        g_variant_unref(node_call(bus, "Reload", NULL));
}

static guint64 stop_timeout_of_new(Bus *bus, const char *role, GVariant *options) {
        start(bus, role, options, actor(), "pause", NULL);
        guint64 usec = role_get_u64(bus, role, "StopTimeoutUSec");
        stop(bus, role);
        return usec;
}

static void test_reload(void **state) {
        Bus *bus = *state;
        const char *role = role_name("runs");
        g_autoptr(GVariant) env = NULL;
        const char *value;

        start(bus, role, NULL, actor(), "pause", NULL);
        pid_t pid = role_pid(bus, role), node = node_pid(bus);
        write_file(CONFIGURATION,
                "[Node]\nDefaultStopTimeout=3s\nMonitorTimeout=1min\n[Environment]\nCONFIGURED=yes\n");
        reload(bus);
        assert_int_equal(stop_timeout_of_new(bus, role_name("a"), NULL), 3000000);
        assert_int_equal(
                stop_timeout_of_new(bus, role_name("b"), OPTIONS("{'stop-timeout-usec': <@t 70000>}")),
                70000);
        env = node_call(bus, "GetEnv", g_variant_new("(s)", "CONFIGURED"));
        g_variant_get(env, "(&s)", &value);
        assert_string_equal(value, "yes");

        write_configuration("DefaultStopTimeout=4s\n");
        systemctl("reload", NODE_UNIT); /* the same, by systemctl */
        assert_int_equal(stop_timeout_of_new(bus, role_name("c"), NULL), 4000000);

        /* The reload has lost nothing. */
        assert_int_equal(role_pid(bus, role), pid);
        assert_int_equal(node_pid(bus), node);
        assert_int_equal(role_get_u64(bus, role, "StopTimeoutUSec"), 10000000); /* as it was started */
        stop(bus, role);
}

static guint journal_count(const char *from, const char *part) {
        g_autofree char *log = journal(from, "-u", NODE_UNIT, "-p", "err", NULL);
        g_auto(GStrv) parts = g_strsplit(log, part, -1);
        return g_strv_length(parts) - 1;
}

static void expect_status(Bus *bus, const char *part) {
        /* The message to systemd is read some time later. */
        WAIT_UNTIL(({
                g_autofree char *status = unit_get_string(bus, NODE_UNIT, "Service", "StatusText");
                strstr(status, part) != NULL;
        }));
}

static void test_broken(void **state) {
        Bus *bus = *state;

        write_file(CONFIGURATION, "[Node]\nDefaultStopTimeout=5s\n");
        write_configuration(NULL);
        reload(bus);
        write_file(CONFIGURATION, "[Node]\n\nDefaultStopTimeout=soon\n");
        g_autofree char *from = journal_from_now();
        node_call_fails(
                bus, "Reload", NULL, INVALID_ARGS, CONFIGURATION ":3", "DefaultStopTimeout", "soon", NULL);
        expect_status(bus, CONFIGURATION ":3");
        /* After a signal there is no reply; the error is in the journal and in the status line. */
        assert_int_equal(kill(node_pid(bus), SIGUSR1), 0);
        WAIT_UNTIL(journal_count(from, CONFIGURATION ":3") == 2);
        expect_status(bus, CONFIGURATION ":3");
        assert_int_equal(stop_timeout_of_new(bus, role_name("a"), NULL), 5000000);

        /* A service that starts with an invalid file uses its defaults and logs the error. */
        node_restart(bus);
        assert_int_equal(stop_timeout_of_new(bus, role_name("b"), NULL), 10000000);
        g_autofree char *log = journal("-u", NODE_UNIT, "-p", "err", NULL);
        assert_non_null(strstr(log, CONFIGURATION ":3"));
        expect_status(bus, CONFIGURATION ":3");
        write_file(CONFIGURATION, "[Node]\n");
        systemctl("reload", NODE_UNIT);
        expect_status(bus, "Ready.");
}

static void test_unknown(void **state) {
        Bus *bus = *state;

        write_file(CONFIGURATION, "# mine\n[Node]\nDefaultStopTimeout=6s\nDefaultStopTimeuot=7s\n");
        reload(bus);
        assert_int_equal(stop_timeout_of_new(bus, role_name("a"), NULL), 6000000);
        g_autofree char *log = journal("-u", NODE_UNIT, "-p", "warning", NULL);
        assert_non_null(strstr(log, CONFIGURATION ":4: unknown key DefaultStopTimeuot="));
}

static void test_max_ended(void **state) {
        Bus *bus = *state;

        for (int i = 0; i < 4; i++) {
                start(bus, role_name_n("e", (guint) i), NULL, actor(), "exit", "0", NULL);
                expect_exited(bus, role_name_n("e", (guint) i), "exited", 0, "self");
        }
        write_file(CONFIGURATION, "[Node]\nMaxEndedRoles=2\n");
        reload(bus);
        /* The oldest ones are purged. */
        bus_wait(bus, "RolePurged", role_name_n("e", 0));
        bus_wait(bus, "RolePurged", role_name_n("e", 1));
        assert_poll(bus, role_name_n("e", 3), "exit 0");
        g_variant_unref(node_call(bus, "Purge", g_variant_new("(as)", NULL)));
}

static void expect_user(
        Bus *bus, const char *role, GVariant *options, const char *property, const char *told) {
        g_autofree char *from = journal_from_now(), *user = NULL, *log = NULL,
                        *field = g_strdup_printf("ARCHITECT_USER=%s", told);

        start(bus, role, options, actor(), "pause", NULL);
        user = role_get_string(bus, role, "User");
        assert_string_equal(user, property);
        assert_string_equal(detail_string(event_details(bus_wait(bus, "RoleStarted", role)), "user"), told);
        log = journal(from, field, "-o", "cat", NULL);
        assert_contains(log, role);
        stop(bus, role);
}

static void refuse_without_user(Bus *bus) {
        const char *role = role_name("none");
        guint mark = bus_mark(bus);

        start_fails(bus, start_args(role, NULL, actor(), "pause", NULL), INVALID_ARGS, role, "\"user\"",
                "RequireUser=", NULL);
        assert_no_trace(bus, role, mark);
}

/* No role is root's because its user was forgotten, or lost on the way. */
static void test_users(void **state) {
        Bus *bus = *state;

        expect_user(bus, role_name("root"), NULL, "", "root");
        write_file(CONFIGURATION, "[Node]\nDefaultUser=alice\n");
        reload(bus);
        expect_user(bus, role_name("default"), NULL, "alice", "alice");
        expect_user(bus, role_name("option"), OPTIONS("{'user': <'bob'>}"), "bob", "bob");
        expect_user(bus, role_name("meant"), OPTIONS("{'user': <'root'>}"), "root", "root");

        write_file(CONFIGURATION, "[Node]\nDefaultUser=alice\nRequireUser=yes\n");
        reload(bus);
        refuse_without_user(bus);
        expect_user(bus, role_name("required"), OPTIONS("{'user': <'root'>}"), "root", "root");

        /* A wrong value elsewhere does not undo it. */
        write_file(CONFIGURATION, "[Node]\nDefaultStopTimeout=soon\nDefaultUser=alice\n");
        node_restart(bus);
        refuse_without_user(bus);
        write_file(CONFIGURATION, "[Node]\n");
        reload(bus);
        expect_user(bus, role_name("again"), NULL, "", "root");
}

static void test_end(void **state) {
        Bus *bus = *state;

        (void) g_unlink(CONFIGURATION);
        write_configuration(NULL);
        reload(bus);
        assert_int_equal(stop_timeout_of_new(bus, role_name("z"), NULL), 10000000);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_reload),
                TEST(test_broken),
                TEST(test_unknown),
                TEST(test_max_ended),
                TEST(test_users),
                TEST(test_end),
        };
        return run_case("configuration", tests);
}
