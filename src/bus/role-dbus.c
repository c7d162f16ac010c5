/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdlib.h>

#include "bus/node-dbus.h"
#include "bus/operation.h"
#include "model/products.h"
#include "bus/role-dbus.h"
#include "proto/node-names.h"
#include "util/autoptr.h"
#include "util/log.h"

/* Above this many unwritten messages changes wait: they lose nothing by it, and a slow bus is not fed more. */
#define WRITE_QUEUE_MAX 256U

char *role_dbus_path(const char *name) {
        char *encoded;

        if (sd_bus_path_encode(NODE_ROLE_PATH_PREFIX, name, &encoded) < 0)
                return NULL;
        char *path = g_strdup(encoded);
        free(encoded);
        return path;
}

static int find_role(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret,
        sd_bus_error *error) {
        Agent *agent = userdata;
        char *name;

        if (sd_bus_path_decode(path, NODE_ROLE_PATH_PREFIX, &name) <= 0)
                return 0;
        Role *role = g_hash_table_lookup(agent->node->roles, name);
        free(name);
        if (!role)
                return 0;
        *ret = role;
        return 1;
}

static int enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret, sd_bus_error *error) {
        Agent *agent = userdata;
        GHashTableIter iter;
        Role *role;
        unsigned n = 0;

        /* sd-bus frees it: libc's memory. */
        char **paths = calloc(g_hash_table_size(agent->node->roles) + 1, sizeof(char *));
        if (!paths)
                return -ENOMEM;
        g_hash_table_iter_init(&iter, agent->node->roles);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &role)) {
                g_autofree char *path = role_dbus_path(role->name);
                paths[n++] = strdup(path);
        }
        *ret = paths;
        return 0;
}

static int property_get_string(sd_bus *bus, const char *path, const char *interface, const char *property,
        sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Role *role = userdata;
        const RoleSpec *spec = role->spec;
        char invocation[SD_ID128_STRING_MAX];
        g_autofree char *output = NULL;
        const char *value = "";
        bool ended = role->state == ROLE_ENDED;

        if (g_str_equal(property, "Name"))
                value = role->name;
        else if (g_str_equal(property, "State"))
                value = role_state_to_string(role->state);
        else if (g_str_equal(property, "InvocationID"))
                value = sd_id128_to_string(role->invocation, invocation);
        else if (g_str_equal(property, "User"))
                value = spec->user;
        else if (g_str_equal(property, "Group"))
                value = spec->group;
        else if (g_str_equal(property, "WorkingDirectory"))
                value = spec->working_directory ?: "/";
        else if (g_str_equal(property, "Stdin"))
                value = role_stdin_to_string(spec->stdin_kind);
        else if (g_str_equal(property, "Output"))
                output = role_spec_output(spec);
        else if (g_str_equal(property, "Scope"))
                value = role->scope;
        else if (g_str_equal(property, "ControlGroup"))
                value = role->cgroup;
        else if (g_str_equal(property, "ExitCode"))
                value = ended ? exit_code_to_string(role->exit.code) : "";
        else if (g_str_equal(property, "Cause"))
                value = ended ? role_cause_to_string(role->cause) : "";
        else if (g_str_equal(property, "StopTo"))
                value = stop_to_to_string(spec->stop_to);
        else if (g_str_equal(property, "OnMonitorLoss"))
                value = monitor_loss_to_string(spec->on_monitor_loss);
        else if (g_str_equal(property, "Product"))
                value = spec->product;
        else if (g_str_equal(property, "Version"))
                value = spec->version;
        else if (g_str_equal(property, "Provider"))
                value = products_wanted(spec) ? product_provider_to_string(spec->provider) : "";
        else
                g_assert_not_reached();
        return sd_bus_message_append_basic(reply, 's', output ?: value ?: "");
}

static int property_get_command(sd_bus *bus, const char *path, const char *interface, const char *property,
        sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Role *role = userdata;

        return sd_bus_message_append_strv(reply, role->spec->command);
}

static int property_get_eups_list(sd_bus *bus, const char *path, const char *interface, const char *property,
        sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Role *role = userdata;

        int r = sd_bus_message_open_container(reply, 'a', "(ss)");
        for (char **p = role->spec->eups_list; r >= 0 && p && *p; p += 2)
                r = sd_bus_message_append(reply, "(ss)", p[0], p[1]);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int property_get_u32(sd_bus *bus, const char *path, const char *interface, const char *property,
        sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Role *role = userdata;
        uint32_t value;

        if (g_str_equal(property, "Owner"))
                value = role->owner.uid;
        else /* MainPID; ProcessGroup: a role is the leader of its own session and group, so the number is the same */
                value = role->state == ROLE_ENDED ? 0 : (uint32_t) role->main_pid;
        return sd_bus_message_append_basic(reply, 'u', &value);
}

static int property_get_u64(sd_bus *bus, const char *path, const char *interface, const char *property,
        sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Role *role = userdata;
        const RoleExit *e = &role->exit;
        bool ended = role->state == ROLE_ENDED;
        uint64_t value;

        if (g_str_equal(property, "StartTimestamp"))
                value = role->start_realtime_usec;
        else if (g_str_equal(property, "StartTimestampMonotonic"))
                value = role->start_monotonic_usec;
        else if (g_str_equal(property, "StopTimeoutUSec"))
                value = role->spec->stop_timeout_usec;
        else if (!ended)
                value = 0;
        else if (g_str_equal(property, "ExitTimestamp"))
                value = e->realtime_usec;
        else if (g_str_equal(property, "ExitTimestampMonotonic"))
                value = e->monotonic_usec;
        else if (g_str_equal(property, "CPUUsageUSec"))
                value = e->cpu_user_usec + e->cpu_system_usec;
        else
                value = e->maxrss_bytes;
        return sd_bus_message_append_basic(reply, 't', &value);
}

static int property_get_i32(sd_bus *bus, const char *path, const char *interface, const char *property,
        sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Role *role = userdata;
        int32_t value = g_str_equal(property, "StopSignal") ? role->spec->stop_signal
                        : role->state == ROLE_ENDED         ? role->exit.status
                                                            : 0;

        return sd_bus_message_append_basic(reply, 'i', &value);
}

static int property_get_remove(sd_bus *bus, const char *path, const char *interface, const char *property,
        sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Role *role = userdata;

        return sd_bus_message_append(reply, "b", role->spec->remove);
}

/* The handlers of the object find it by its role; what they do is the node's. */
static Agent *agent_of(Role *role) {
        return role->node->world_data;
}

static int method_stop(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Role *role = userdata;
        return node_dbus_stop(agent_of(role), m, role->name, ROLE_CAUSE_STOP, error);
}

static int method_kill(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Role *role = userdata;
        return node_dbus_stop(agent_of(role), m, role->name, ROLE_CAUSE_KILL, error);
}

static int method_signal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Role *role = userdata;
        return node_dbus_signal(agent_of(role), m, role->name, error);
}

static int method_send_input(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Role *role = userdata;
        return node_dbus_send_input(agent_of(role), m, role->name, error);
}

static int method_write_input(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Role *role = userdata;
        return node_dbus_write_input(agent_of(role), m, role->name, error);
}

static int method_close_input(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Role *role = userdata;
        return node_dbus_close_input(agent_of(role), m, role->name, error);
}

static int method_open_terminal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Role *role = userdata;
        return node_dbus_open_terminal(agent_of(role), m, role->name, error);
}

static int method_resize_terminal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Role *role = userdata;
        return node_dbus_resize_terminal(agent_of(role), m, role->name, error);
}

static int method_purge(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Role *role = userdata;
        Agent *agent = agent_of(role);
        char *names[] = { role->name, NULL };
        g_auto(GStrv) purged = NULL;
        g_auto(Fault) fault = {};
        const Caller *caller;

        int r = authority_check(agent->authority, m, "purge roles", &caller, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = node_check_not_stopping(agent->node, &fault);
        if (r >= 0)
                r = node_purge(agent->node, names, caller, &purged, &fault);
        if (r < 0)
                return fault_to_bus_error(&fault, r, error);
        return sd_bus_reply_method_return(m, NULL);
}

#define CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE

const sd_bus_vtable role_dbus_vtable[] = {
        SD_BUS_VTABLE_START(0),

        SD_BUS_METHOD_WITH_ARGS(
                "Stop", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_stop, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS(
                "Kill", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_kill, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Signal", SD_BUS_ARGS("s", whom, "i", signal), SD_BUS_NO_RESULT,
                method_signal, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("SendInput", SD_BUS_ARGS("s", text), SD_BUS_NO_RESULT, method_send_input,
                SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_SENSITIVE),
        SD_BUS_METHOD_WITH_ARGS("WriteInput", SD_BUS_ARGS("ay", data), SD_BUS_NO_RESULT, method_write_input,
                SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_SENSITIVE),
        SD_BUS_METHOD_WITH_ARGS("CloseInput", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_close_input,
                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("OpenTerminal", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("h", fd),
                method_open_terminal, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ResizeTerminal", SD_BUS_ARGS("q", rows, "q", columns), SD_BUS_NO_RESULT,
                method_resize_terminal, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS(
                "Purge", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_purge, SD_BUS_VTABLE_UNPRIVILEGED),

        SD_BUS_PROPERTY("Name", "s", property_get_string, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("State", "s", property_get_string, 0, CHANGES),
        SD_BUS_PROPERTY("InvocationID", "s", property_get_string, 0, CHANGES),
        SD_BUS_PROPERTY("Command", "as", property_get_command, 0, CHANGES),
        SD_BUS_PROPERTY("User", "s", property_get_string, 0, CHANGES),
        SD_BUS_PROPERTY("Group", "s", property_get_string, 0, CHANGES),
        SD_BUS_PROPERTY("WorkingDirectory", "s", property_get_string, 0, CHANGES),
        SD_BUS_PROPERTY("Stdin", "s", property_get_string, 0, CHANGES),
        SD_BUS_PROPERTY("Output", "s", property_get_string, 0, CHANGES),
        SD_BUS_PROPERTY("Product", "s", property_get_string, 0, CHANGES),
        SD_BUS_PROPERTY("Version", "s", property_get_string, 0, CHANGES),
        SD_BUS_PROPERTY("EupsList", "a(ss)", property_get_eups_list, 0, CHANGES),
        SD_BUS_PROPERTY("Provider", "s", property_get_string, 0, CHANGES),
        SD_BUS_PROPERTY("Owner", "u", property_get_u32, 0, CHANGES),
        SD_BUS_PROPERTY("MainPID", "u", property_get_u32, 0, CHANGES),
        SD_BUS_PROPERTY("ProcessGroup", "u", property_get_u32, 0, CHANGES),
        SD_BUS_PROPERTY("Scope", "s", property_get_string, 0, CHANGES),
        SD_BUS_PROPERTY("ControlGroup", "s", property_get_string, 0, CHANGES),
        SD_BUS_PROPERTY("StartTimestamp", "t", property_get_u64, 0, CHANGES),
        SD_BUS_PROPERTY("StartTimestampMonotonic", "t", property_get_u64, 0, CHANGES),
        SD_BUS_PROPERTY("ExitTimestamp", "t", property_get_u64, 0, CHANGES),
        SD_BUS_PROPERTY("ExitTimestampMonotonic", "t", property_get_u64, 0, CHANGES),
        SD_BUS_PROPERTY("ExitCode", "s", property_get_string, 0, CHANGES),
        SD_BUS_PROPERTY("ExitStatus", "i", property_get_i32, 0, CHANGES),
        SD_BUS_PROPERTY("Cause", "s", property_get_string, 0, CHANGES),
        SD_BUS_PROPERTY("CPUUsageUSec", "t", property_get_u64, 0, CHANGES),
        SD_BUS_PROPERTY("MaxRSS", "t", property_get_u64, 0, CHANGES),
        SD_BUS_PROPERTY("StopSignal", "i", property_get_i32, 0, CHANGES),
        SD_BUS_PROPERTY("StopTo", "s", property_get_string, 0, CHANGES),
        SD_BUS_PROPERTY("OnMonitorLoss", "s", property_get_string, 0, CHANGES),
        SD_BUS_PROPERTY("StopTimeoutUSec", "t", property_get_u64, 0, CHANGES),
        SD_BUS_PROPERTY("Remove", "b", property_get_remove, 0, CHANGES),
        SD_BUS_VTABLE_END,
};

void role_dbus_announce(Agent *agent, Role *role) {
        RoleLinks *links = agent_links(role);
        g_autofree char *path = role_dbus_path(role->name);
        int r;

        (void) g_hash_table_remove(agent->dirty, role);
        if (role->successor)
                return; /* the object is the new run's */
        if (links->announced)
                r = sd_bus_emit_properties_changed_strv(agent->bus, path, NODE_ROLE_INTERFACE, NULL);
        else
                r = sd_bus_emit_object_added(agent->bus, path);
        links->announced = true;
        if (r < 0)
                log_warning_errno(r, "Cannot announce changes of %s, ignoring: %m", path);
}

static int on_announce(sd_event_source *s, void *userdata) {
        Agent *agent = userdata;
        GHashTableIter iter;
        uint64_t queued = 0;
        Role *role;

        while (sd_bus_get_n_queued_write(agent->bus, &queued) >= 0 && queued <= WRITE_QUEUE_MAX) {
                g_hash_table_iter_init(&iter, agent->dirty);
                if (!g_hash_table_iter_next(&iter, (void **) &role, NULL))
                        break;
                role_dbus_announce(agent, role);
        }
        if (agent->node_dirty) {
                agent->node_dirty = false;
                int r = sd_bus_emit_properties_changed(agent->bus, NODE_PATH, NODE_INTERFACE, "State",
                        "KeeperConnected", "NRoles", "NRunning", "MonitorTimeoutUSec", NULL);
                if (r < 0)
                        log_warning_errno(r, "Cannot announce changes of the node, ignoring: %m");
        }
        return 0;
}

static void schedule(Agent *agent) {
        int r = sd_event_source_set_enabled(agent->announce, SD_EVENT_ONESHOT);
        if (r < 0)
                log_warning_errno(r, "Cannot schedule announcements, ignoring: %m");
}

void role_dbus_reschedule(Agent *agent, uint64_t queued) {
        if (queued <= WRITE_QUEUE_MAX && g_hash_table_size(agent->dirty) > 0)
                schedule(agent);
}

void role_dbus_changed(void *world, Role *role) {
        Agent *agent = world;

        (void) g_hash_table_add(agent->dirty, role);
        schedule(agent);
}

void role_dbus_node_changed(void *world) {
        Agent *agent = world;

        agent->node_dirty = true;
        schedule(agent);
}

void role_dbus_removed(void *world, Role *role) {
        Agent *agent = world;
        g_autofree char *path = role_dbus_path(role->name);

        (void) g_hash_table_remove(agent->dirty, role);
        if (!agent_links(role)->announced)
                return;
        agent_links(role)->announced = false;
        int r = sd_bus_emit_interfaces_removed(agent->bus, path, NODE_ROLE_INTERFACE, NULL);
        if (r < 0)
                log_warning_errno(r, "Cannot announce that %s is gone, ignoring: %m", path);
}

int role_dbus_setup(Agent *agent) {
        agent->dirty = g_hash_table_new(NULL, NULL);
        int r = sd_event_add_defer(agent->event, &agent->announce, on_announce, agent);
        if (r >= 0)
                r = sd_event_source_set_enabled(agent->announce, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_source_set_priority(agent->announce, SD_EVENT_PRIORITY_IDLE);
        return r;
}

int role_dbus_register(Agent *agent) {
        sd_bus_slot *slot = NULL;

        int r = sd_bus_add_fallback_vtable(agent->bus, &slot, NODE_ROLE_PATH_PREFIX, NODE_ROLE_INTERFACE,
                role_dbus_vtable, find_role, agent);
        if (r < 0)
                return r;
        g_ptr_array_add(agent->slots, slot);
        r = sd_bus_add_node_enumerator(agent->bus, &slot, NODE_ROLE_PATH_PREFIX, enumerate, agent);
        if (r < 0)
                return r;
        g_ptr_array_add(agent->slots, slot);
        return 0;
}
