/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdlib.h>

#include "bus/operation.h"
#include "model/input.h"
#include "model/node-purge.h"
#include "model/node-stop.h"
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
        Clients *clients = userdata;
        char *name;

        if (sd_bus_path_decode(path, NODE_ROLE_PATH_PREFIX, &name) <= 0)
                return 0;
        Role *role = g_hash_table_lookup(clients->node->roles, name);
        free(name);
        if (!role)
                return 0;
        *ret = role;
        return 1;
}

static int enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret, sd_bus_error *error) {
        Clients *clients = userdata;
        GHashTableIter iter;
        Role *role;
        unsigned n = 0;

        /* sd-bus frees it: libc's memory. */
        char **paths = calloc(g_hash_table_size(clients->node->roles) + 1, sizeof(char *));
        if (!paths)
                return -ENOMEM;
        g_hash_table_iter_init(&iter, clients->node->roles);
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

/* Handlers read, validate, authorize, act and reply, in this order: a parked call comes back to its handler from the
 * start, so nothing may have changed before. */

int role_dbus_check(
        sd_bus_message *m, Role *role, const char *action, const Caller **ret, sd_bus_error *error) {
        Clients *clients = role->node->world.clients.data;
        g_auto(Fault) fault = {};

        int r = authority_check(clients->authority, m, action, ret, error);
        if (r <= 0)
                return r;
        r = node_check_not_stopping(role->node, &fault);
        return r < 0 ? fault_to_bus_error(&fault, r, error) : 1;
}

static int stop_role(sd_bus_message *m, Role *role, RoleCause cause, sd_bus_error *error) {
        const Caller *caller = NULL;

        int r = role_dbus_check(m, role, "stop roles", &caller, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        node_stop_role(role->node, role, cause, caller, operation_new(m, NULL));
        return 1;
}

int role_method_stop(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return stop_role(m, userdata, ROLE_CAUSE_STOP, error);
}

int role_method_kill(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return stop_role(m, userdata, ROLE_CAUSE_KILL, error);
}

int role_method_signal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Role *role = userdata;
        g_auto(Fault) fault = {};
        const Caller *caller = NULL;
        const char *whom;
        int32_t signo;
        StopTo to;

        int r = sd_bus_message_read(m, "si", &whom, &signo);
        if (r < 0)
                return r;
        to = stop_to_from_string(whom);
        if ((int) to < 0)
                return sd_bus_error_setf(
                        error, SD_BUS_ERROR_INVALID_ARGS, "whom is \"%s\", but must be main or all", whom);
        if (signo < 1 || signo > SIGNAL_MAX)
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                        "signal is %d, but must be from 1 to %d", signo, SIGNAL_MAX);

        r = role_dbus_check(m, role, "signal roles", &caller, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        Waiter waiter = operation_new(m, NULL);
        if (node_signal_role(role->node, role, to == STOP_TO_ALL, signo, caller, waiter, &fault) < 0)
                waiter.done(waiter.userdata, &fault);
        return 1;
}

static void release_message(void *owner) {
        sd_bus_message_unref(owner);
}

static int write_input(
        sd_bus_message *m, Role *role, const void *data, size_t size, bool newline, sd_bus_error *error) {
        g_auto(Fault) fault = {};
        const Caller *caller = NULL;

        int r = role_dbus_check(m, role, "write to roles", &caller, error);
        if (r <= 0)
                return r < 0 ? r : 1;

        Waiter waiter = operation_new(m, NULL);
        r = input_find(role, &fault);
        if (r >= 0) {
                /* The bytes stay where they are, in the message. */
                r = input_write(role->input, data, size, newline, sd_bus_message_ref(m), release_message,
                        waiter, &fault);
                if (r < 0)
                        sd_bus_message_unref(m); /* nothing was taken */
        }
        if (r < 0)
                waiter.done(waiter.userdata, &fault);
        return 1;
}

int role_method_send_input(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *text;

        int r = sd_bus_message_read_basic(m, 's', &text);
        return r < 0 ? r : write_input(m, userdata, text, strlen(text), true, error);
}

int role_method_write_input(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const void *data;
        size_t size;

        int r = sd_bus_message_read_array(m, 'y', &data, &size);
        return r < 0 ? r : write_input(m, userdata, data, size, false, error);
}

int role_method_close_input(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Role *role = userdata;
        g_auto(Fault) fault = {};
        const Caller *caller = NULL;

        int r = role_dbus_check(m, role, "write to roles", &caller, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        Waiter waiter = operation_new(m, NULL);
        r = input_find(role, &fault);
        if (r >= 0)
                r = input_close(role->input, waiter, &fault);
        if (r < 0)
                waiter.done(waiter.userdata, &fault);
        return 1;
}

static int method_purge(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Role *role = userdata;
        char *names[] = { role->name, NULL };
        g_auto(GStrv) purged = NULL;
        g_auto(Fault) fault = {};
        const Caller *caller;

        int r = role_dbus_check(m, role, "purge roles", &caller, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = node_purge(role->node, names, caller, &purged, &fault);
        return r < 0 ? fault_to_bus_error(&fault, r, error) : sd_bus_reply_method_return(m, NULL);
}

#define CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE

static const sd_bus_vtable role_vtable[] = {
        SD_BUS_VTABLE_START(0),

        SD_BUS_METHOD_WITH_ARGS(
                "Stop", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, role_method_stop, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS(
                "Kill", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, role_method_kill, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Signal", SD_BUS_ARGS("s", whom, "i", signal), SD_BUS_NO_RESULT,
                role_method_signal, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("SendInput", SD_BUS_ARGS("s", text), SD_BUS_NO_RESULT, role_method_send_input,
                SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_SENSITIVE),
        SD_BUS_METHOD_WITH_ARGS("WriteInput", SD_BUS_ARGS("ay", data), SD_BUS_NO_RESULT,
                role_method_write_input, SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_SENSITIVE),
        SD_BUS_METHOD_WITH_ARGS("CloseInput", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, role_method_close_input,
                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("OpenTerminal", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("h", fd),
                role_method_open_terminal, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ResizeTerminal", SD_BUS_ARGS("q", rows, "q", columns), SD_BUS_NO_RESULT,
                role_method_resize_terminal, SD_BUS_VTABLE_UNPRIVILEGED),
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

void role_dbus_clean(Clients *clients, Role *role) {
        if (role->changed_link)
                g_queue_delete_link(clients->dirty, g_steal_pointer(&role->changed_link));
}

void role_dbus_announce(Clients *clients, Role *role) {
        g_autofree char *path = role_dbus_path(role->name);
        int r;

        role_dbus_clean(clients, role);
        if (role->successor)
                return; /* the object is the new run's */
        if (role->announced)
                r = sd_bus_emit_properties_changed_strv(clients->bus, path, NODE_ROLE_INTERFACE, NULL);
        else
                r = sd_bus_emit_object_added(clients->bus, path);
        role->announced = true;
        if (r < 0)
                log_warning_errno(r, "Cannot announce changes of %s, ignoring: %m", path);
}

static int on_announce(sd_event_source *s, void *userdata) {
        Clients *clients = userdata;
        uint64_t queued = 0;

        while (!g_queue_is_empty(clients->dirty) && sd_bus_get_n_queued_write(clients->bus, &queued) >= 0 &&
                queued <= WRITE_QUEUE_MAX)
                role_dbus_announce(clients, g_queue_peek_head(clients->dirty));
        if (clients->node_dirty) {
                clients->node_dirty = false;
                int r = sd_bus_emit_properties_changed(clients->bus, NODE_PATH, NODE_INTERFACE, "State",
                        "KeeperConnected", "NRoles", "NRunning", "MonitorTimeoutUSec", NULL);
                if (r < 0)
                        log_warning_errno(r, "Cannot announce changes of the node, ignoring: %m");
        }
        return 0;
}

static void schedule(Clients *clients) {
        int r = sd_event_source_set_enabled(clients->announce, SD_EVENT_ONESHOT);
        if (r < 0)
                log_warning_errno(r, "Cannot schedule announcements, ignoring: %m");
}

void role_dbus_reschedule(Clients *clients, uint64_t queued) {
        if (queued <= WRITE_QUEUE_MAX && !g_queue_is_empty(clients->dirty))
                schedule(clients);
}

void role_dbus_changed(void *data, Role *role) {
        Clients *clients = data;

        if (!role->changed_link) {
                g_queue_push_tail(clients->dirty, role);
                role->changed_link = clients->dirty->tail;
        }
        schedule(clients);
}

void role_dbus_node_changed(void *data) {
        Clients *clients = data;

        clients->node_dirty = true;
        schedule(clients);
}

void role_dbus_removed(void *data, Role *role) {
        Clients *clients = data;
        g_autofree char *path = role_dbus_path(role->name);

        role_dbus_clean(clients, role);
        if (!role->announced)
                return;
        role->announced = false;
        int r = sd_bus_emit_interfaces_removed(clients->bus, path, NODE_ROLE_INTERFACE, NULL);
        if (r < 0)
                log_warning_errno(r, "Cannot announce that %s is gone, ignoring: %m", path);
}

int role_dbus_setup(Clients *clients) {
        clients->dirty = g_queue_new();
        int r = sd_event_add_defer(clients->event, &clients->announce, on_announce, clients);
        if (r >= 0)
                r = sd_event_source_set_enabled(clients->announce, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_source_set_priority(clients->announce, SD_EVENT_PRIORITY_IDLE);
        return r;
}

int role_dbus_register(Clients *clients) {
        sd_bus_slot *slot = NULL;

        int r = sd_bus_add_fallback_vtable(clients->bus, &slot, NODE_ROLE_PATH_PREFIX, NODE_ROLE_INTERFACE,
                role_vtable, find_role, clients);
        if (r < 0)
                return r;
        g_ptr_array_add(clients->slots, slot);
        r = sd_bus_add_node_enumerator(clients->bus, &slot, NODE_ROLE_PATH_PREFIX, enumerate, clients);
        if (r < 0)
                return r;
        g_ptr_array_add(clients->slots, slot);
        return 0;
}
