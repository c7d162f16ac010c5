/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * architect-node@NAME.service: two instances at once use the same role names and do not see each other, and
 * an event in one does not affect the other. @main is not a second main, and an invalid name is refused once,
 * without a restart loop. */

#include <glib/gstdio.h>
#include <sys/stat.h>

#include "testlib.h"

#define OTHER "test"
#define OTHER_UNIT "architect-node@" OTHER ".service"
#define OTHER_KEEPER "architect-keeper@" OTHER ".service"

static Bus *other_new(void) {
        Bus *other = bus_new_instance(OTHER);

        systemctl("start", OTHER_UNIT);
        node_wait_name(other, true);
        return other;
}

/* Its keeper stays running, as that of main does. */
static void other_end(Bus *other) {
        systemctl("stop", OTHER_UNIT);
        node_wait_name(other, false);
        bus_free(other);
}

static void expect_roles(Bus *bus, guint n) {
        g_autoptr(GVariant) reply = node_call(bus, "ListRoles", NULL);
        g_autoptr(GVariant) roles = g_variant_get_child_value(reply, 0);

        assert_int_equal(g_variant_n_children(roles), n);
}

static void expect_names(Bus *bus, const char *unit, const char *property, const char *name) {
        g_autoptr(GVariant) value = unit_get(bus, unit, "Unit", property);
        g_autofree const char **names = g_variant_get_strv(value, NULL);

        if (!g_strv_contains(names, name))
                fail_msg("%s= of %s does not name %s", property, unit, name);
}

static void expect_environment(const char *path, const char *instance) {
        g_autoptr(GHashTable) dump = NULL;

        WAIT_UNTIL(g_file_test(path, G_FILE_TEST_EXISTS));
        dump = read_dump(path);
        assert_string_equal(dump_get(dump, "env.ARCHITECT_INSTANCE"), instance);
}

static void expect_silence(Bus *bus, guint mark) {
        const char *signals[] = { "RoleStarted", "RoleExited", "RolePurged", "InterfacesAdded",
                "InterfacesRemoved" };

        for (size_t i = 0; i < G_N_ELEMENTS(signals); i++)
                assert_int_equal(bus_count_since(bus, mark, signals[i], NULL), 0);
}

static void test_apart(void **state) {
        Bus *bus = *state, *other = other_new();
        const char *role = role_name("same");
        g_autofree char *scope = g_strdup_printf("architect-" OTHER "-%s.scope", role);
        g_autofree char *file = g_strdup_printf("/run/architect-node/" OTHER "/roles/%s", role);
        g_autofree char *instance = node_get_string(other, "Instance");
        g_autofree char *slice = node_get_string(other, "Slice");
        g_autofree char *cgroup = NULL;
        guint mark, other_mark;

        assert_string_equal(instance, OTHER);
        assert_string_equal(slice, "architect-" OTHER ".slice");
        assert_int_not_equal(node_pid(bus), node_pid(other));
        assert_int_not_equal(keeper_pid(bus), keeper_pid(other));
        expect_roles(other, 0);

        start(bus, role, NULL, actor(), "dump", scratch("main"), "pause", NULL);
        expect_roles(other, 0);
        assert_poll(other, role, "none");
        start(other, role, NULL, actor(), "dump", scratch("other"), "pause", NULL);
        expect_environment(scratch("main"), "main");
        expect_environment(scratch("other"), OTHER);
        assert_int_not_equal(role_pid(bus, role), role_pid(other, role));
        cgroup = role_cgroup(other, role); /* in the slice of its instance */
        assert_int_equal(count_units(bus, scope), 1);
        expect_names(bus, scope, "Before", OTHER_UNIT);
        expect_names(bus, scope, "After", OTHER_KEEPER);
        assert_true(g_file_test(file, G_FILE_TEST_EXISTS));
        assert_int_equal(process_parent(role_pid(other, role)), keeper_pid(other));

        /* Clients of one instance receive no signal of the other. */
        node_sync(bus);
        mark = bus_mark(bus);
        stop(other, role);
        expect_exited(other, role, "killed", SIGTERM, "stop");
        purge(other, role);
        bus_wait(other, "RolePurged", role);
        node_sync(bus);
        expect_silence(bus, mark);
        assert_poll(bus, role, "running");
        node_sync(other);
        other_mark = bus_mark(other);
        stop(bus, role);
        expect_exited(bus, role, "killed", SIGTERM, "stop");
        node_sync(other);
        expect_silence(other, other_mark);
        other_end(other);
}

static void test_one_goes(void **state) {
        Bus *bus = *state, *other = other_new();
        const char *role = role_name("stays");
        pid_t node = node_pid(bus), keeper = keeper_pid(bus), other_keeper = keeper_pid(other);
        pid_t role_of_main, role_of_other;

        start(bus, role, NULL, actor(), "pause", NULL);
        start(other, role, NULL, actor(), "pause", NULL);
        role_of_main = role_pid(bus, role);
        role_of_other = role_pid(other, role);

        systemctl("restart", OTHER_UNIT);
        node_wait_name(other, true);
        assert_int_equal(role_pid(other, role), role_of_other);
        node_crash(other);
        assert_int_equal(role_pid(other, role), role_of_other);
        assert_int_equal(keeper_pid(other), other_keeper);
        node_restart(bus);
        assert_int_not_equal(node_pid(bus), node);
        assert_int_equal(role_pid(bus, role), role_of_main);
        assert_int_equal(role_pid(other, role), role_of_other);

        /* The end of an instance ends its roles, and nothing else. */
        node = node_pid(bus);
        systemctl("stop", OTHER_UNIT);
        expect_exited(other, role, "killed", SIGTERM, "shutdown");
        WAIT_UNTIL(count_units(bus, "architect-" OTHER "-*.scope") == 0);
        assert_int_equal(node_pid(bus), node);
        assert_int_equal(keeper_pid(bus), keeper);
        assert_int_equal(role_pid(bus, role), role_of_main);
        node_sync(bus);
        assert_int_equal(bus_count(bus, "RoleExited", NULL), 0);
        bus_free(other);
}

/* The settings that name the instance in its unit: its own configuration at a reload, its own bus name. */
static void test_unit(void **state) {
        Bus *bus = *state, *other = other_new();
        const char *file = "/etc/architect-node/" OTHER ".conf", *role = role_name("new");
        g_autofree char *level = NULL, *level_of_main = NULL;

        write_file(file, "[Node]\nDefaultStopTimeout=3s\n");
        systemctl("reload", OTHER_UNIT);
        start(other, role, NULL, actor(), "pause", NULL);
        start(bus, role, NULL, actor(), "pause", NULL);
        assert_int_equal(role_get_u64(other, role, "StopTimeoutUSec"), 3000000);
        assert_int_equal(role_get_u64(bus, role, "StopTimeoutUSec"), 10000000);
        (void) g_unlink(file);

        g_free(run_ok("systemctl", "service-log-level", OTHER_UNIT, "notice", NULL));
        level = run_ok("systemctl", "service-log-level", OTHER_UNIT, NULL);
        level_of_main = run_ok("systemctl", "service-log-level", NODE_UNIT, NULL);
        assert_string_equal(g_strstrip(level), "notice");
        assert_string_equal(g_strstrip(level_of_main), "info");
        other_end(other);
}

/* The bus policy cannot name the instances, but it applies to them all the same. */
static void test_everybody(void **state) {
        Bus *other = other_new();
        g_autofree char *out = NULL, *err = NULL;

        assert_int_equal(run_as("alice", &out, NULL, "busctl", "call", NODE_NAME "." OTHER, NODE_PATH,
                                 NODE_INTERFACE, "ListRoles", NULL),
                0);
        assert_string_equal(g_strstrip(out), "a(ssusiso) 0");
        assert_int_not_equal(run_as("alice", NULL, &err, "busctl", "call", NODE_NAME "." OTHER, NODE_PATH,
                                     NODE_INTERFACE, "Beat", NULL),
                0);
        assert_contains(err, "ccess denied");
        other_end(other);
}

static void expect_refused(Bus *bus, const char *unit, const char *part, const char *other_part) {
        g_autofree char *from = journal_from_now(), *err = NULL, *log = NULL, *state = NULL;
        g_autoptr(GVariant) restarts = NULL, status = NULL;

        assert_int_not_equal(run(NULL, &err, "systemctl", "start", unit, NULL), 0);
        assert_contains(err, unit);
        log = journal(from, "-u", unit, NULL);
        assert_contains(log, part);
        assert_contains(log, other_part);
        state = unit_get_string(bus, unit, "Unit", "ActiveState");
        assert_string_equal(state, "failed"); /* and no restart is scheduled */
        restarts = unit_get(bus, unit, "Service", "NRestarts");
        status = unit_get(bus, unit, "Service", "ExecMainStatus");
        assert_int_equal(g_variant_get_uint32(restarts), 0);
        assert_int_equal(g_variant_get_int32(status), 2);
        g_free(run_ok("systemctl", "reset-failed", unit, NULL));
}

static void test_main(void **state) {
        Bus *bus = *state;
        const char *role = role_name("unharmed"), *units[] = { "service", "socket" };
        pid_t node = node_pid(bus), keeper = keeper_pid(bus), pid;
        struct stat before, after;

        assert_return_code(stat("/run/architect-keeper/main", &before), errno);
        start(bus, role, NULL, actor(), "pause", NULL);
        pid = role_pid(bus, role);
        expect_refused(bus, "architect-node@main.service", "conflicts", "architect-node.service");
        for (size_t i = 0; i < G_N_ELEMENTS(units); i++) {
                g_autofree char *unit = g_strconcat("architect-keeper@main.", units[i], NULL);
                assert_int_not_equal(run(NULL, NULL, "systemctl", "start", unit, NULL), 0);
        }

        assert_return_code(stat("/run/architect-keeper/main", &after), errno);
        assert_int_equal(before.st_ino, after.st_ino);
        assert_int_equal(node_pid(bus), node);
        assert_int_equal(keeper_pid(bus), keeper);
        assert_int_equal(role_pid(bus, role), pid);
        node_crash(bus); /* its files are still there for a successor */
        assert_int_equal(role_pid(bus, role), pid);
        stop(bus, role);
}

static void test_bad_name(void **state) {
        Bus *bus = *state;
        static const char *const names[] = { "a-b", "9lives", "a.b", "x2345678901234567890123456789012345" };

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                g_autofree char *unit = g_strdup_printf("architect-node@%s.service", names[i]);
                g_autofree char *keeper = g_strdup_printf("architect-keeper@%s.service", names[i]);
                g_autofree char *quoted = g_strdup_printf("\"%s\"", names[i]);
                g_autoptr(GVariant) restarts = NULL;

                expect_refused(bus, unit, quoted, "not a valid instance name");
                restarts = unit_get(bus, keeper, "Service", "NRestarts");
                assert_int_equal(g_variant_get_uint32(restarts), 0);
                (void) run(NULL, NULL, "systemctl", "reset-failed", keeper, NULL);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_apart),
                TEST(test_one_goes),
                TEST(test_unit),
                TEST(test_everybody),
                TEST(test_main),
                TEST(test_bad_name),
        };
        return run_case("instances", tests);
}
