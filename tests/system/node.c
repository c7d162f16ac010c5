/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/syscall.h>
#include <unistd.h>
#include <glib/gstdio.h>

#include "testlib.h"

/* -- calls on the node -- */

guint32 node_send(Bus *bus, const char *method, GVariant *args) {
        return bus_send(bus, bus_node(bus), NODE_PATH, NODE_INTERFACE, method, args);
}

GVariant *node_call(Bus *bus, const char *method, GVariant *args) {
        return bus_result(bus, node_send(bus, method, args));
}

void node_call_fails(Bus *bus, const char *method, GVariant *args, const char *error, ...) {
        va_list parts;

        va_start(parts, error);
        bus_failure_v(bus, node_send(bus, method, args), error, parts);
        va_end(parts);
}

GVariant *node_get(Bus *bus, const char *property) {
        return bus_get(bus, bus_node(bus), NODE_PATH, NODE_INTERFACE, property);
}

guint32 node_get_u32(Bus *bus, const char *property) {
        g_autoptr(GVariant) value = node_get(bus, property);
        return g_variant_get_uint32(value);
}

char *node_get_string(Bus *bus, const char *property) {
        g_autoptr(GVariant) value = node_get(bus, property);
        return g_variant_dup_string(value, NULL);
}

void node_sync(Bus *bus) {
        g_variant_unref(node_get(bus, "Instance"));
}

/* -- verbs -- */

GVariant *start_args_v(const char *role, GVariant *options, const char *const *command) {
        return g_variant_new("(s^as@a{sv})", role, command, options ?: OPTIONS("{}"));
}

static GVariant *start_args_va(const char *role, GVariant *options, const char *program, va_list rest) {
        g_autoptr(GPtrArray) command = g_ptr_array_new();

        for (const char *arg = program; arg; arg = va_arg(rest, const char *))
                g_ptr_array_add(command, (void *) arg);
        g_ptr_array_add(command, NULL);
        return start_args_v(role, options, (const char *const *) command->pdata);
}

GVariant *start_args(const char *role, GVariant *options, const char *program, ...) {
        GVariant *args;
        va_list rest;

        va_start(rest, program);
        args = start_args_va(role, options, program, rest);
        va_end(rest);
        return args;
}

void start(Bus *bus, const char *role, GVariant *options, const char *program, ...) {
        g_autoptr(GVariant) reply = NULL;
        g_autofree char *expected = role_path(role);
        const char *path;
        GVariant *args;
        va_list rest;

        va_start(rest, program);
        args = start_args_va(role, options, program, rest);
        va_end(rest);

        reply = node_call(bus, "Start", args);
        g_variant_get(reply, "(&o)", &path);
        assert_string_equal(path, expected);
}

void start_fails(Bus *bus, GVariant *args, const char *error, ...) {
        va_list parts;

        va_start(parts, error);
        bus_failure_v(bus, node_send(bus, "Start", args), error, parts);
        va_end(parts);
}

static void verb(Bus *bus, const char *method, const char *role) {
        g_variant_unref(node_call(bus, method, g_variant_new("(s)", role)));
}

char *role_file(const char *role) {
        return g_strdup_printf(DEFINITIONS "/%s.role", role);
}

void write_role_file(const char *path, const char *lines) {
        g_autofree char *text = g_strconcat("[Role]\n", lines, NULL);

        write_file(path, text);
        assert_return_code(chmod(path, 0644), errno);
}

void define(const char *role, const char *lines) {
        g_autofree char *path = role_file(role),
                        *all = g_strdup_printf("Command=%s pause\n%s", actor(), lines);

        write_role_file(path, all);
}

void reload_definitions(Bus *bus) {
        g_variant_unref(node_call(bus, "Reload", NULL));
}

GVariant *defined_args(const char *role, GVariant *options) {
        static const char *const none[] = { NULL };

        return start_args_v(role, options, none);
}

void start_defined(Bus *bus, const char *role, GVariant *options) {
        g_variant_unref(node_call(bus, "Start", defined_args(role, options)));
}

void stop(Bus *bus, const char *role) {
        verb(bus, "Stop", role);
}

void kill_role(Bus *bus, const char *role) {
        verb(bus, "Kill", role);
}

void send_signal(Bus *bus, const char *role, const char *whom, int signo) {
        g_variant_unref(node_call(bus, "Signal", g_variant_new("(ssi)", role, whom, signo)));
}

void purge(Bus *bus, const char *role) {
        g_autofree const char **purged = NULL;
        g_autoptr(GVariant) reply =
                node_call(bus, "Purge", g_variant_new("(^as)", (const char *[]){ role, NULL }));

        g_variant_get(reply, "(^a&s)", &purged);
        assert_int_equal(g_strv_length((char **) purged), 1);
        assert_string_equal(purged[0], role);
}

void send_input(Bus *bus, const char *role, const char *text) {
        g_variant_unref(node_call(bus, "SendInput", g_variant_new("(ss)", role, text)));
}

void close_input(Bus *bus, const char *role) {
        verb(bus, "CloseInput", role);
}

guint32 send_write_input(Bus *bus, const char *role, const void *data, size_t size) {
        return node_send(bus, "WriteInput",
                g_variant_new("(s@ay)", role, g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, data, size, 1)));
}

const char *poll_role(Bus *bus, const char *role) {
        static char answer[32];
        Event *event = bus_wait_reply(
                bus, node_send(bus, "Poll", g_variant_new("(^as)", (const char *[]){ role, NULL })));
        g_autoptr(GVariant) states = NULL;
        const char *state;

        if (event->type == G_DBUS_MESSAGE_TYPE_ERROR) {
                if (strcmp(event->error, NODE_NAME ".Error.NoSuchRole") != 0)
                        fail_msg("Poll %s: %s: %s", role, event->error, event->text);
                return "none";
        }
        g_variant_get(event->body, "(@a{ss})", &states);
        assert_int_equal(g_variant_n_children(states), 1);
        assert_true(g_variant_lookup(states, role, "&s", &state));
        g_strlcpy(answer, state, sizeof(answer));
        return answer;
}

const char *role_state(Bus *bus, const char *role) {
        static char answer[32];
        g_autoptr(GVariant) reply = node_call(bus, "ListRoles", NULL);
        g_autoptr(GVariantIter) roles = NULL;
        const char *name, *state;
        guint found = 0;

        strcpy(answer, "none");
        g_variant_get(reply, "(a(ssusiso))", &roles);
        while (g_variant_iter_next(roles, "(&s&su&si&s&o)", &name, &state, NULL, NULL, NULL, NULL, NULL))
                if (strcmp(name, role) == 0) {
                        g_strlcpy(answer, state, sizeof(answer));
                        found++;
                }
        assert_true(found <= 1);
        return answer;
}

guint count_roles(Bus *bus, const char *prefix, const char *in_state) {
        g_autoptr(GVariant) reply = node_call(bus, "ListRoles", NULL);
        g_autoptr(GVariantIter) roles = NULL;
        const char *name, *state;
        guint n = 0;

        g_variant_get(reply, "(a(ssusiso))", &roles);
        while (g_variant_iter_next(roles, "(&s&su&si&s&o)", &name, &state, NULL, NULL, NULL, NULL, NULL))
                n += g_str_has_prefix(name, prefix) && g_str_equal(state, in_state);
        return n;
}

void assert_poll(Bus *bus, const char *role, const char *expected) {
        const char *answer = poll_role(bus, role);

        if (strcmp(answer, expected) != 0)
                fail_msg("Poll of %s should be '%s', but is '%s'", role, expected, answer);
}

void assert_state(Bus *bus, const char *role, const char *expected) {
        const char *answer = role_state(bus, role);

        if (strcmp(answer, expected) != 0)
                fail_msg("state of %s should be '%s', but is '%s'", role, expected, answer);
}

pid_t held_child(Bus *bus, const char *role) {
        g_autofree char *scope = role_scope(role), *cgroup = NULL;
        g_autoptr(GArray) pids = NULL;
        pid_t pid;

        WAIT_UNTIL(count_units(bus, scope) == 1);
        /* The unit exists before its cgroup. */
        WAIT_UNTIL((g_free(cgroup), cgroup = unit_get_string(bus, scope, "Scope", "ControlGroup"))[0] == '/');
        WAIT_UNTIL(cgroup_is_populated(cgroup));
        pids = cgroup_pids(cgroup);
        assert_int_equal(pids->len, 1);
        pid = g_array_index(pids, pid_t, 0);
        WAIT_UNTIL(process_in_syscall(pid, SYS_execve));
        assert_state(bus, role, "starting");
        return pid;
}

/* -- the configuration -- */

void write_configuration(const char *node_section) {
        g_autofree char *text = g_strconcat("[Node]\n", node_section, NULL);

        if (node_section)
                write_file(CONFIGURATION_DROP_IN, text);
        else
                (void) unlink(CONFIGURATION_DROP_IN);
}

void node_configure(Bus *bus, const char *node_section) {
        write_configuration(node_section);
        g_variant_unref(node_call(bus, "Reload", NULL));
}

void node_release_ports(Bus *bus) {
        g_autoptr(GVariant) reply = node_call(bus, "ListPorts", NULL);
        g_autoptr(GVariantIter) iter = NULL;
        const char *protocol;
        guint16 port;

        g_variant_get(reply, "(a(squs))", &iter);
        while (g_variant_iter_next(iter, "(&squ&s)", &protocol, &port, NULL, NULL))
                g_variant_unref(node_call(bus, g_str_equal(protocol, "tcp") ? "ReleaseTCP" : "ReleaseUDP",
                        g_variant_new("(@aq)",
                                g_variant_new_fixed_array(G_VARIANT_TYPE_UINT16, &port, 1, sizeof(port)))));
}

/* -- the object of the role -- */

char *role_path(const char *role) {
        return bus_path_encode(NODE_PATH "/role", role);
}

char *role_scope(const char *role) {
        return g_strdup_printf("architect-main-%s.scope", role);
}

guint32 role_send(Bus *bus, const char *role, const char *method, GVariant *args) {
        g_autofree char *path = role_path(role);
        return bus_send(bus, bus_node(bus), path, ROLE_INTERFACE, method, args);
}

GVariant *role_call(Bus *bus, const char *role, const char *method, GVariant *args) {
        return bus_result(bus, role_send(bus, role, method, args));
}

GVariant *role_get(Bus *bus, const char *role, const char *property) {
        g_autofree char *path = role_path(role);
        return bus_get(bus, bus_node(bus), path, ROLE_INTERFACE, property);
}

guint32 role_get_u32(Bus *bus, const char *role, const char *property) {
        g_autoptr(GVariant) value = role_get(bus, role, property);
        return g_variant_get_uint32(value);
}

gint32 role_get_i32(Bus *bus, const char *role, const char *property) {
        g_autoptr(GVariant) value = role_get(bus, role, property);
        return g_variant_get_int32(value);
}

guint64 role_get_u64(Bus *bus, const char *role, const char *property) {
        g_autoptr(GVariant) value = role_get(bus, role, property);
        return g_variant_get_uint64(value);
}

guint64 role_start_usec(Bus *bus, const char *role, const char *step) {
        g_autoptr(GVariant) times = role_get(bus, role, "StartTimes");
        guint64 usec = 0;

        return g_variant_lookup(times, step, "t", &usec) ? usec : 0;
}

char *role_get_string(Bus *bus, const char *role, const char *property) {
        g_autoptr(GVariant) value = role_get(bus, role, property);
        return g_variant_dup_string(value, NULL);
}

GVariant *role_get_all(Bus *bus, const char *role) {
        g_autofree char *path = role_path(role);
        g_autoptr(GVariant) reply = bus_call(bus, bus_node(bus), path, "org.freedesktop.DBus.Properties",
                "GetAll", g_variant_new("(s)", ROLE_INTERFACE));
        return g_variant_get_child_value(reply, 0);
}

pid_t role_pid(Bus *bus, const char *role) {
        pid_t pid = (pid_t) role_get_u32(bus, role, "MainPID");

        /* 0 and 1 would be dangerous in a test. */
        assert_true(pid > 1);
        return pid;
}

char *role_cgroup(Bus *bus, const char *role) {
        g_autofree char *cgroup = role_get_string(bus, role, "ControlGroup");
        g_autofree char *slice = g_strdup_printf("/architect.slice/architect-%s.slice/", bus_instance(bus));

        assert_contains(cgroup, slice);
        return g_steal_pointer(&cgroup);
}

pid_t role_find_process(Bus *bus, const char *role, const char *name) {
        g_autofree char *cgroup = role_cgroup(bus, role);
        g_autoptr(GArray) pids = cgroup[0] ? cgroup_pids(cgroup) : NULL;

        for (guint i = 0; pids && i < pids->len; i++) {
                pid_t pid = g_array_index(pids, pid_t, i);
                g_autofree char *comm = process_status(pid, "Name");

                if (g_strcmp0(comm, name) == 0)
                        return pid;
        }
        return 0;
}

/* -- events -- */

GVariant *event_details(const Event *event) {
        gsize n = g_variant_n_children(event->body);
        GVariant *details = g_variant_get_child_value(event->body, n - 1);

        assert_string_equal(g_variant_get_type_string(details), "a{sv}");
        return details;
}

bool detail_bool(GVariant *details, const char *key) {
        gboolean value;

        if (!g_variant_lookup(details, key, "b", &value))
                fail_msg("there is no detail %s", key);
        return value;
}

bool detail_has(GVariant *details, const char *key) {
        g_autoptr(GVariant) value = g_variant_lookup_value(details, key, NULL);
        return value;
}

static GVariant *detail(GVariant *details, const char *key, const GVariantType *type) {
        GVariant *value = g_variant_lookup_value(details, key, type);

        if (!value) {
                g_autofree char *text = g_variant_print(details, true);
                fail_msg("no %s of type %.1s in %s", key, (const char *) type, text);
        }
        return value;
}

guint64 detail_u64(GVariant *details, const char *key) {
        g_autoptr(GVariant) value = detail(details, key, G_VARIANT_TYPE_UINT64);
        return g_variant_get_uint64(value);
}

guint32 detail_u32(GVariant *details, const char *key) {
        g_autoptr(GVariant) value = detail(details, key, G_VARIANT_TYPE_UINT32);
        return g_variant_get_uint32(value);
}

const char *detail_string(GVariant *details, const char *key) {
        g_autoptr(GVariant) value = detail(details, key, G_VARIANT_TYPE_STRING);
        return g_intern_string(g_variant_get_string(value, NULL));
}

Exited exited_from(const Event *event) {
        g_autoptr(GVariant) details = event_details(event);
        g_autofree char *path = NULL;
        const char *role, *object, *code;
        Exited exited = { .event = event };

        assert_string_equal(event->member, "RoleExited");
        assert_string_equal(event->interface, NODE_INTERFACE);
        assert_string_equal(event->path, NODE_PATH);
        g_variant_get(event->body, "(&s&o&si@a{sv})", &role, &object, &code, &exited.status, NULL);
        path = role_path(role);
        assert_string_equal(object, path);
        exited.code = g_intern_string(code);
        exited.cause = detail_string(details, "cause");
        exited.seq = detail_u64(details, "seq");
        exited.details = g_steal_pointer(&details); /* never freed, because a test is short */
        return exited;
}

Exited wait_exited(Bus *bus, const char *role) {
        return exited_from(bus_wait(bus, "RoleExited", role));
}

Exited expect_exited(Bus *bus, const char *role, const char *code, int status, const char *cause) {
        Exited exited = wait_exited(bus, role);

        if (strcmp(exited.code, code) != 0 || exited.status != status ||
                (cause && strcmp(exited.cause, cause) != 0))
                fail_msg("%s should have ended with %s %d (%s), but RoleExited says %s %d (%s)", role, code,
                        status, cause ?: "any cause", exited.code, exited.status, exited.cause);
        return exited;
}

/* -- nothing is left, nothing leaks -- */

void assert_no_trace(Bus *bus, const char *role, guint mark) {
        g_autofree char *path = role_path(role);
        g_autofree char *scope = role_scope(role);
        const char *signals[] = { "RoleStarted", "RoleExited", "RolePurged" };

        node_call_fails(bus, "GetRole", g_variant_new("(s)", role), "NoSuchRole", role, NULL);
        assert_poll(bus, role, "none");
        assert_state(bus, role, "none");
        bus_failure(bus,
                bus_send(bus, bus_node(bus), path, "org.freedesktop.DBus.Properties", "GetAll",
                        g_variant_new("(s)", ROLE_INTERFACE)),
                "org.freedesktop.DBus.Error.UnknownObject", NULL);
        if (count_units(bus, scope) != 0)
                fail_msg("%s is still there", scope);
        for (size_t i = 0; i < G_N_ELEMENTS(signals); i++)
                if (bus_count_since(bus, mark, signals[i], role) != 0) {
                        bus_dump(bus);
                        fail_msg("%s was sent for %s, which never ran", signals[i], role);
                }
}

static guint count_files(const char *path) {
        g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
        const char *name;
        guint n = 0;

        while (dir && (name = g_dir_read_name(dir))) {
                g_autofree char *child = g_build_filename(path, name, NULL);

                if (g_str_equal(name, "event-log"))
                        continue; /* it grows with each event, up to its limit (test-node-event-log) */
                n += g_file_test(child, G_FILE_TEST_IS_DIR) ? count_files(child) : 1;
        }
        return n;
}

Census census(Bus *bus) {
        g_autoptr(GVariant) directories = unit_get(bus, bus_node_unit(bus), "Service", "RuntimeDirectory");
        pid_t node = node_pid(bus), keeper = keeper_pid(bus);
        g_autoptr(GArray) node_children = process_children(node);
        g_autoptr(GArray) keeper_children = process_children(keeper);
        g_autofree char *cgroup = unit_get_string(bus, NODE_SLICE, "Slice", "ControlGroup");
        g_autoptr(GArray) processes = cgroup_pids(cgroup);
        Census now = {
                .node_fds = process_n_fds(node),
                .keeper_fds = process_n_fds(keeper),
                .keeper_children = keeper_children->len,
                .node_children = node_children->len,
                .scopes = count_units(bus, SCOPE_PATTERN),
                .processes = processes->len,
                .roles = node_get_u32(bus, "NRoles"),
        };

        for (guint i = 0; i < keeper_children->len; i++)
                if (process_state(g_array_index(keeper_children, pid_t, i)) == 'Z')
                        now.keeper_zombies++;

        assert_true(g_variant_n_children(directories) > 0);
        for (gsize i = 0; i < g_variant_n_children(directories); i++) {
                g_autofree char *path = NULL;
                const char *name;

                g_variant_get_child(directories, i, "&s", &name);
                path = g_build_filename("/run", name, NULL);
                assert_true(g_file_test(path, G_FILE_TEST_IS_DIR));
                now.saved += count_files(path);
        }
        return now;
}

Census census_before(Bus *bus) {
        const char *role = role_name("first");
        g_autoptr(Fifo) fifo = fifo_new("first");

        start(bus, role, OPTIONS("{'stop-timeout-usec': <@t 1000>}"), actor(), "daemon{", "ignore", "TERM",
                "say", fifo_path(fifo), "ready", "pause", "}", "read-eof", NULL);
        fifo_expect_pid(fifo, "ready");
        pid_t pid = role_pid(bus, role);
        close_input(bus, role);
        expect_exited(bus, role, "exited", 0, "self");
        stop(bus, role);
        purge(bus, role);
        bus_wait(bus, "RolePurged", role);
        /* The keeper reaps it after that, and has closed its descriptors when it sleeps again. */
        WAIT_UNTIL(process_state(pid) == 0 && process_state(keeper_pid(bus)) == 'S');
        WAIT_UNTIL(count_units(bus, SCOPE_PATTERN) == node_get_u32(bus, "NRunning"));
        g_unlink(fifo_path(fifo));
        return census(bus);
}

void assert_census(Bus *bus, const Census *before) {
        gint64 end = g_get_monotonic_time() + patience_usec();
        Census now;

        /* Descriptors are closed and zombies reaped after the event that a client receives, and no event
         * reports it. */
        do {
                now = census(bus);
                if (memcmp(&now, before, sizeof(now)) == 0)
                        return;
                g_usleep(2000);
        } while (g_get_monotonic_time() < end);

        g_autoptr(GString) leaks = g_string_new("something leaked");
#define COMPARE(field) \
        if (now.field != before->field) \
        g_string_append_printf(leaks, "; %s: %u before, %u now", #field, before->field, now.field)
        COMPARE(node_fds);
        COMPARE(keeper_fds);
        COMPARE(keeper_children);
        COMPARE(keeper_zombies);
        COMPARE(node_children);
        COMPARE(scopes);
        COMPARE(processes);
        COMPARE(roles);
        COMPARE(saved);
#undef COMPARE
        fail_msg("%s", leaks->str);
}
