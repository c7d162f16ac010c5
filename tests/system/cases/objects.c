/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * Each role is an object. GetManagedObjects contains it, InterfacesAdded announces it before its RoleStarted,
 * InterfacesRemoved removes it, and every property is correct in every state. Properties that change together
 * are sent in one PropertiesChanged. Its methods are those of the node. The introspection is equal to the
 * interface files. */

#include <sys/stat.h>
#include <unistd.h>

#include "testlib.h"

#define OBJECT_MANAGER "org.freedesktop.DBus.ObjectManager"
#define PROPERTIES "org.freedesktop.DBus.Properties"

static GVariant *managed(Bus *bus, const char *role) {
        g_autofree char *path = role_path(role);
        g_autoptr(GVariant) reply =
                bus_call(bus, NODE_NAME, NODE_PATH, OBJECT_MANAGER, "GetManagedObjects", NULL);
        g_autoptr(GVariant) objects = g_variant_get_child_value(reply, 0);
        g_autoptr(GVariant) interfaces = g_variant_lookup_value(objects, path, NULL);

        return interfaces ? g_variant_lookup_value(interfaces, ROLE_INTERFACE, NULL) : NULL;
}

static void check_string(GVariant *all, const char *key, const char *expected) {
        const char *value;

        if (!g_variant_lookup(all, key, "&s", &value))
                fail_msg("no property %s of type s", key);
        if (strcmp(value, expected) != 0)
                fail_msg("%s should be '%s', but is '%s'", key, expected, value);
}

static void check_u32(GVariant *all, const char *key, guint32 expected) {
        guint32 value;

        if (!g_variant_lookup(all, key, "u", &value))
                fail_msg("no property %s of type u", key);
        if (value != expected)
                fail_msg("%s should be %u, but is %u", key, expected, value);
}

static void check_i32(GVariant *all, const char *key, gint32 expected) {
        gint32 value;

        if (!g_variant_lookup(all, key, "i", &value))
                fail_msg("no property %s of type i", key);
        if (value != expected)
                fail_msg("%s should be %d, but is %d", key, expected, value);
}

static guint64 get_u64(GVariant *all, const char *key) {
        guint64 value;

        if (!g_variant_lookup(all, key, "t", &value))
                fail_msg("no property %s of type t", key);
        return value;
}

static void check_empty(GVariant *all, const char *key, const char *type) {
        g_autoptr(GVariant) value = g_variant_lookup_value(all, key, G_VARIANT_TYPE(type));

        assert_non_null(value);
        assert_int_equal(g_variant_n_children(value), 0);
}

static void check_bool(GVariant *all, const char *key, gboolean expected) {
        gboolean value;

        assert_true(g_variant_lookup(all, key, "b", &value));
        assert_int_equal(value, expected);
}

/* The steps of a start without anything special, together at most from the call to the command. */
static void check_start_times(GVariant *all, guint64 called) {
        static const char *const steps[] = { "queue", "fork", "scope", "exec" };
        g_autoptr(GVariant) times = g_variant_lookup_value(all, "StartTimes", G_VARIANT_TYPE("a{st}"));
        guint64 sum = 0;

        assert_non_null(times);
        assert_int_equal(g_variant_n_children(times), G_N_ELEMENTS(steps));
        for (size_t i = 0; i < G_N_ELEMENTS(steps); i++)
                sum += get_u64(times, steps[i]);
        assert_in_range(sum, 1, get_u64(all, "StartTimestampMonotonic") - called);
}

static void test_every_property(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a-b.c_d"), *path = scratch("output");
        g_autofree char *output = g_strconcat("append:", path, NULL), *scope = role_scope(role),
                        *cgroup = NULL;
        g_autoptr(GVariant) all = NULL, command = NULL, object = NULL, started = NULL;
        g_autofree const char **argv = NULL;
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        gint64 before = g_get_real_time(), before_monotonic = g_get_monotonic_time(), after, after_monotonic;
        Exited exited;
        pid_t pid;

        /* alice may write it. */
        assert_true(g_file_set_contents(path, "", 0, NULL));
        assert_int_equal(chmod(path, 0666), 0);
        start(bus, role,
                OPTIONS("{'user': <'alice'>, 'group': <'root'>, 'working-directory': <'/var'>, 'stdin': <'null'>, 'output': <%s>,"
                        " 'stop-signal': <2>, 'stop-to': <'main'>, 'stop-timeout-usec': <@t 1500000>}",
                        output),
                actor(), "exit-on", "INT", "12", "say", fifo_path(fifo), "ready", "pause", NULL);
        fifo_expect_pid(fifo, "ready");
        after = g_get_real_time();
        after_monotonic = g_get_monotonic_time();
        started = event_details(bus_wait(bus, "RoleStarted", role));
        all = role_get_all(bus, role);
        pid = role_pid(bus, role);
        cgroup = process_cgroup(pid);

        check_string(all, "Name", role);
        check_string(all, "State", "running");
        check_string(all, "InvocationID", detail_string(started, "invocation-id"));
        command = g_variant_lookup_value(all, "Command", G_VARIANT_TYPE_STRING_ARRAY);
        argv = g_variant_get_strv(command, NULL);
        assert_int_equal(g_strv_length((char **) argv), 8);
        assert_string_equal(argv[0], actor());
        assert_string_equal(argv[2], "INT");
        check_string(all, "User", "alice");
        check_string(all, "Group", "root");
        check_string(all, "WorkingDirectory", "/var");
        check_string(all, "Stdin", "null");
        check_string(all, "Output", output);
        check_u32(all, "Owner", 0);
        check_u32(all, "MainPID", (guint32) pid);
        check_u32(all, "ProcessGroup", (guint32) getpgid(pid));
        assert_int_equal(getpgid(pid), pid);
        check_string(all, "Scope", scope);
        check_string(all, "ControlGroup", cgroup);
        assert_true(g_str_has_suffix(cgroup, scope));
        assert_true(get_u64(all, "StartTimestamp") >= (guint64) before &&
                    get_u64(all, "StartTimestamp") <= (guint64) after);
        assert_true(get_u64(all, "StartTimestampMonotonic") >= (guint64) before_monotonic);
        assert_true(get_u64(all, "StartTimestampMonotonic") <= (guint64) after_monotonic);
        assert_int_equal(get_u64(all, "ExitTimestamp"), 0);
        assert_int_equal(get_u64(all, "ExitTimestampMonotonic"), 0);
        check_string(all, "ExitCode", "");
        check_i32(all, "ExitStatus", 0);
        check_string(all, "Cause", "");
        assert_int_equal(get_u64(all, "CPUUsageUSec"), 0);
        assert_int_equal(get_u64(all, "MaxRSS"), 0);
        check_string(all, "ExitType", "main");
        check_string(all, "Type", "exec");
        check_i32(all, "StopSignal", 2);
        check_string(all, "StopTo", "main");
        check_string(all, "OnMonitorLoss", "");
        check_string(all, "Product", "");
        check_string(all, "Version", "");
        check_string(all, "Provider", "");
        check_empty(all, "EupsList", "a(ss)");
        check_empty(all, "Strays", "as");
        assert_int_equal(get_u64(all, "StopTimeoutUSec"), 1500000);
        check_bool(all, "Remove", false);
        check_bool(all, "Frozen", false);
        check_bool(all, "Damaged", false);
        check_bool(all, "Ready", true);
        check_bool(all, "OutputLost", false);
        check_string(all, "EnvironmentHash", "");
        check_empty(all, "ResolvedProducts", "a(ss)");
        check_string(all, "Definition", "");
        check_bool(all, "NeedReload", false);
        check_empty(all, "RoleGroups", "as");
        check_empty(all, "After", "as");
        check_empty(all, "Wants", "as");
        check_empty(all, "Requires", "as");
        check_empty(all, "BindsTo", "as");
        check_empty(all, "PartOf", "as");
        check_string(all, "Lease", "");
        check_string(all, "ManagedBy", "");
        check_string(all, "WaitsFor", "");
        check_start_times(all, (guint64) before_monotonic);
        assert_int_equal(g_variant_n_children(all), 66);

        object = managed(bus, role);
        assert_non_null(object);
        assert_true(g_variant_equal(object, all));

        stop(bus, role);
        exited = expect_exited(bus, role, "exited", 12, "stop");
        g_clear_pointer(&all, g_variant_unref);
        all = role_get_all(bus, role);
        check_string(all, "State", "ended");
        check_string(all, "ExitCode", "exited");
        check_i32(all, "ExitStatus", 12);
        check_string(all, "Cause", "stop");
        check_u32(all, "MainPID", 0);
        check_u32(all, "ProcessGroup", 0);
        check_string(all, "ControlGroup", "");
        check_string(all, "Scope", scope);
        assert_int_equal(get_u64(all, "ExitTimestamp"), detail_u64(exited.details, "exit-realtime-usec"));
        assert_int_equal(get_u64(all, "MaxRSS"), detail_u64(exited.details, "maxrss"));
        assert_int_equal(get_u64(all, "CPUUsageUSec"), detail_u64(exited.details, "cpu-usec"));
        assert_true(get_u64(all, "ExitTimestamp") >= get_u64(all, "StartTimestamp"));
}

static void test_defaults(void **state) {
        Bus *bus = *state;
        const char *role = role_name("defaults");
        g_autoptr(GVariant) all = NULL;

        start(bus, role, NULL, actor(), "pause", NULL);
        all = role_get_all(bus, role);
        check_string(all, "User", "");
        check_string(all, "Group", "");
        check_string(all, "WorkingDirectory", "/");
        check_string(all, "Stdin", "pipe");
        check_string(all, "Output", "journal");
        check_i32(all, "StopSignal", SIGTERM);
        check_string(all, "StopTo", "all");
        check_string(all, "OnMonitorLoss", "");
        assert_int_equal(get_u64(all, "StopTimeoutUSec"), 10000000);
        check_bool(all, "Remove", false);
}

/* The order is InterfacesAdded, RoleStarted, the reply of Start; RoleExited; RolePurged and InterfacesRemoved
 * before the reply of Purge. */
static void test_added_and_removed(void **state) {
        Bus *bus = *state;
        const char *role = role_name("added");
        g_autofree char *path = role_path(role);
        pid_t keeper = keeper_pid(bus);
        guint32 serial, purging;
        Event *reply, *added, *removed, *purged;
        g_autoptr(GVariant) interfaces = NULL, properties = NULL, gone = NULL;
        g_autofree const char **names = NULL;

        /* Changes are sent together, 10 ms after the first: a start that is faster is announced running. */
        assert_int_equal(kill(keeper, SIGSTOP), 0);
        serial = node_send(bus, "Start", start_args(role, NULL, actor(), "pause", NULL));
        added = bus_wait(bus, "InterfacesAdded", path);
        assert_int_equal(kill(keeper, SIGCONT), 0);
        reply = bus_wait_reply(bus, serial);
        assert_string_equal(added->path, NODE_PATH);
        assert_string_equal(added->interface, OBJECT_MANAGER);
        assert_true(added->index < bus_wait(bus, "RoleStarted", role)->index);
        assert_true(added->index < reply->index);
        interfaces = g_variant_get_child_value(added->body, 1);
        properties = g_variant_lookup_value(interfaces, ROLE_INTERFACE, NULL);
        assert_non_null(properties);
        check_string(properties, "Name", role);
        check_string(properties, "State", "starting");

        stop(bus, role);
        assert_int_equal(bus_count(bus, "InterfacesRemoved", path), 0);
        purging = node_send(bus, "Purge", g_variant_new("(^as)", (const char *[]){ role, NULL }));
        reply = bus_wait_reply(bus, purging);
        removed = bus_find(bus, "InterfacesRemoved", path);
        purged = bus_find(bus, "RolePurged", role);
        assert_non_null(removed);
        assert_non_null(purged);
        assert_true(removed->index < reply->index);
        assert_true(purged->index < reply->index);
        gone = g_variant_get_child_value(removed->body, 1);
        names = g_variant_get_strv(gone, NULL);
        assert_true(g_strv_contains(names, ROLE_INTERFACE));
        assert_null(managed(bus, role));
        bus_failure(bus,
                bus_send(bus, NODE_NAME, path, PROPERTIES, "GetAll", g_variant_new("(s)", ROLE_INTERFACE)),
                "org.freedesktop.DBus.Error.UnknownObject", NULL);
        assert_int_equal(bus_count(bus, "InterfacesAdded", path), 1);
        assert_int_equal(bus_count(bus, "InterfacesRemoved", path), 1);
}

/* A new start of an ended role keeps the object and gives it a new invocation ID. */
static void test_same_object(void **state) {
        Bus *bus = *state;
        const char *role = role_name("again");
        g_autofree char *path = role_path(role), *first = NULL, *second = NULL;

        start(bus, role, NULL, actor(), "pause", NULL);
        first = role_get_string(bus, role, "InvocationID");
        stop(bus, role);
        start(bus, role, OPTIONS("{'working-directory': <'/var'>}"), actor(), "pause", NULL);
        second = role_get_string(bus, role, "InvocationID");
        assert_string_not_equal(first, second);
        assert_int_equal(bus_count(bus, "InterfacesAdded", path), 1);
        assert_int_equal(bus_count(bus, "InterfacesRemoved", path), 0);
        {
                g_autoptr(GVariant) all = role_get_all(bus, role);
                check_string(all, "State", "running");
                check_string(all, "WorkingDirectory", "/var");
                check_string(all, "ExitCode", "");
                assert_int_equal(get_u64(all, "ExitTimestamp"), 0);
        }
}

/* Follows the properties by PropertiesChanged. A client that follows the signals must have the same values as
 * one that reads the properties. */
static GHashTable *follow(Bus *bus, const char *role) {
        g_autofree char *path = role_path(role);
        g_autoptr(GPtrArray) changes = bus_all(bus, "PropertiesChanged", path);
        g_autoptr(GPtrArray) added = bus_all(bus, "InterfacesAdded", path);
        GHashTable *known =
                g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_variant_unref);
        const char *key;
        GVariant *value;

        assert_int_equal(added->len, 1);
        {
                g_autoptr(GVariant) interfaces =
                        g_variant_get_child_value(((Event *) added->pdata[0])->body, 1);
                g_autoptr(GVariant) properties = g_variant_lookup_value(interfaces, ROLE_INTERFACE, NULL);
                GVariantIter iter;

                g_variant_iter_init(&iter, properties);
                while (g_variant_iter_next(&iter, "{&sv}", &key, &value))
                        g_hash_table_insert(known, g_strdup(key), value);
        }
        for (guint i = 0; i < changes->len; i++) {
                g_autoptr(GVariant) values =
                        g_variant_get_child_value(((Event *) changes->pdata[i])->body, 1);
                g_autoptr(GVariant) invalidated =
                        g_variant_get_child_value(((Event *) changes->pdata[i])->body, 2);
                GVariantIter iter;

                assert_int_equal(g_variant_n_children(invalidated), 0);
                g_variant_iter_init(&iter, values);
                while (g_variant_iter_next(&iter, "{&sv}", &key, &value))
                        g_hash_table_insert(known, g_strdup(key), value);
        }
        return known;
}

/* Returns what differs from the last signals, or NULL. */
static char *difference(Bus *bus, const char *role) {
        g_autoptr(GVariant) all = role_get_all(bus, role);
        g_autoptr(GHashTable) known = follow(bus, role);
        GVariantIter iter;
        const char *key;
        GVariant *value;

        g_variant_iter_init(&iter, all);
        while (g_variant_iter_next(&iter, "{&sv}", &key, &value)) {
                g_autoptr(GVariant) is = value;
                GVariant *told = g_hash_table_lookup(known, key);

                if (!told || !g_variant_equal(told, is)) {
                        g_autofree char *a = g_variant_print(is, true);
                        g_autofree char *b = told ? g_variant_print(told, true) : g_strdup("nothing");
                        return g_strdup_printf("%s is %s, but the signals say %s", key, a, b);
                }
        }
        return NULL;
}

/* Changes are collected and sent a moment later. */
static void check_follower(Bus *bus, const char *role) {
        gint64 end = g_get_monotonic_time() + patience_usec();

        for (;;) {
                g_autofree char *text = difference(bus, role);

                if (!text)
                        return;
                if (g_get_monotonic_time() > end)
                        fail_msg("%s", text);
                bus_wait(bus, "PropertiesChanged", NULL);
        }
}

static void test_changes(void **state) {
        Bus *bus = *state;
        const char *role = role_name("changes");
        g_autofree char *path = role_path(role);
        g_autoptr(GPtrArray) changes = NULL;
        guint at_exit = 0;

        start(bus, role, NULL, actor(), "pause", NULL);
        check_follower(bus, role);
        stop(bus, role);
        check_follower(bus, role);
        start(bus, role, NULL, actor(), "exit", "4", NULL);
        expect_exited(bus, role, "killed", SIGTERM, "stop");
        expect_exited(bus, role, "exited", 4, "self");
        stop(bus, role);
        check_follower(bus, role);

        /* All changes of an exit are in one signal, so a client that receives the new state also receives the
         * status. */
        changes = bus_all(bus, "PropertiesChanged", path);
        for (guint i = 0; i < changes->len; i++) {
                const Event *event = changes->pdata[i];
                g_autoptr(GVariant) values = g_variant_get_child_value(event->body, 1);
                const char *now;

                assert_string_equal(event->text, ROLE_INTERFACE);
                if (!g_variant_lookup(values, "State", "&s", &now) || strcmp(now, "ended") != 0)
                        continue;
                at_exit++;
                check_u32(values, "MainPID", 0);
                assert_true(g_variant_lookup(values, "ExitCode", "&s", NULL));
                assert_true(g_variant_lookup(values, "ExitStatus", "i", NULL));
                assert_true(g_variant_lookup(values, "ExitTimestamp", "t", NULL));
                assert_true(g_variant_lookup(values, "Cause", "&s", NULL));
        }
        assert_int_equal(at_exit, 2);
        /* Changes are coalesced: some signals for each run, not one for each property. */
        assert_true(changes->len <= 10);
}

/* The counters of the node. */
static void test_counts(void **state) {
        Bus *bus = *state;
        guint32 roles = node_get_u32(bus, "NRoles"), running = node_get_u32(bus, "NRunning");
        guint mark = bus_mark(bus);
        const char *a = role_name("count-a"), *b = role_name("count-b");
        g_autofree char *slice = node_get_string(bus, "Slice"), *instance = node_get_string(bus, "Instance");
        g_autofree char *node_state = node_get_string(bus, "State"),
                        *version = node_get_string(bus, "Version");
        g_autoptr(GVariant) connected = node_get(bus, "KeeperConnected");

        start(bus, a, NULL, actor(), "pause", NULL);
        start(bus, b, NULL, actor(), "pause", NULL);
        assert_int_equal(node_get_u32(bus, "NRoles"), roles + 2);
        assert_int_equal(node_get_u32(bus, "NRunning"), running + 2);
        stop(bus, a);
        assert_int_equal(node_get_u32(bus, "NRoles"), roles + 2);
        assert_int_equal(node_get_u32(bus, "NRunning"), running + 1);
        purge(bus, a);
        assert_int_equal(node_get_u32(bus, "NRoles"), roles + 1);
        stop(bus, b);
        assert_int_equal(node_get_u32(bus, "NRunning"), running);
        assert_true(bus_count_since(bus, mark, "PropertiesChanged", NODE_PATH) > 0);

        assert_string_equal(slice, NODE_SLICE);
        assert_string_equal(instance, "main");
        assert_string_equal(node_state, "running");
        assert_true(strlen(version) > 0);
        assert_true(g_variant_get_boolean(connected));
}

static void test_methods(void **state) {
        Bus *bus = *state;
        const char *role = role_name("methods"), *path = scratch("output");
        g_autofree char *output = g_strconcat("file:", path, NULL), *text = NULL;
        g_autoptr(Fifo) fifo = fifo_new("fifo");

        start(bus, role, OPTIONS("{'output': <%s>}", output), "cat", NULL);
        g_variant_unref(role_call(bus, role, "SendInput", g_variant_new("(s)", "a line")));
        g_variant_unref(role_call(bus, role, "WriteInput",
                g_variant_new("(@ay)", g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, "bytes", 5, 1))));
        g_variant_unref(role_call(bus, role, "CloseInput", NULL));
        expect_exited(bus, role, "exited", 0, "self");
        text = read_file(path);
        assert_string_equal(text, "a line\nbytes");

        start(bus, role, NULL, actor(), "tell-on", "USR1", fifo_path(fifo), "usr1", "say", fifo_path(fifo),
                "ready", "pause", NULL);
        fifo_expect_pid(fifo, "ready");
        g_variant_unref(role_call(bus, role, "Signal", g_variant_new("(si)", "main", SIGUSR1)));
        fifo_expect_pid(fifo, "usr1");
        bus_failure(bus, role_send(bus, role, "Purge", NULL), "RoleRunning", role, NULL);
        g_variant_unref(role_call(bus, role, "Stop", NULL));
        expect_exited(bus, role, "killed", SIGTERM, "stop");

        start(bus, role, NULL, actor(), "pause", NULL);
        g_variant_unref(role_call(bus, role, "Kill", NULL));
        expect_exited(bus, role, "killed", SIGKILL, "kill");
        bus_failure(bus, role_send(bus, role, "SendInput", g_variant_new("(s)", "x")), "RoleNotRunning", role,
                NULL);
        g_variant_unref(role_call(bus, role, "Purge", NULL));
        bus_wait(bus, "RolePurged", role);
        assert_poll(bus, role, "none");
}

static GDBusInterfaceInfo *interface_of(Bus *bus, const char *path, const char *interface) {
        g_autoptr(GVariant) reply =
                bus_call(bus, NODE_NAME, path, "org.freedesktop.DBus.Introspectable", "Introspect", NULL);
        g_autoptr(GError) error = NULL;
        GDBusNodeInfo *info; /* never freed, because the returned value is a part of it */
        GDBusInterfaceInfo *found;
        const char *xml;

        g_variant_get(reply, "(&s)", &xml);
        info = g_dbus_node_info_new_for_xml(xml, &error);
        if (!info)
                fail_msg("%s: %s", path, error->message);
        found = g_dbus_node_info_lookup_interface(info, interface);
        if (!found)
                fail_msg("%s has no %s", path, interface);
        return found;
}

static GDBusInterfaceInfo *interface_of_file(const char *interface) {
        g_autofree char *path = g_strdup_printf("/usr/share/dbus-1/interfaces/%s.xml", interface);
        g_autofree char *xml = read_file(path);
        g_autoptr(GError) error = NULL;
        GDBusNodeInfo *info;

        if (!xml)
                fail_msg("%s is not installed", path);
        info = g_dbus_node_info_new_for_xml(xml, &error);
        if (!info)
                fail_msg("%s: %s", path, error->message);
        return g_dbus_node_info_lookup_interface(info, interface);
}

static void compare_args(const char *where, GDBusArgInfo **a, GDBusArgInfo **b) {
        for (; *a && *b; a++, b++) {
                if (g_strcmp0((*a)->name, (*b)->name) != 0 || strcmp((*a)->signature, (*b)->signature) != 0)
                        fail_msg("%s: %s %s in the contract, %s %s in the service", where, (*a)->signature,
                                (*a)->name, (*b)->signature, (*b)->name);
        }
        if (*a || *b)
                fail_msg("%s: not as many arguments in the service as in the contract", where);
}

static const char *emits(GDBusPropertyInfo *property) {
        return g_dbus_annotation_info_lookup(
                       property->annotations, "org.freedesktop.DBus.Property.EmitsChangedSignal")
                       ?: "true";
}

static void compare_interfaces(GDBusInterfaceInfo *contract, GDBusInterfaceInfo *service) {
        guint n = 0;

        for (GDBusMethodInfo **m = contract->methods; m && *m; m++) {
                GDBusMethodInfo *other = g_dbus_interface_info_lookup_method(service, (*m)->name);

                if (!other)
                        fail_msg("the service has no method %s", (*m)->name);
                compare_args((*m)->name, (*m)->in_args, other->in_args);
                compare_args((*m)->name, (*m)->out_args, other->out_args);
                n++;
        }
        assert_int_equal(service->methods ? g_strv_length((char **) service->methods) : 0, n);
        n = 0;
        for (GDBusSignalInfo **s = contract->signals; s && *s; s++) {
                GDBusSignalInfo *other = g_dbus_interface_info_lookup_signal(service, (*s)->name);

                if (!other)
                        fail_msg("the service has no signal %s", (*s)->name);
                compare_args((*s)->name, (*s)->args, other->args);
                n++;
        }
        assert_int_equal(service->signals ? g_strv_length((char **) service->signals) : 0, n);
        n = 0;
        for (GDBusPropertyInfo **p = contract->properties; p && *p; p++) {
                GDBusPropertyInfo *other = g_dbus_interface_info_lookup_property(service, (*p)->name);

                if (!other)
                        fail_msg("the service has no property %s", (*p)->name);
                assert_string_equal((*p)->signature, other->signature);
                assert_int_equal((*p)->flags, other->flags);
                if (strcmp(emits(*p), emits(other)) != 0)
                        fail_msg("%s: EmitsChangedSignal %s in the contract, %s in the service", (*p)->name,
                                emits(*p), emits(other));
                n++;
        }
        assert_int_equal(service->properties ? g_strv_length((char **) service->properties) : 0, n);
}

static void test_contract(void **state) {
        Bus *bus = *state;
        const char *role = role_name("contract");
        g_autofree char *path = role_path(role);

        start(bus, role, NULL, actor(), "pause", NULL);
        compare_interfaces(interface_of_file(NODE_INTERFACE), interface_of(bus, NODE_PATH, NODE_INTERFACE));
        compare_interfaces(interface_of_file(ROLE_INTERFACE), interface_of(bus, path, ROLE_INTERFACE));
        /* A user who follows the tree finds the roles. */
        {
                g_autofree char *tree = run_ok("busctl", "tree", "--list", NODE_NAME, NULL);
                assert_contains(tree, path);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_every_property),
                TEST(test_defaults),
                TEST(test_added_and_removed),
                TEST(test_same_object),
                TEST(test_changes),
                TEST(test_counts),
                TEST(test_methods),
                TEST(test_contract),
        };
        return run_case("objects", tests);
}
