/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdlib.h>
#include <unistd.h>

#include "base/cgroup-util.h"
#include "base/feature.h"
#include "base/pidref.h"
#include "base/unit-name.h"
#include "config.h"
#include "model/input.h"
#include "bus/node-dbus.h"
#include "bus/operation.h"
#include "bus/role-dbus.h"
#include "bus/start-options.h"
#include "proto/node-names.h"
#include "util/autoptr.h"
#include "bus/bus-util.h"
#include "util/log.h"

/* Handlers read, validate, authorize, act and reply, in this order: a parked call comes back to its handler from the
 * start, so nothing may have changed before. */

/* busctl shows only the message: it must say which of many starts it is about. */
static int name_role(const char *name, int r, sd_bus_error *error) {
        if (!sd_bus_error_is_set(error))
                return r;

        g_autofree char *shown = g_strescape(name, NULL);
        g_autofree char *id = g_strdup(error->name), *message = g_strdup(error->message);
        sd_bus_error_free(error);
        return sd_bus_error_setf(error, id, "Role \"%.*s\": %s", 2 * ROLE_NAME_MAX, shown, message);
}

static int method_start(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Agent *agent = userdata;
        g_autoptr(RoleSpec) spec = NULL;
        g_auto(Fault) fault = {};
        const Caller *caller;
        const char *name;

        int r = sd_bus_message_read(m, "s", &name);
        if (r < 0)
                return r;
        r = start_options_read(m, &spec, error);
        if (r < 0)
                return name_role(name, r, error);
        r = authority_check(agent->authority, m, "start roles", &caller, error);
        if (r <= 0)
                return r < 0 ? r : 1;

        /* The waiter is told in any case, unless this fails at once. */
        g_autofree char *path = role_dbus_path(name);
        Waiter waiter = operation_new(m, path);
        r = node_start_role(agent->node, name, spec, caller, waiter, &fault);
        if (r < 0) {
                waiter.done(waiter.userdata, &fault);
                return 1;
        }
        g_steal_pointer(&spec);
        return 1;
}

int node_dbus_check_and_find(Agent *agent, sd_bus_message *m, const char *name, const char *action,
        const Caller **ret_caller, Role **ret_role, sd_bus_error *error) {
        g_auto(Fault) fault = {};

        int r = authority_check(agent->authority, m, action, ret_caller, error);
        if (r <= 0)
                return r;
        r = node_check_not_stopping(agent->node, &fault);
        if (r >= 0)
                r = node_find_role(agent->node, name, ret_role, &fault);
        return r < 0 ? fault_to_bus_error(&fault, r, error) : 1;
}

int node_dbus_stop(Agent *agent, sd_bus_message *m, const char *name, RoleCause cause, sd_bus_error *error) {
        const Caller *caller = NULL;
        Role *role = NULL;

        int r = node_dbus_check_and_find(agent, m, name, "stop roles", &caller, &role, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        node_stop_role(agent->node, role, cause, caller, operation_new(m, NULL));
        return 1;
}

int node_dbus_signal(Agent *agent, sd_bus_message *m, const char *name, sd_bus_error *error) {
        g_auto(Fault) fault = {};
        const Caller *caller = NULL;
        const char *whom;
        int32_t signo;
        Role *role = NULL;
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

        r = node_dbus_check_and_find(agent, m, name, "signal roles", &caller, &role, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        Waiter waiter = operation_new(m, NULL);
        if (node_signal_role(agent->node, role, to == STOP_TO_ALL, signo, caller, waiter, &fault) < 0)
                waiter.done(waiter.userdata, &fault);
        return 1;
}

static void release_message(void *owner) {
        sd_bus_message_unref(owner);
}

static int write_input(Agent *agent, sd_bus_message *m, const char *name, const void *data, size_t size,
        bool newline, sd_bus_error *error) {
        g_auto(Fault) fault = {};
        const Caller *caller = NULL;
        Role *role = NULL;

        int r = node_dbus_check_and_find(agent, m, name, "write to roles", &caller, &role, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        g_assert(role);

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

int node_dbus_send_input(Agent *agent, sd_bus_message *m, const char *name, sd_bus_error *error) {
        const char *text;

        int r = sd_bus_message_read_basic(m, 's', &text);
        return r < 0 ? r : write_input(agent, m, name, text, strlen(text), true, error);
}

int node_dbus_write_input(Agent *agent, sd_bus_message *m, const char *name, sd_bus_error *error) {
        const void *data;
        size_t size;

        int r = sd_bus_message_read_array(m, 'y', &data, &size);
        return r < 0 ? r : write_input(agent, m, name, data, size, false, error);
}

int node_dbus_close_input(Agent *agent, sd_bus_message *m, const char *name, sd_bus_error *error) {
        g_auto(Fault) fault = {};
        const Caller *caller = NULL;
        Role *role = NULL;

        int r = node_dbus_check_and_find(agent, m, name, "write to roles", &caller, &role, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        g_assert(role);
        Waiter waiter = operation_new(m, NULL);
        r = input_find(role, &fault);
        if (r >= 0)
                r = input_close(role->input, waiter, &fault);
        if (r < 0)
                waiter.done(waiter.userdata, &fault);
        return 1;
}

static int method_send_input(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name;

        int r = sd_bus_message_read(m, "s", &name);
        return r < 0 ? r : node_dbus_send_input(userdata, m, name, error);
}

static int method_write_input(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name;

        int r = sd_bus_message_read(m, "s", &name);
        return r < 0 ? r : node_dbus_write_input(userdata, m, name, error);
}

static int method_close_input(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name;

        int r = sd_bus_message_read(m, "s", &name);
        return r < 0 ? r : node_dbus_close_input(userdata, m, name, error);
}

static int method_stop(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name;

        int r = sd_bus_message_read(m, "s", &name);
        return r < 0 ? r : node_dbus_stop(userdata, m, name, ROLE_CAUSE_STOP, error);
}

static int method_kill(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name;

        int r = sd_bus_message_read(m, "s", &name);
        return r < 0 ? r : node_dbus_stop(userdata, m, name, ROLE_CAUSE_KILL, error);
}

static int method_signal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name;

        int r = sd_bus_message_read(m, "s", &name);
        return r < 0 ? r : node_dbus_signal(userdata, m, name, error);
}

static int append_poll(sd_bus_message *reply, const Role *role) {
        g_autofree char *state = role_poll(role);

        return sd_bus_message_append(reply, "{ss}", role->name, state);
}

static int method_poll(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Agent *agent = userdata;
        g_autoptr(sd_bus_message) reply = NULL;
        g_auto(GStrv) names = NULL;
        g_auto(Fault) fault = {};
        Role *role;

        int r = bus_read_strings(m, "The list of roles", UINT_MAX, &names, error);
        if (r < 0)
                return r;
        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{ss}");
        if (r < 0)
                return r;

        if (names && names[0]) {
                g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);

                for (char **n = names; *n; n++) {
                        r = node_find_role(agent->node, *n, &role, &fault);
                        if (r < 0)
                                return fault_to_bus_error(&fault, r, error);
                        /* A dictionary has each key once. */
                        if (g_hash_table_add(seen, role) && (r = append_poll(reply, role)) < 0)
                                return r;
                }
        } else {
                GHashTableIter iter;

                g_hash_table_iter_init(&iter, agent->node->roles);
                while (g_hash_table_iter_next(&iter, NULL, (void **) &role)) {
                        r = append_poll(reply, role);
                        if (r < 0)
                                return r;
                }
        }

        r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_message_send(reply);
}

static int method_purge(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Agent *agent = userdata;
        g_autoptr(sd_bus_message) reply = NULL;
        g_auto(GStrv) names = NULL;
        g_auto(GStrv) purged = NULL;
        g_auto(Fault) fault = {};
        const Caller *caller;

        int r = bus_read_strings(m, "The list of roles", UINT_MAX, &names, error);
        if (r < 0)
                return r;
        r = authority_check(agent->authority, m, "purge roles", &caller, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = node_check_not_stopping(agent->node, &fault);
        if (r >= 0)
                r = node_purge(agent->node, names, caller, &purged, &fault);
        if (r < 0)
                return fault_to_bus_error(&fault, r, error);

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_append_strv(reply, purged);
        return r < 0 ? r : sd_bus_message_send(reply);
}

static int method_list_roles(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Agent *agent = userdata;
        g_autoptr(sd_bus_message) reply = NULL;
        GHashTableIter iter;
        Role *role;

        int r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(ssusiso)");
        g_hash_table_iter_init(&iter, agent->node->roles);
        while (r >= 0 && g_hash_table_iter_next(&iter, NULL, (void **) &role)) {
                g_autofree char *path = role_dbus_path(role->name);
                bool ended = role->state == ROLE_ENDED;

                r = sd_bus_message_append(reply, "(ssusiso)", role->name, role_state_to_string(role->state),
                        ended ? 0 : (uint32_t) role->main_pid,
                        ended ? exit_code_to_string(role->exit.code) : "",
                        ended ? (int32_t) role->exit.status : 0, role->scope, path);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_message_send(reply);
}

static int method_get_role(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Agent *agent = userdata;
        g_auto(Fault) fault = {};
        const char *name;
        Role *role;

        int r = sd_bus_message_read(m, "s", &name);
        if (r < 0)
                return r;
        r = node_find_role(agent->node, name, &role, &fault);
        if (r < 0)
                return fault_to_bus_error(&fault, r, error);
        g_autofree char *path = role_dbus_path(role->name);
        return sd_bus_reply_method_return(m, "o", path);
}

/* The role whose scope the process is in, or was forked into: any process of it. */
static Role *find_role_by_pid(Agent *agent, pid_t pid) {
        _cleanup_free_ char *cgroup = NULL, *name = NULL;

        if (cgroup_of_pid(pid, &cgroup) < 0)
                return NULL;
        g_auto(GStrv) parts = g_strsplit(cgroup, "/", -1);
        /* A role may have made cgroups of its own below its scope. */
        for (char **p = parts; *p; p++)
                if (role_scope_name_parse(agent->node->instance, *p, &name) >= 0)
                        break;
        Role *role = name ? g_hash_table_lookup(agent->node->roles, name) : NULL;
        for (; role; role = role->predecessor)
                if (role->cgroup && g_str_has_prefix(cgroup, role->cgroup))
                        return role;
        return NULL;
}

static int method_get_role_by_pid(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Agent *agent = userdata;
        uint32_t pid;

        int r = sd_bus_message_read(m, "u", &pid);
        if (r < 0)
                return r;
        if (pid == 0) {
                const Caller *caller;

                r = authority_identify(agent->authority, m, &caller, error);
                if (r <= 0)
                        return r < 0 ? r : 1;
                pid = (uint32_t) caller->pid;
        }

        /* No process has a larger number. */
        Role *role = pid <= INT32_MAX ? find_role_by_pid(agent, (pid_t) pid) : NULL;
        if (!role)
                return sd_bus_error_setf(error, node_error_to_string(NODE_ERROR_NO_SUCH_ROLE),
                        "Process %u belongs to no role", pid);
        g_autofree char *path = role_dbus_path(role->name);
        return sd_bus_reply_method_return(m, "o", path);
}

static int method_shutdown(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Agent *agent = userdata;
        const Caller *caller;
        g_auto(Fault) fault = {};
        const char *reason;

        int r = sd_bus_message_read(m, "s", &reason);
        if (r < 0)
                return r;
        r = authority_check(agent->authority, m, "shut the service down", &caller, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = node_check_not_stopping(agent->node, &fault);
        if (r < 0)
                return fault_to_bus_error(&fault, r, error);
        r = sd_bus_reply_method_return(m, NULL);
        if (r < 0)
                return r;
        node_shutdown(agent->node, reason, caller);
        return 1;
}

static int method_reload(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Agent *agent = userdata;
        g_auto(Fault) fault = {};
        const Caller *caller;

        int r = authority_check(agent->authority, m, "reload the configuration", &caller, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = agent_reload(agent, &fault);
        return r < 0 ? fault_to_bus_error(&fault, r, error) : sd_bus_reply_method_return(m, NULL);
}

static int property_get(sd_bus *bus, const char *path, const char *interface, const char *property,
        sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Agent *agent = userdata;
        Node *node = agent->node;
        char epoch[SD_ID128_STRING_MAX];
        bool connected = keeper_link_is_connected(agent->keeper);

        if (g_str_equal(property, "Version"))
                return sd_bus_message_append(reply, "s", PROJECT_VERSION);
        if (g_str_equal(property, "Instance"))
                return sd_bus_message_append(reply, "s", node->instance);
        if (g_str_equal(property, "Slice"))
                return sd_bus_message_append(reply, "s", node->slice);
        if (g_str_equal(property, "State"))
                return sd_bus_message_append(reply, "s",
                        node->stopping ? "stopping"
                        : connected    ? "running"
                                       : "degraded");
        if (g_str_equal(property, "KeeperConnected"))
                return sd_bus_message_append(reply, "b", (int) connected);
        if (g_str_equal(property, "NRoles"))
                return sd_bus_message_append(reply, "u", g_hash_table_size(node->roles));
        if (g_str_equal(property, "NRunning"))
                return sd_bus_message_append(reply, "u", node->n_not_ended);
        if (g_str_equal(property, "EventEpoch"))
                return sd_bus_message_append(
                        reply, "s", sd_id128_to_string(events_epoch(node->events), epoch));
        g_assert(g_str_equal(property, "EventSequence"));
        return sd_bus_message_append(reply, "t", events_sequence(node->events));
}

/* Asked of ourselves: a kernel that could tell of an exit says that there is none yet. */
static bool pidfd_info_supported(void) {
        autofd fd = pidfd_open_pid(getpid());
        int status;

        return fd >= 0 && pidfd_exit_status(fd, &status) == -EAGAIN;
}

static int property_get_features(sd_bus *bus, const char *path, const char *interface, const char *property,
        sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        static const char *const controllers[] = { "memory", "pids", "cpu" };
        Agent *agent = userdata;

        int r = sd_bus_message_open_container(reply, 'a', "s");
        if (r >= 0 && scopes_use_pidfds(agent->scopes))
                r = sd_bus_message_append_basic(reply, 's', feature_to_string(FEATURE_PIDFDS));
        if (r >= 0 && pidfd_info_supported())
                r = sd_bus_message_append_basic(reply, 's', feature_to_string(FEATURE_PIDFD_INFO));
        if (r >= 0 && !feature_masked(FEATURE_CGROUP_KILL))
                r = sd_bus_message_append_basic(reply, 's', feature_to_string(FEATURE_CGROUP_KILL));
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(controllers); i++)
                if (cgroup_has_controller(controllers[i]))
                        r = sd_bus_message_append_basic(reply, 's', controllers[i]);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

#define CONST SD_BUS_VTABLE_PROPERTY_CONST
#define CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE
#define OPEN SD_BUS_VTABLE_UNPRIVILEGED /* each handler does its own check */
#define SECRET SD_BUS_VTABLE_SENSITIVE  /* its arguments are wiped from memory afterwards */

static const sd_bus_vtable node_vtable[] = {
        SD_BUS_VTABLE_START(0),

        SD_BUS_METHOD_WITH_ARGS("Start", SD_BUS_ARGS("s", role, "as", command, "a{sv}", options),
                SD_BUS_RESULT("o", path), method_start, OPEN | SECRET),
        SD_BUS_METHOD_WITH_ARGS("SendInput", SD_BUS_ARGS("s", role, "s", text), SD_BUS_NO_RESULT,
                method_send_input, OPEN | SECRET),
        SD_BUS_METHOD_WITH_ARGS("WriteInput", SD_BUS_ARGS("s", role, "ay", data), SD_BUS_NO_RESULT,
                method_write_input, OPEN | SECRET),
        SD_BUS_METHOD_WITH_ARGS(
                "CloseInput", SD_BUS_ARGS("s", role), SD_BUS_NO_RESULT, method_close_input, OPEN),
        SD_BUS_METHOD_WITH_ARGS(
                "Poll", SD_BUS_ARGS("as", roles), SD_BUS_RESULT("a{ss}", states), method_poll, OPEN),
        SD_BUS_METHOD_WITH_ARGS("Stop", SD_BUS_ARGS("s", role), SD_BUS_NO_RESULT, method_stop, OPEN),
        SD_BUS_METHOD_WITH_ARGS("Kill", SD_BUS_ARGS("s", role), SD_BUS_NO_RESULT, method_kill, OPEN),
        SD_BUS_METHOD_WITH_ARGS("Signal", SD_BUS_ARGS("s", role, "s", whom, "i", signal), SD_BUS_NO_RESULT,
                method_signal, OPEN),
        SD_BUS_METHOD_WITH_ARGS(
                "Purge", SD_BUS_ARGS("as", roles), SD_BUS_RESULT("as", purged), method_purge, OPEN),
        SD_BUS_METHOD_WITH_ARGS(
                "ListRoles", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(ssusiso)", roles), method_list_roles, OPEN),
        SD_BUS_METHOD_WITH_ARGS(
                "GetRole", SD_BUS_ARGS("s", role), SD_BUS_RESULT("o", path), method_get_role, OPEN),
        SD_BUS_METHOD_WITH_ARGS("GetRoleByPID", SD_BUS_ARGS("u", pid), SD_BUS_RESULT("o", path),
                method_get_role_by_pid, OPEN),
        SD_BUS_METHOD_WITH_ARGS(
                "Shutdown", SD_BUS_ARGS("s", reason), SD_BUS_NO_RESULT, method_shutdown, OPEN),
        SD_BUS_METHOD_WITH_ARGS("Reload", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_reload, OPEN),

        SD_BUS_SIGNAL_WITH_ARGS(
                "RoleStarted", SD_BUS_ARGS("s", role, "o", path, "u", pid, "s", scope, "a{sv}", details), 0),
        SD_BUS_SIGNAL_WITH_ARGS(
                "RoleExited", SD_BUS_ARGS("s", role, "o", path, "s", code, "i", status, "a{sv}", details), 0),
        SD_BUS_SIGNAL_WITH_ARGS("RolePurged", SD_BUS_ARGS("s", role, "o", path, "a{sv}", details), 0),
        SD_BUS_SIGNAL_WITH_ARGS("ShuttingDown", SD_BUS_ARGS("s", reason, "a{sv}", details), 0),

        SD_BUS_PROPERTY("Version", "s", property_get, 0, CONST),
        SD_BUS_PROPERTY("Features", "as", property_get_features, 0, CONST),
        SD_BUS_PROPERTY("Instance", "s", property_get, 0, CONST),
        SD_BUS_PROPERTY("State", "s", property_get, 0, CHANGES),
        SD_BUS_PROPERTY("KeeperConnected", "b", property_get, 0, CHANGES),
        SD_BUS_PROPERTY("NRoles", "u", property_get, 0, CHANGES),
        SD_BUS_PROPERTY("NRunning", "u", property_get, 0, CHANGES),
        SD_BUS_PROPERTY("EventEpoch", "s", property_get, 0, CONST),
        SD_BUS_PROPERTY("EventSequence", "t", property_get, 0, 0),
        SD_BUS_PROPERTY("Slice", "s", property_get, 0, CONST),
        SD_BUS_VTABLE_END,
};

int node_dbus_add_vtable(Agent *agent, const sd_bus_vtable *vtable) {
        sd_bus_slot *slot = NULL;

        int r = sd_bus_add_object_vtable(agent->bus, &slot, NODE_PATH, NODE_INTERFACE, vtable, agent);
        if (r >= 0)
                g_ptr_array_add(agent->slots, slot);
        return r;
}

int node_dbus_register(Agent *agent) {
        sd_bus_slot *slot = NULL;

        int r = node_dbus_add_vtable(agent, node_vtable);
        if (r >= 0)
                r = env_dbus_register(agent);
        if (r >= 0)
                r = events_dbus_register(agent);
        if (r >= 0)
                r = monitor_dbus_register(agent);
        if (r >= 0)
                r = log_dbus_register(agent);
        if (r >= 0)
                r = ports_dbus_register(agent);
        if (r >= 0)
                r = terminal_dbus_register(agent);
        if (r < 0)
                return r;
        r = sd_bus_add_object_manager(agent->bus, &slot, NODE_PATH);
        if (r < 0)
                return r;
        g_ptr_array_add(agent->slots, slot);
        return role_dbus_register(agent);
}
