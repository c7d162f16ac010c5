/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A client that follows InterfacesAdded, PropertiesChanged and InterfacesRemoved knows the same as one that
 * asks; and only what changed is sent. */

#include "bus-world.h"

#include <gio/gio.h>
#include <errno.h>
#include <inttypes.h>
#include <sys/socket.h>

#include "bus/properties.h"
#include "bus/role-dbus.h"
#include "model/leases.h"
#include "model/role-notify.h"
#include "model/monitor.h"
#include "model/products.h"
#include "model/role-recover.h"
#include "model/role-restart.h"
#include "util/autoptr.h"

#define PROPERTIES "org.freedesktop.DBus.Properties"

typedef struct Follower {
        BusWorld *b;
        sd_bus_slot *slot;
        GHashTable *objects; /* by path: the values by the properties' names */
        GHashTable *changed; /* the names of properties that have had another value: "INTERFACE.NAME" */
        GString *seen;       /* since the last assert_changes(): "+role, role: State MainPID, -role" */
} Follower;

static int put_value(sd_bus_message *m, GString *s) {
        const char *contents;
        char type;
        union {
                const char *s;
                uint64_t t;
                uint32_t u;
                int32_t i;
        } v = {};

        int r = sd_bus_message_peek_type(m, &type, &contents);
        assert_return_code(r, 0);
        if (r == 0)
                return 0;
        if (contents) {
                g_string_append_c(s, '(');
                assert_return_code(sd_bus_message_enter_container(m, type, contents), 0);
                while (put_value(m, s) > 0)
                        g_string_append_c(s, ',');
                assert_return_code(sd_bus_message_exit_container(m), 0);
                g_string_append_c(s, ')');
                return 1;
        }
        assert_return_code(sd_bus_message_read_basic(m, type, &v), 0);
        if (type == 's')
                g_string_append_printf(s, "\"%s\"", v.s);
        else
                g_string_append_printf(s, "%" PRIu64, type == 't' ? v.t : v.u);
        return 1;
}

/* An a{sv}, over what is known; returns the names in the order in which they came. */
static char *read_properties(Follower *f, sd_bus_message *m, const char *interface, GHashTable *known) {
        g_autoptr(GString) names = g_string_new(NULL);
        const char *name;

        assert_return_code(sd_bus_message_enter_container(m, 'a', "{sv}"), 0);
        while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
                g_autoptr(GString) value = g_string_new(NULL);

                assert_return_code(sd_bus_message_read(m, "s", &name), 0);
                (void) put_value(m, value);
                assert_return_code(sd_bus_message_exit_container(m), 0);
                const char *old = g_hash_table_lookup(known, name);
                if (old && !g_str_equal(old, value->str))
                        (void) g_hash_table_add(f->changed, g_strdup_printf("%s.%s", interface, name));
                (void) g_hash_table_insert(known, g_strdup(name), g_strdup(value->str));
                g_string_append_printf(names, " %s", name);
        }
        assert_return_code(sd_bus_message_exit_container(m), 0);
        return g_string_free(g_steal_pointer(&names), false);
}

static GHashTable *new_values(void) {
        return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

static void note(Follower *f, const char *sign, const char *path, const char *names) {
        const char *slash = strrchr(path, '/');

        g_string_append_printf(f->seen, "%s%s%s%s", f->seen->len > 0 ? ", " : "", sign, slash + 1, names);
}

static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Follower *f = userdata;
        const char *path, *interface;

        if (sd_bus_message_is_signal(m, PROPERTIES, "PropertiesChanged") > 0) {
                path = sd_bus_message_get_path(m);
                assert_return_code(sd_bus_message_read(m, "s", &interface), 0);
                GHashTable *known = g_hash_table_lookup(f->objects, path);
                if (!known)
                        fail_msg("%s has changed before it was added", path);
                g_autofree char *names = read_properties(f, m, interface, known);
                g_autofree char *text = g_strconcat(":", names, NULL);
                note(f, "", path, text);
                assert_return_code(sd_bus_message_enter_container(m, 'a', "s"), 0);
                assert_true(sd_bus_message_at_end(m, false)); /* nothing is invalidated */
        } else if (sd_bus_message_is_signal(m, NULL, "InterfacesAdded") > 0) {
                GHashTable *known = new_values();

                assert_return_code(sd_bus_message_read(m, "o", &path), 0);
                note(f, "+", path, "");
                assert_false(g_hash_table_contains(f->objects, path));
                (void) g_hash_table_insert(f->objects, g_strdup(path), known);
                assert_return_code(sd_bus_message_enter_container(m, 'a', "{sa{sv}}"), 0);
                while (sd_bus_message_enter_container(m, 'e', "sa{sv}") > 0) {
                        assert_return_code(sd_bus_message_read(m, "s", &interface), 0);
                        g_free(read_properties(f, m, interface, known));
                        assert_return_code(sd_bus_message_exit_container(m), 0);
                }
        } else if (sd_bus_message_is_signal(m, NULL, "InterfacesRemoved") > 0) {
                assert_return_code(sd_bus_message_read(m, "o", &path), 0);
                note(f, "-", path, "");
                assert_true(g_hash_table_remove(f->objects, path));
        }
        return 0;
}

static void get_all(Follower *f, const char *path, const char *interface, GHashTable *values) {
        g_auto(Call) call = {};
        g_autoptr(sd_bus_message) m = call_new(f->b, NULL, path, PROPERTIES, "GetAll");

        assert_return_code(sd_bus_message_append(m, "s", interface), 0);
        call_send(f->b, &call, m);
        world_wait(f->b->world, call.n > 0);
        assert_replied(&call);
        g_free(read_properties(f, call.reply, interface, values));
}

static Follower *follower_new(BusWorld *b) {
        Follower *f = g_new0(Follower, 1);

        f->b = b;
        f->objects =
                g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_hash_table_unref);
        f->changed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        f->seen = g_string_new(NULL);
        assert_return_code(sd_bus_add_filter(b->client, &f->slot, on_signal, f), 0);
        GHashTable *node = new_values();
        get_all(f, NODE_PATH, NODE_INTERFACE, node);
        (void) g_hash_table_insert(f->objects, g_strdup(NODE_PATH), node);
        return f;
}

static void follower_free(Follower *f) {
        sd_bus_slot_unref(f->slot);
        g_hash_table_unref(f->objects);
        g_hash_table_unref(f->changed);
        g_string_free(f->seen, true);
        g_free(f);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Follower, follower_free)

static GDBusNodeInfo *introspect(BusWorld *b, const char *path) {
        g_autofree char *xml = call_introspect(b, path);
        GDBusNodeInfo *info = g_dbus_node_info_new_for_xml(xml, NULL);
        assert_non_null(info);
        return info;
}

static bool emits_change(const GDBusPropertyInfo *p) {
        return g_strcmp0(g_dbus_annotation_info_lookup(
                                 p->annotations, "org.freedesktop.DBus.Property.EmitsChangedSignal")
                                 ?: "true",
                       "true") == 0;
}

/* Every property that the object itself says announces its changes is known as it is. */
static void assert_follows(Follower *f, const char *path, const char *interface) {
        g_autoptr(GDBusNodeInfo) info = introspect(f->b, path);
        GDBusInterfaceInfo *i = g_dbus_node_info_lookup_interface(info, interface);
        g_autoptr(GHashTable) values = new_values();
        GHashTable *known = g_hash_table_lookup(f->objects, path);
        unsigned n = 0;

        assert_non_null(i);
        assert_non_null(known);
        get_all(f, path, interface, values);
        for (GDBusPropertyInfo **p = i->properties; p && *p; p++) {
                const char *value = g_hash_table_lookup(values, (*p)->name),
                           *seen = g_hash_table_lookup(known, (*p)->name);

                if (!emits_change(*p))
                        continue;
                n++;
                if (!value || g_strcmp0(value, seen) != 0)
                        fail_msg("%s is %s, but was announced as %s", (*p)->name, value, seen);
        }
        assert_true(n > 3);
}

/* ... and has had two values at least in what the test did, so that the above has shown something. */
static void assert_all_have_changed(Follower *f, const char *path, const char *interface, const char *but) {
        g_autoptr(GDBusNodeInfo) info = introspect(f->b, path);
        GDBusInterfaceInfo *i = g_dbus_node_info_lookup_interface(info, interface);

        for (GDBusPropertyInfo **p = i->properties; p && *p; p++) {
                g_autofree char *key = g_strdup_printf("%s.%s", interface, (*p)->name);

                if (emits_change(*p) && g_strcmp0((*p)->name, but) != 0 &&
                        !g_hash_table_contains(f->changed, key))
                        fail_msg(
                                "no change of %s was announced: either it is missing among what is announced, "
                                "or it does not change in this test, and should",
                                (*p)->name);
        }
}

#define assert_changes(f, expected) \
        do { \
                bus_world_settle((f)->b); \
                assert_string_equal((f)->seen->str, (expected)); \
                g_string_set_size((f)->seen, 0); \
        } while (0)

static void follow(Follower *f, const char *path) {
        bus_world_settle(f->b);
        assert_follows(f, NODE_PATH, NODE_INTERFACE);
        assert_follows(f, path, NODE_ROLE_INTERFACE);
        g_string_set_size(f->seen, 0);
}

#define OTHER "other" /* on which it depends */

/* Another value of every option that is a property. */
static RoleSpec *other_spec(Node *node) {
        RoleSpec *spec = role_spec_new();

        assert_return_code(leases_acquire(node->leases, "cluster", 0, USEC_INFINITY,
                                   &(Caller){ .known = true, .uid = 1000 }, NULL),
                0);

        assert_return_code(role_spec_set_command(spec, (char *[]){ "/bin/x", "-y", NULL }, NULL), 0);
        assert_return_code(role_spec_set_user(spec, "daemon", NULL), 0);
        assert_return_code(role_spec_set_group(spec, "12", NULL), 0);
        assert_return_code(role_spec_set_working_directory(spec, "/tmp", NULL), 0);
        assert_return_code(role_spec_set_stdin(spec, "null", NULL), 0);
        assert_return_code(role_spec_set_output(spec, "append:/log", NULL), 0);
        assert_return_code(role_spec_set_product(spec, "base", NULL), 0);
        assert_return_code(role_spec_set_version(spec, "1.0", NULL), 0);
        assert_return_code(role_spec_add_eups(spec, "camera", "", NULL), 0);
        assert_return_code(role_spec_set_provider(spec, "eups", NULL), 0);
        assert_return_code(role_spec_set_exit_type(spec, "cgroup", NULL), 0);
        assert_return_code(role_spec_set_type(spec, "notify", NULL), 0);
        assert_return_code(role_spec_set_stop_to(spec, "main", NULL), 0);
        assert_return_code(role_spec_set_on_monitor_loss(spec, "kill", NULL), 0);
        assert_return_code(role_spec_set_lease(spec, "cluster", NULL), 0);
        assert_return_code(role_spec_set_managed_by(spec, "pacemaker:cam", NULL), 0);
        spec->stop_signal = SIGINT;
        spec->stop_timeout_set = true;
        spec->stop_timeout_usec = 7;
        spec->remove = true;
        assert_return_code(role_spec_set_restart(spec, "always", NULL), 0);
        assert_return_code(role_spec_set_success_exit_status(spec, (char *[]){ "3", NULL }, NULL), 0);
        assert_return_code(role_spec_set_restart_prevent_exit_status(spec, (char *[]){ "4", NULL }, NULL), 0);
        spec->restart_usec = 3600 * USEC_PER_SEC;
        spec->restart_steps = 1;
        spec->restart_max_delay_usec = 7200 * USEC_PER_SEC;
        spec->start_limit_interval_usec = 1;
        spec->start_limit_burst = 6;
        assert_return_code(role_spec_set_role_groups(spec, (char *[]){ "night", NULL }, NULL), 0);
        for (Dependency i = 0; i < _DEPENDENCY_MAX; i++)
                assert_return_code(role_spec_set_dependencies(spec, i, (char *[]){ OTHER, NULL }, NULL), 0);
        spec->definition = g_strdup("/cam.role");
        spec->definition_hash = g_strdup("0"); /* of one that is gone */
        return spec;
}

/* Two runs and a start that fails, and the client knows everything after each step. */
static void test_role(void **state) {
        BusWorld *b = *state;
        TestWorld *w = b->world;
        g_autoptr(Follower) f = follower_new(b);
        g_autofree char *path = role_dbus_path("cam");
        const Caller caller = { .known = true, .uid = 1000, .pid = 1 };
        RoleSpec *spec = test_spec();

        Role *role = world_start(w, "cam", spec, NULL);
        follow(f, path);
        world_forked(w, role);
        world_scope_made(w, role);
        (void) g_hash_table_add(w->populated, role);
        follow(f, path);
        role_on_products(role, (char *[]){ "base", "2.0", "camera", "", NULL }, (char *[]){ "A=1", NULL });
        follow(f, path);
        role_on_gate_closed(role);
        follow(f, path);
        g_ptr_array_add(w->strays, stray_new(1, 1, "/x/session-c1.scope/y", "/x/session-c1.scope"));
        role_look_for_strays(role);
        follow(f, path);
        (void) g_hash_table_add(w->frozen, role);
        role_on_cgroup_changed(role);
        follow(f, path);
        node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, (Waiter){});
        follow(f, path);
        world_exit_leaving(w, role, EXIT_CODE_KILLED, SIGTERM);
        follow(f, path);
        world_emptied(w, role);
        follow(f, path);
        g_ptr_array_set_size(w->strays, 0);

        role = world_start(w, "cam", NULL, NULL);
        follow(f, path);
        world_fork_failed(w, role, -EAGAIN); /* the run before is back */
        follow(f, path);

        Role *other = world_start(w, OTHER, NULL, NULL);
        assert_return_code(
                node_start_role(w->node, "cam", other_spec(w->node), &caller, (Waiter){}, &(Fault){}), 0);
        role = world_find(w, "cam");
        follow(f, path);
        world_executed(w, other);
        follow(f, path);
        world_forked(w, role);
        world_scope_made(w, role);
        role_on_gate_closed(role);
        follow(f, path);
        role->damaged = true; /* as role_adopt() reports it */
        ASK(w->node, clients, role_changed, role);
        follow(f, path);
        role_set_output_lost(role, true);
        follow(f, path);
        role_on_notified(role, &(RoleNotification){ .kind = NOTIFY_STATUS, .number = 1, .text = "busy" });
        follow(f, path);
        role_on_notified(role, &(RoleNotification){ .kind = NOTIFY_ERRNO, .number = 2, .value = 5 });
        follow(f, path);
        world_exit(w, role, EXIT_CODE_EXITED, 1);
        follow(f, path);
        role->next_deadline = 0;
        role_arm_restart(role);
        world_wait(w, world_find(w, "cam") != role);
        role = world_find(w, "cam");
        world_forked(w, role);
        world_scope_made(w, role);
        role_on_gate_closed(role);
        follow(f, path);
        /* The name is in the scope's. */
        assert_all_have_changed(f, path, NODE_ROLE_INTERFACE, "Scope");

        world_exit(w, role, EXIT_CODE_EXITED, 4); /* not again, so "remove" */
        bus_world_settle(b);
        assert_null(g_hash_table_lookup(f->objects, path));
        (void) world_run(w, "cam", NULL);
        follow(f, path);
}

/* Only what changed; the options once a run. */
static void test_names(void **state) {
        BusWorld *b = *state;
        TestWorld *w = b->world;
        g_autoptr(Follower) f = follower_new(b);

        Role *role = world_start(w, "cam", NULL, NULL);
        assert_changes(f, "+cam, Node: State KeeperConnected NRoles NRunning Warnings MonitorTimeoutUSec");
        world_forked(w, role);
        world_scope_made(w, role);
        (void) g_hash_table_add(w->populated, role);
        assert_changes(f, "cam: MainPID ProcessGroup ControlGroup");
        role_on_gate_closed(role);
        assert_changes(f, "cam: State Ready StartTimestamp StartTimestampMonotonic StartTimes");
        node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, (Waiter){});
        assert_changes(f, "cam: State");
        world_exit_leaving(w, role, EXIT_CODE_KILLED, SIGTERM);
        assert_changes(f,
                "cam: State MainPID ProcessGroup Ready ExitTimestamp ExitTimestampMonotonic ExitCode ExitStatus Cause"
                " CPUUsageUSec MaxRSS, Node: NRunning");
        world_emptied(w, role);
        assert_changes(f, "cam: ControlGroup");

        /* The same object. */
        role = world_start(w, "cam", NULL, NULL);
        assert_changes(f,
                "cam: State InvocationID StartTimestamp StartTimestampMonotonic StartTimes ExitTimestamp"
                " ExitTimestampMonotonic ExitCode ExitStatus Cause CPUUsageUSec MaxRSS Command User Group"
                " WorkingDirectory Stdin Output Product Version EupsList Provider ExitType StopSignal Type StopTo"
                " OnMonitorLoss StopTimeoutUSec Remove Restart RestartUSec RestartSteps RestartMaxDelayUSec"
                " SuccessExitStatus RestartPreventExitStatus StartLimitIntervalUSec StartLimitBurst Definition RoleGroups"
                " After Wants Requires BindsTo PartOf Lease ManagedBy,"
                " Node: NRunning");
        world_fork_failed(w, role, -EAGAIN);
        bus_world_settle(b);
        g_string_set_size(f->seen, 0);

        /* In one turn of the loop: there and back. */
        role = world_start(w, "cam", NULL, NULL);
        world_fork_failed(w, role, -EAGAIN);
        assert_changes(f, "");
        node_purge_role(w->node, world_find(w, "cam"), NULL);
        assert_changes(f, "-cam, Node: NRoles");
}

static void test_node(void **state) {
        BusWorld *b = *state;
        TestWorld *w = b->world;
        g_autoptr(Follower) f = follower_new(b);

        Role *role = world_run(w, "cam", NULL);
        bus_world_settle(b);
        assert_follows(f, NODE_PATH, NODE_INTERFACE);
        g_string_set_size(f->seen, 0);

        assert_return_code(monitor_set_timeout(w->node->monitor, 5 * USEC_PER_SEC, NULL), 0);
        assert_changes(f, "Node: MonitorTimeoutUSec");
        assert_return_code(monitor_beat(w->node->monitor, NULL), 0);
        assert_changes(f, "");
        w->connected = false;
        node_on_keeper_lost(w->node);
        assert_changes(f, "Node: State KeeperConnected Warnings");
        assert_follows(f, NODE_PATH, NODE_INTERFACE);
        w->connected = true;
        role->child_exists = true; /* the next keeper has it */
        node_on_keeper(w->node, NULL, 0);
        assert_changes(f, "Node: State KeeperConnected Warnings");
        role_set_output_lost(role, true);
        assert_changes(f, "cam: OutputLost, Node: Warnings");
        node_shutdown(w->node, "test", NULL);
        bus_world_settle(b);
        assert_follows(f, NODE_PATH, NODE_INTERFACE);
        world_exit(w, role, EXIT_CODE_EXITED, 0);
        bus_world_settle(b);
        assert_all_have_changed(f, NODE_PATH, NODE_INTERFACE, NULL);
}

/* The process before us has announced it: it is no new object, and all of it may be new. */
static void test_adopted(void **state) {
        BusWorld *b = *state;
        TestWorld *w = b->world;
        g_autofree char *path = role_dbus_path("cam");

        Role *role = world_run(w, "cam", NULL);
        g_hash_table_remove_all(b->clients->role_objects);
        b->clients->dirty = (GQueue) G_QUEUE_INIT;
        clients_adopt_roles(b->clients);
        bus_world_settle(b);

        g_autoptr(Follower) f = follower_new(b);
        (void) g_hash_table_insert(f->objects, g_strdup(path), new_values());
        node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, (Waiter){});
        bus_world_settle(b);
        assert_follows(f, path, NODE_ROLE_INTERFACE);
        assert_null(strchr(f->seen->str, '+'));
}

/* -- a signal that cannot be sent
 * ------------------------------------------------------------------------------------------------ */

static bool out_of_memory;

int __real_sd_bus_emit_properties_changed_strv(
        sd_bus *bus, const char *path, const char *interface, char **names);
int __wrap_sd_bus_emit_properties_changed_strv(
        sd_bus *bus, const char *path, const char *interface, char **names);
int __wrap_sd_bus_emit_properties_changed_strv(
        sd_bus *bus, const char *path, const char *interface, char **names) {
        return out_of_memory ? -ENOMEM
                             : __real_sd_bus_emit_properties_changed_strv(bus, path, interface, names);
}

int __real_sd_bus_emit_object_added(sd_bus *bus, const char *path);
int __wrap_sd_bus_emit_object_added(sd_bus *bus, const char *path);
int __wrap_sd_bus_emit_object_added(sd_bus *bus, const char *path) {
        return out_of_memory ? -ENOMEM : __real_sd_bus_emit_object_added(bus, path);
}

/* The next change of that object makes up for it. */
static void test_not_sent(void **state) {
        BusWorld *b = *state;
        TestWorld *w = b->world;
        g_autoptr(Follower) f = follower_new(b);
        g_autofree char *path = role_dbus_path("cam");

        out_of_memory = true;
        Role *role = world_run(w, "cam", NULL);
        assert_changes(f, "");
        out_of_memory = false;
        node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, (Waiter){});
        follow(f, path);
        out_of_memory = true;
        world_exit_leaving(w, role, EXIT_CODE_KILLED, SIGTERM);
        assert_changes(f, "");
        out_of_memory = false;
        world_emptied(w, role); /* a change of the role alone */
        bus_world_settle(b);
        assert_follows(f, path, NODE_ROLE_INTERFACE);
        role = world_run(w, "cam", NULL);
        node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, (Waiter){});
        follow(f, path);
}

/* Values of every shape. */
typedef struct Shape {
        const char *strings[4];
        uint64_t number;
        int error;
} Shape;

PROPERTY_U64(shape, Number, const Shape *shape, shape->number);
PROPERTY_U32(shape, Constant, const Shape *shape, (uint32_t) shape->number);

PROPERTY_GETTER(shape, Strings) {
        const Shape *shape = userdata;

        return shape->error < 0 ? shape->error : property_put_strings(reply, (char *const *) shape->strings);
}

PROPERTY_GETTER(shape, Pairs) {
        const Shape *shape = userdata;
        const char *pairs[2 * ELEMENTSOF(shape->strings) + 1] = {};

        for (unsigned i = 0; shape->strings[i]; i++) {
                pairs[2 * i] = shape->strings[i];
                pairs[2 * i + 1] = "";
        }
        return property_put_pairs(reply, (char *const *) pairs);
}

static const sd_bus_vtable shape_vtable[] = {
        SD_BUS_VTABLE_START(0),
        PROPERTY(shape, Constant, "u", SD_BUS_VTABLE_PROPERTY_CONST),
        PROPERTY(shape, Strings, "as", SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        PROPERTY(shape, Number, "t", SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        PROPERTY(shape, Pairs, "a(ss)", SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_VTABLE_END,
};

static char *compare(BusWorld *b, Shape *shape, uint64_t *values) {
        g_autoptr(GPtrArray) names = g_ptr_array_new();

        properties_compare(shape_vtable, shape, values, names);
        g_ptr_array_add(names, NULL);
        return g_strjoinv(" ", (char **) names->pdata);
}

static void test_compare(void **state) {
        BusWorld *b = *state;
        uint64_t values[3] = {};
        static const struct {
                Shape shape;
                const char *changed;
        } steps[] = {
                { { { NULL }, 0, 0 }, "Strings Number Pairs" },
                { { { NULL }, 0, 0 }, "" },
                { { { "" }, 0, 0 }, "Strings Pairs" },
                { { { "", "" }, 0, 0 }, "Strings Pairs" },
                { { { "ab", "c" }, 0, 0 }, "Strings Pairs" },
                { { { "a", "bc" }, 0, 0 }, "Strings Pairs" },
                { { { "a", "bc" }, UINT64_MAX, 0 }, "Number" },
                { { { "a", "bc" }, UINT64_C(1) << 63, 0 }, "Number" },
                { { { "a", "bc" }, UINT64_C(1) << 63, 0 }, "" },
                /* Cannot be read: anything may be new, also the next time. */
                { { { "a", "bc" }, UINT64_C(1) << 63, -ENOMEM }, "Strings Number Pairs" },
                { { { "a", "bc" }, UINT64_C(1) << 63, 0 }, "Strings Number Pairs" },
                { { { "a", "bc" }, UINT64_C(1) << 63, 0 }, "" },
        };

        assert_int_equal(properties_count(shape_vtable), 3);
        for (size_t i = 0; i < ELEMENTSOF(steps); i++) {
                Shape shape = steps[i].shape;
                g_autofree char *changed = compare(b, &shape, values);

                assert_string_equal(changed, steps[i].changed);
        }
}

/* -- GetManagedObjects -- */

static void get_managed_objects(BusWorld *b, sd_bus *bus, Call *call) {
        g_autoptr(sd_bus_message) m = NULL;

        assert_return_code(sd_bus_message_new_method_call(bus, &m, NULL, NODE_PATH,
                                   "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"),
                0);
        call_send_on(bus, call, m);
        world_wait(b->world, call->n > 0);
}

/* All of a message with its types, and so, since a value has one form only, all of its bytes. */
static void put_with_types(sd_bus_message *m, GString *s) {
        const char *contents;
        char type;

        while (sd_bus_message_peek_type(m, &type, &contents) > 0) {
                g_string_append_printf(s, "%c%s ", type, contents ?: "");
                if (!contents) {
                        (void) put_value(m, s);
                        continue;
                }
                assert_return_code(sd_bus_message_enter_container(m, type, contents), 0);
                put_with_types(m, s);
                assert_return_code(sd_bus_message_exit_container(m), 0);
                g_string_append_c(s, ';');
        }
}

/* Returns what a reply has about each object, by path. */
static GHashTable *read_managed_objects(const Call *call) {
        GHashTable *objects = new_values();
        const char *path;

        assert_replied(call);
        assert_string_equal(sd_bus_message_get_signature(call->reply, true), "a{oa{sa{sv}}}");
        assert_return_code(sd_bus_message_enter_container(call->reply, 'a', "{oa{sa{sv}}}"), 0);
        while (sd_bus_message_enter_container(call->reply, 'e', "oa{sa{sv}}") > 0) {
                g_autoptr(GString) text = g_string_new(NULL);

                assert_return_code(sd_bus_message_read(call->reply, "o", &path), 0);
                put_with_types(call->reply, text);
                assert_true(g_hash_table_insert(objects, g_strdup(path), g_strdup(text->str)));
                assert_return_code(sd_bus_message_exit_container(call->reply), 0);
        }
        assert_return_code(sd_bus_message_exit_container(call->reply), 0);
        assert_true(sd_bus_message_at_end(call->reply, true));
        return objects;
}

/* A connection on which sd-bus composes the reply. */
typedef struct Plain {
        sd_bus *client, *server;
        GPtrArray *slots;
} Plain;

static void plain_open(BusWorld *b, Plain *p) {
        sd_bus_slot *slot;
        sd_id128_t id;
        int fds[2];

        p->slots = g_ptr_array_new_with_free_func(bus_slot_free);
        assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), errno);
        assert_return_code(sd_id128_randomize(&id), 0);
        assert_return_code(sd_bus_new(&p->server), 0);
        assert_return_code(sd_bus_set_fd(p->server, fds[0], fds[0]), 0);
        assert_return_code(sd_bus_set_server(p->server, true, id), 0);
        assert_return_code(sd_bus_add_object_manager(p->server, &slot, NODE_PATH), 0);
        g_ptr_array_add(p->slots, slot);
        assert_return_code(role_dbus_register(b->clients, p->server, p->slots), 0);
        assert_return_code(sd_bus_start(p->server), 0);
        assert_return_code(sd_bus_attach_event(p->server, b->world->event, 0), 0);
        assert_return_code(sd_bus_new(&p->client), 0);
        assert_return_code(sd_bus_set_fd(p->client, fds[1], fds[1]), 0);
        assert_return_code(sd_bus_start(p->client), 0);
        assert_return_code(sd_bus_attach_event(p->client, b->world->event, 0), 0);
}

static void plain_close(Plain *p) {
        g_ptr_array_unref(p->slots);
        sd_bus_close_unref(p->client);
        sd_bus_close_unref(p->server);
}

/* The same as sd-bus would send. */
static void assert_managed_objects(BusWorld *b, Plain *p, unsigned n) {
        g_auto(Call) ours = {}, theirs = {};
        GHashTableIter iter;
        const char *path, *text;

        get_managed_objects(b, b->client, &ours);
        get_managed_objects(b, p->client, &theirs);
        g_autoptr(GHashTable) objects = read_managed_objects(&ours);
        g_autoptr(GHashTable) expected = read_managed_objects(&theirs);
        assert_int_equal(g_hash_table_size(objects), n);
        assert_int_equal(g_hash_table_size(expected), n);
        g_hash_table_iter_init(&iter, expected);
        while (g_hash_table_iter_next(&iter, (void **) &path, (void **) &text)) {
                assert_non_null(g_hash_table_lookup(objects, path));
                assert_string_equal(g_hash_table_lookup(objects, path), text);
        }
}

/* The same as the properties that are read one by one. */
static void assert_each_property(Follower *f, const char *path) {
        g_autoptr(GDBusNodeInfo) info = introspect(f->b, path);
        GDBusInterfaceInfo *interface = g_dbus_node_info_lookup_interface(info, NODE_ROLE_INTERFACE);
        g_autoptr(GHashTable) values = new_values();
        g_auto(Call) all = {};
        const char *name;
        unsigned n = 0;

        get_managed_objects(f->b, f->b->client, &all);
        assert_replied(&all);
        assert_return_code(sd_bus_message_enter_container(all.reply, 'a', "{oa{sa{sv}}}"), 0);
        while (sd_bus_message_enter_container(all.reply, 'e', "oa{sa{sv}}") > 0) {
                assert_return_code(sd_bus_message_read(all.reply, "o", &name), 0);
                const bool wanted = g_str_equal(name, path);
                assert_return_code(sd_bus_message_enter_container(all.reply, 'a', "{sa{sv}}"), 0);
                while (sd_bus_message_enter_container(all.reply, 'e', "sa{sv}") > 0) {
                        g_autoptr(GHashTable) other = new_values();

                        assert_return_code(sd_bus_message_read(all.reply, "s", &name), 0);
                        g_free(read_properties(f, all.reply, name, wanted ? values : other));
                        assert_return_code(sd_bus_message_exit_container(all.reply), 0);
                }
                assert_return_code(sd_bus_message_exit_container(all.reply), 0);
                assert_return_code(sd_bus_message_exit_container(all.reply), 0);
        }
        for (GDBusPropertyInfo **p = interface->properties; p && *p; p++, n++) {
                g_auto(Call) call = {};
                g_autoptr(sd_bus_message) m = call_new(f->b, NULL, path, PROPERTIES, "Get");
                g_autoptr(GString) value = g_string_new(NULL);

                assert_return_code(sd_bus_message_append(m, "ss", NODE_ROLE_INTERFACE, (*p)->name), 0);
                call_send(f->b, &call, m);
                world_wait(f->b->world, call.n > 0);
                assert_replied(&call);
                (void) put_value(call.reply, value);
                const char *in_all = g_hash_table_lookup(values, (*p)->name);
                if (!in_all || !g_str_equal(in_all, value->str))
                        fail_msg("%s is %s, but %s in GetManagedObjects", (*p)->name, value->str, in_all);
        }
        assert_int_equal(g_hash_table_size(values), n);
}

static void test_managed_objects(void **state) {
        BusWorld *b = *state;
        TestWorld *w = b->world;
        g_autoptr(Follower) f = follower_new(b);
        const Caller caller = { .known = true, .uid = 1000, .pid = 1 };
        Plain plain = {};

        plain_open(b, &plain);
        assert_managed_objects(b, &plain, 0);

        /* Values of each shape: with and without strays, products, an end, options, a cgroup that is frozen;
         * names and values of all lengths, so that what follows is padded in each way. */
        (void) world_run(w, OTHER, NULL);
        Role *role = world_start(w, "cam", other_spec(w->node), NULL);
        world_forked(w, role);
        world_scope_made(w, role);
        (void) g_hash_table_add(w->populated, role);
        role_on_products(role, (char *[]){ "base", "2.0", "camera", "", NULL }, (char *[]){ "A=1", NULL });
        role_on_gate_closed(role);
        g_ptr_array_add(w->strays, stray_new(1, 1, "/x/session-c1.scope/y", "/x/session-c1.scope"));
        role_look_for_strays(role);
        g_ptr_array_set_size(w->strays, 0);
        assert_return_code(
                node_start_role(w->node, "start-ing", other_spec(w->node), &caller, (Waiter){}, &(Fault){}),
                0);
        char name[] = "a_______________";
        for (unsigned i = 1; i < sizeof(name); i++) {
                g_autofree char *this = g_strndup(name, i);

                role = world_run(w, this, NULL);
                if (i % 3 == 0)
                        world_exit(w, role, i % 2 ? EXIT_CODE_KILLED : EXIT_CODE_EXITED, (int) i);
                if (i % 3 == 1)
                        (void) g_hash_table_add(w->frozen, role);
        }
        bus_world_settle(b);
        assert_managed_objects(b, &plain, 3 + sizeof(name) - 1);
        g_autofree char *cam = role_dbus_path("cam"), *starting = role_dbus_path("start-ing"),
                        *frozen = role_dbus_path("a"), *ended = role_dbus_path("a__");
        assert_each_property(f, cam);
        assert_each_property(f, starting);
        assert_each_property(f, frozen);
        assert_each_property(f, ended);

        plain_close(&plain);
}

/* The bus would end the connection. */
static void test_too_many_managed_objects(void **state) {
        BusWorld *b = *state;
        static const char *const names[] = { "one", "two" };
        g_auto(Call) call = {}, next = {};

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                Role *role = world_run(b->world, names[i], NULL);

                bus_world_settle(b);
                g_free(role->spec->command[0]);
                role->spec->command[0] = g_strnfill(33 << 20, 'x');
        }
        get_managed_objects(b, b->client, &call);
        assert_error(&call, SD_BUS_ERROR_LIMITS_EXCEEDED, "GetAll");
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                world_find(b->world, names[i])->spec->command[0][0] = '\0';
        get_managed_objects(b, b->client, &next);
        g_autoptr(GHashTable) objects = read_managed_objects(&next);
        assert_int_equal(g_hash_table_size(objects), ELEMENTSOF(names));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                BUS_TEST(test_role),
                BUS_TEST(test_names),
                BUS_TEST(test_node),
                BUS_TEST(test_adopted),
                BUS_TEST(test_not_sent),
                BUS_TEST(test_compare),
                BUS_TEST(test_managed_objects),
                BUS_TEST(test_too_many_managed_objects),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
