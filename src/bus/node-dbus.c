/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <unistd.h>

#include "base/cgroup-util.h"
#include "base/feature.h"
#include "base/pidref.h"
#include "base/unit-name.h"
#include "bus/bus-util.h"
#include "bus/clients-private.h"
#include "bus/lease-options.h"
#include "bus/operation.h"
#include "bus/properties.h"
#include "bus/role-dbus.h"
#include "bus/start-options.h"
#include "bus/terminal-dbus.h"
#include "config.h"
#include "model/account.h"
#include "model/node-processes.h"
#include "model/node-purge.h"
#include "model/node-start.h"
#include "model/node-stop.h"
#include "model/role-main-pid.h"
#include "model/role-strays.h"
#include "model/settings.h"
#include "model/warnings.h"
#include "util/autoptr.h"

/* Handlers read, validate, authorize, act and reply, in this order. A parked call returns to the beginning of
 * its handler, so nothing may be changed before the authorization. */

/* busctl shows only the message, so the message must name the role whose start it is about. */
static int node_dbus_name_role(const char *name, int r, sd_bus_error *error) {
        /* What the model says of a start names the role already. */
        if (!sd_bus_error_is_set(error) || g_str_has_prefix(error->message, "Role \""))
                return r;

        g_autofree char *shown = g_strescape(name, NULL);
        g_autofree char *id = g_strdup(error->name), *message = g_strdup(error->message);
        sd_bus_error_free(error);
        return sd_bus_error_setf(error, id, "Role \"%.*s\": %s", 2 * ROLE_NAME_MAX, shown, message);
}

/* What a user who is not root starts, and as whom, is decided by polkit. The account of the spec is that
 * about which polkit was asked. */
static int node_dbus_check_user_start(Clients *clients, sd_bus_message *m, const char *name, RoleSpec *spec,
        const char *options, const Caller *caller, sd_bus_error *error) {
        g_autofree char *self = g_strdup_printf("%u", (unsigned) caller->uid);
        const Account *account = NULL;
        g_auto(Fault) fault = {};

        int r = node_check_user_start(clients->node, name, spec, caller, &fault);
        if (r < 0)
                return fault_to_bus_error(&fault, r, error);
        r = authority_look_up(
                clients->authority, m, caller, spec->user ?: self, spec->group, &account, error);
        if (r != 0)
                return r;
        g_assert(account);
        role_spec_become(spec, account);

        const bool own = account_is_own(account, caller->uid);
        const AuthorityStart start = { name, spec, spec->account, options };
        const AuthorityRequest request = {
                .action = own ? NODE_ACTION_START_ROLE : NODE_ACTION_START_ROLE_AS,
                .doing = own ? "start roles" : "start roles as another user or group",
                .start = &start,
        };
        r = authority_check(clients->authority, m, &request, NULL, error);
        if (r != 0)
                return r;
        /* Not before: what shadow(5) says about others is nobody's business. */
        r = account_check(spec->account, own, &fault);
        return r < 0 ? fault_to_bus_error(&fault, r, error) : 0;
}

/* What a definition says is root's, also if another user has it done. It is looked up only to be shown to
 * polkit: the role is as one that root starts. */
static int node_dbus_check_defined_start(Clients *clients, sd_bus_message *m, const char *name,
        const RoleSpec *spec, const char *options, const Caller *caller, sd_bus_error *error) {
        const char *user = spec->user ?: clients->node->settings->default_user ?: "0";
        const Account *account = NULL;
        g_auto(Fault) fault = {};

        if (options[0])
                return sd_bus_error_setf(error, SD_BUS_ERROR_ACCESS_DENIED,
                        "Role \"%s\": only root may replace options of a definition (%s)", name, options);
        int r = node_check_defined_start(clients->node, name, caller, &fault);
        if (r < 0)
                return fault_to_bus_error(&fault, r, error);
        r = authority_look_up(clients->authority, m, caller, user, spec->group, &account, error);
        if (r != 0)
                return r;
        g_assert(account);

        const AuthorityStart start = { name, spec, account, options };
        const AuthorityRequest request = {
                .action = NODE_ACTION_START_DEFINED_ROLE,
                .doing = "start defined roles",
                .start = &start,
        };
        return authority_check(clients->authority, m, &request, NULL, error);
}

static int node_dbus_check_start(Clients *clients, sd_bus_message *m, const char *name, RoleSpec *spec,
        const char *options, const Caller **ret, sd_bus_error *error) {
        const Caller *caller = NULL;

        int r = authority_identify(clients->authority, m, &caller, error);
        if (r != 0)
                return r;
        g_assert(caller);
        *ret = caller;
        if (authority_is_master(clients->authority, caller) || !authority_polkit(clients->authority))
                return authority_check(clients->authority, m,
                        &(AuthorityRequest){ .action = NODE_ACTION_START_ROLE, .doing = "start roles" }, NULL,
                        error);
        r = spec->definition ? node_dbus_check_defined_start(clients, m, name, spec, options, caller, error)
                             : node_dbus_check_user_start(clients, m, name, spec, options, caller, error);
        return r < 0 ? node_dbus_name_role(name, r, error) : r;
}

static int node_method_start(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Clients *clients = userdata;
        g_autoptr(RoleSpec) spec = NULL;
        g_auto(Fault) fault = {};
        const Caller *caller = NULL;
        const char *name;

        int r = sd_bus_message_read(m, "s", &name);
        if (r < 0)
                return r;
        g_autofree char *options = NULL;
        r = start_options_read(m, clients->node->definitions, name, &spec, &options, error);
        if (r < 0)
                return node_dbus_name_role(name, r, error);
        g_assert(spec);
        r = node_dbus_check_start(clients, m, name, spec, options, &caller, error);
        if (r != 0)
                return r;

        /* The waiter is called in any case, unless this call fails. */
        g_autofree char *path = role_dbus_path(name);
        Waiter waiter = operation_new(m, path);
        r = node_start_role(clients->node, name, spec, caller, waiter, &fault);
        if (r < 0) {
                waiter_wake(waiter, &fault);
                return 1;
        }
        g_steal_pointer(&spec);
        return 1;
}

/* Finds the role and calls the method of its object, which does the rest. */
static int node_dbus_call_role(
        Clients *clients, sd_bus_message *m, sd_bus_message_handler_t method, sd_bus_error *error) {
        g_auto(Fault) fault = {};
        const Caller *caller;
        const char *name;
        Role *role = NULL;

        int r = sd_bus_message_read_basic(m, 's', &name);
        if (r < 0)
                return r;
        /* A call comes after those that were parked before it, because one of them may start the role. */
        r = authority_identify(clients->authority, m, &caller, error);
        if (r != 0)
                return r;
        r = node_find_role(clients->node, name, &role, &fault);
        return r < 0 ? fault_to_bus_error(&fault, r, error) : method(m, role, error);
}

static int node_method_send_input(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return node_dbus_call_role(userdata, m, role_method_send_input, error);
}

static int node_method_write_input(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return node_dbus_call_role(userdata, m, role_method_write_input, error);
}

static int node_method_close_input(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return node_dbus_call_role(userdata, m, role_method_close_input, error);
}

static int node_method_open_terminal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return node_dbus_call_role(userdata, m, role_method_open_terminal, error);
}

static int node_method_open_terminal_socket(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return node_dbus_call_role(userdata, m, role_method_open_terminal_socket, error);
}

static int node_method_resize_terminal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return node_dbus_call_role(userdata, m, role_method_resize_terminal, error);
}

static int node_method_stop(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return node_dbus_call_role(userdata, m, role_method_stop, error);
}

static int node_method_kill(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return node_dbus_call_role(userdata, m, role_method_kill, error);
}

static int node_method_freeze(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return node_dbus_call_role(userdata, m, role_method_freeze, error);
}

static int node_method_thaw(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return node_dbus_call_role(userdata, m, role_method_thaw, error);
}

static int node_method_signal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return node_dbus_call_role(userdata, m, role_method_signal, error);
}

static int node_dbus_append_poll(sd_bus_message *reply, const Role *role) {
        g_autofree char *state = role_poll(role);

        return sd_bus_message_append(reply, "{ss}", role->name, state);
}

static int node_method_poll(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Clients *clients = userdata;
        g_autoptr(sd_bus_message) reply = NULL;
        g_auto(GStrv) names = NULL;
        g_auto(Fault) fault = {};
        Role *role;

        int r = bus_read_strings(m, "The list of roles", NODE_MAX_ROLES, &names, error);
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
                        r = node_find_role(clients->node, *n, &role, &fault);
                        if (r < 0)
                                return fault_to_bus_error(&fault, r, error);
                        /* A dictionary contains each key once. */
                        if (g_hash_table_add(seen, role) && (r = node_dbus_append_poll(reply, role)) < 0)
                                return r;
                }
        } else {
                GHashTableIter iter;

                g_hash_table_iter_init(&iter, clients->node->roles);
                while (g_hash_table_iter_next(&iter, NULL, (void **) &role)) {
                        r = node_dbus_append_poll(reply, role);
                        if (r < 0)
                                return r;
                }
        }

        r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_message_send(reply);
}

static int node_method_purge(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Clients *clients = userdata;
        g_autoptr(sd_bus_message) reply = NULL;
        g_auto(GStrv) names = NULL;
        g_auto(GStrv) purged = NULL;
        g_auto(Fault) fault = {};
        LeaseUse use = {};
        const Caller *caller;

        int r = bus_read_strings(m, "The list of roles", NODE_MAX_ROLES, &names, error);
        if (r >= 0)
                r = lease_options_read(m, &use, error);
        if (r < 0)
                return r;
        const AuthorityRequest request = {
                .action = NODE_ACTION_MANAGE_ROLES,
                .doing = "purge roles",
                .names = names,
                .roles = names && names[0] ? AUTHORITY_ROLES_LISTED : AUTHORITY_ROLES_ENDED,
        };
        r = clients_check_change(clients, m, &request, &caller, error);
        if (r != 0)
                return r;
        r = lease_use_check(&use, clients->node, caller, &fault);
        if (r >= 0)
                r = node_purge(clients->node, names, &use, caller, &purged, &fault);
        if (r < 0)
                return fault_to_bus_error(&fault, r, error);

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_append_strv(reply, purged);
        return r < 0 ? r : sd_bus_message_send(reply);
}

static int node_method_list_roles(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Clients *clients = userdata;
        g_autoptr(sd_bus_message) reply = NULL;
        GHashTableIter iter;
        Role *role;

        int r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(ssusiso)");
        g_hash_table_iter_init(&iter, clients->node->roles);
        while (r >= 0 && g_hash_table_iter_next(&iter, NULL, (void **) &role)) {
                g_autofree char *path = role_dbus_path(role->name);
                bool ended = role->state == ROLE_ENDED;

                r = sd_bus_message_append(reply, "(ssusiso)", role->name, role_state_to_string(role->state),
                        (uint32_t) role_main_pid(role), ended ? exit_code_to_string(role->exit.code) : "",
                        ended ? (int32_t) role->exit.status : 0, role_scope_unit(role), path);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_message_send(reply);
}

static int node_method_get_role(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Clients *clients = userdata;
        g_auto(Fault) fault = {};
        const char *name;
        Role *role;

        int r = sd_bus_message_read(m, "s", &name);
        if (r < 0)
                return r;
        r = node_find_role(clients->node, name, &role, &fault);
        if (r < 0)
                return fault_to_bus_error(&fault, r, error);
        g_autofree char *path = role_dbus_path(role->name);
        return sd_bus_reply_method_return(m, "o", path);
}

static int node_method_get_role_by_pid(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Clients *clients = userdata;
        uint32_t pid;

        int r = sd_bus_message_read(m, "u", &pid);
        if (r < 0)
                return r;
        if (pid == 0) {
                const Caller *caller;

                r = authority_identify(clients->authority, m, &caller, error);
                if (r != 0)
                        return r;
                pid = (uint32_t) caller->pid;
        }

        /* No process has a greater pid. */
        Role *role = pid <= INT32_MAX ? node_find_role_of_process(clients->node, (pid_t) pid) : NULL;
        if (!role)
                return sd_bus_error_setf(error, node_error_to_string(NODE_ERROR_NO_SUCH_ROLE),
                        "Process %u belongs to no role", pid);
        g_autofree char *path = role_dbus_path(role->name);
        return sd_bus_reply_method_return(m, "o", path);
}

static int node_method_shutdown(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Clients *clients = userdata;
        const Caller *caller;
        g_auto(Fault) fault = {};
        const char *reason;

        int r = sd_bus_message_read(m, "s", &reason);
        if (r < 0)
                return r;
        r = shutdown_check_reason(reason, &fault);
        if (r < 0)
                return fault_to_bus_error(&fault, r, error);
        const AuthorityRequest request = {
                .action = NODE_ACTION_SHUTDOWN,
                .doing = "shut the service down",
                .roles = AUTHORITY_ROLES_LIVING,
        };
        r = clients_check_change(clients, m, &request, &caller, error);
        if (r != 0)
                return r;
        r = sd_bus_reply_method_return(m, NULL);
        if (r < 0)
                return r;
        node_shutdown(clients->node, reason, caller);
        return 1;
}

static int node_method_reload(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Clients *clients = userdata;
        g_auto(Fault) fault = {};

        int r = authority_check(clients->authority, m,
                &(AuthorityRequest){ .action = _NODE_ACTION_INVALID, .doing = "reload the configuration" },
                NULL, error);
        if (r != 0)
                return r;
        r = ASK(clients->node, service, reload, &fault);
        return r < 0 ? fault_to_bus_error(&fault, r, error) : sd_bus_reply_method_return(m, NULL);
}

#define NODE_STRING(Name, value) PROPERTY_STRING(node, Name, const Clients *clients, value)
#define NODE_U32(Name, value) PROPERTY_U32(node, Name, const Clients *clients, value)

static const char *node_state(Node *node) {
        return node->stopping ? "stopping" : ASK(node, link, connected) ? "running" : "degraded";
}

NODE_STRING(Version, PROJECT_VERSION);
NODE_STRING(Instance, clients->node->instance);
NODE_STRING(State, node_state(clients->node));
PROPERTY_BOOL(node, KeeperConnected, const Clients *clients, ASK(clients->node, link, connected));
NODE_U32(NRoles, g_hash_table_size(clients->node->roles));
NODE_U32(NRunning, clients->node->n_not_ended);
NODE_STRING(EventEpoch, SD_ID128_TO_STRING(events_epoch(clients->node->events)));
PROPERTY_U64(node, EventSequence, const Clients *clients, events_sequence(clients->node->events));
NODE_STRING(Slice, clients->node->slice);
PROPERTY_GETTER(node, Warnings) {
        Clients *clients = userdata;
        g_auto(GStrv) warnings = warnings_list(clients->node);

        return property_put_strings(reply, warnings);
}

/* Tries it with this process. A kernel that supports it reports that there is no exit yet. */
static bool pidfd_info_supported(void) {
        autofd fd = pidfd_open_pid(getpid());
        int status;

        return fd >= 0 && pidfd_exit_status(fd, &status) == -EAGAIN;
}

PROPERTY_GETTER(node, Features) {
        static const char *const controllers[] = { "memory", "pids", "cpu", "io" };
        /* Of the service itself, so that clients can tell an older one. */
        static const char *const own[] = { "leases", "managed-by" };
        const char *features[_FEATURE_MAX + ELEMENTSOF(controllers) + ELEMENTSOF(own) + 1];
        Clients *clients = userdata;
        size_t n = 0;

        if (ASK(clients->node, scope, use_pidfds))
                features[n++] = feature_to_string(FEATURE_PIDFDS);
        if (pidfd_info_supported())
                features[n++] = feature_to_string(FEATURE_PIDFD_INFO);
        if (!feature_masked(FEATURE_CGROUP_KILL))
                features[n++] = feature_to_string(FEATURE_CGROUP_KILL);
        for (size_t i = 0; i < ELEMENTSOF(controllers); i++)
                if (cgroup_has_controller(controllers[i]))
                        features[n++] = controllers[i];
        for (size_t i = 0; i < ELEMENTSOF(own); i++)
                features[n++] = own[i];
        features[n] = NULL;
        return property_put_strings(reply, (char *const *) features);
}

#define CONST SD_BUS_VTABLE_PROPERTY_CONST
#define CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE
/* A handler checks the caller if it changes something or returns a secret. */
#define OPEN SD_BUS_VTABLE_UNPRIVILEGED
#define SECRET SD_BUS_VTABLE_SENSITIVE /* the arguments are erased from memory afterwards */

static const sd_bus_vtable node_vtable[] = {
        SD_BUS_VTABLE_START(0),

        SD_BUS_METHOD_WITH_ARGS("Start", SD_BUS_ARGS("s", role, "as", command, "a{sv}", options),
                SD_BUS_RESULT("o", path), node_method_start, OPEN | SECRET),
        SD_BUS_METHOD_WITH_ARGS("SendInput", SD_BUS_ARGS("s", role, "s", text), SD_BUS_NO_RESULT,
                node_method_send_input, OPEN | SECRET),
        SD_BUS_METHOD_WITH_ARGS("WriteInput", SD_BUS_ARGS("s", role, "ay", data), SD_BUS_NO_RESULT,
                node_method_write_input, OPEN | SECRET),
        SD_BUS_METHOD_WITH_ARGS(
                "CloseInput", SD_BUS_ARGS("s", role), SD_BUS_NO_RESULT, node_method_close_input, OPEN),
        SD_BUS_METHOD_WITH_ARGS("OpenTerminal", SD_BUS_ARGS("s", role, "a{sv}", options),
                SD_BUS_RESULT("h", fd), node_method_open_terminal, OPEN),
        SD_BUS_METHOD_WITH_ARGS("OpenTerminalSocket", SD_BUS_ARGS("s", role, "a{sv}", options),
                SD_BUS_RESULT("s", path), node_method_open_terminal_socket, OPEN),
        SD_BUS_METHOD_WITH_ARGS("ResizeTerminal", SD_BUS_ARGS("s", role, "q", rows, "q", columns),
                SD_BUS_NO_RESULT, node_method_resize_terminal, OPEN),
        SD_BUS_METHOD_WITH_ARGS(
                "Poll", SD_BUS_ARGS("as", roles), SD_BUS_RESULT("a{ss}", states), node_method_poll, OPEN),
        SD_BUS_METHOD_WITH_ARGS("Stop", SD_BUS_ARGS("s", role), SD_BUS_NO_RESULT, node_method_stop, OPEN),
        SD_BUS_METHOD_WITH_ARGS("Kill", SD_BUS_ARGS("s", role), SD_BUS_NO_RESULT, node_method_kill, OPEN),
        SD_BUS_METHOD_WITH_ARGS("Signal", SD_BUS_ARGS("s", role, "s", whom, "i", signal), SD_BUS_NO_RESULT,
                node_method_signal, OPEN),
        SD_BUS_METHOD_WITH_ARGS("Freeze", SD_BUS_ARGS("s", role), SD_BUS_NO_RESULT, node_method_freeze, OPEN),
        SD_BUS_METHOD_WITH_ARGS("Thaw", SD_BUS_ARGS("s", role), SD_BUS_NO_RESULT, node_method_thaw, OPEN),
        SD_BUS_METHOD_WITH_ARGS(
                "Purge", SD_BUS_ARGS("as", roles), SD_BUS_RESULT("as", purged), node_method_purge, OPEN),
        /* The same for roles of a lease. */
        SD_BUS_METHOD_WITH_ARGS("SignalWithOptions",
                SD_BUS_ARGS("s", role, "s", whom, "i", signal, "a{sv}", options), SD_BUS_NO_RESULT,
                node_method_signal, OPEN),
        SD_BUS_METHOD_WITH_ARGS("FreezeWithOptions", SD_BUS_ARGS("s", role, "a{sv}", options),
                SD_BUS_NO_RESULT, node_method_freeze, OPEN),
        SD_BUS_METHOD_WITH_ARGS("ThawWithOptions", SD_BUS_ARGS("s", role, "a{sv}", options), SD_BUS_NO_RESULT,
                node_method_thaw, OPEN),
        SD_BUS_METHOD_WITH_ARGS("WriteInputWithOptions", SD_BUS_ARGS("s", role, "ay", data, "a{sv}", options),
                SD_BUS_NO_RESULT, node_method_write_input, OPEN | SECRET),
        SD_BUS_METHOD_WITH_ARGS("CloseInputWithOptions", SD_BUS_ARGS("s", role, "a{sv}", options),
                SD_BUS_NO_RESULT, node_method_close_input, OPEN),
        SD_BUS_METHOD_WITH_ARGS("ResizeTerminalWithOptions",
                SD_BUS_ARGS("s", role, "q", rows, "q", columns, "a{sv}", options), SD_BUS_NO_RESULT,
                node_method_resize_terminal, OPEN),
        SD_BUS_METHOD_WITH_ARGS("PurgeWithOptions", SD_BUS_ARGS("as", roles, "a{sv}", options),
                SD_BUS_RESULT("as", purged), node_method_purge, OPEN),
        SD_BUS_METHOD_WITH_ARGS("ListRoles", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(ssusiso)", roles),
                node_method_list_roles, OPEN),
        SD_BUS_METHOD_WITH_ARGS(
                "GetRole", SD_BUS_ARGS("s", role), SD_BUS_RESULT("o", path), node_method_get_role, OPEN),
        SD_BUS_METHOD_WITH_ARGS("GetRoleByPID", SD_BUS_ARGS("u", pid), SD_BUS_RESULT("o", path),
                node_method_get_role_by_pid, OPEN),
        SD_BUS_METHOD_WITH_ARGS(
                "Shutdown", SD_BUS_ARGS("s", reason), SD_BUS_NO_RESULT, node_method_shutdown, OPEN),
        SD_BUS_METHOD_WITH_ARGS("Reload", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, node_method_reload, OPEN),

        SD_BUS_SIGNAL_WITH_ARGS(
                "RoleStarted", SD_BUS_ARGS("s", role, "o", path, "u", pid, "s", scope, "a{sv}", details), 0),
        SD_BUS_SIGNAL_WITH_ARGS(
                "RoleExited", SD_BUS_ARGS("s", role, "o", path, "s", code, "i", status, "a{sv}", details), 0),
        SD_BUS_SIGNAL_WITH_ARGS("RoleRestarting",
                SD_BUS_ARGS("s", role, "o", path, "u", attempt, "t", delay_usec, "a{sv}", details), 0),
        SD_BUS_SIGNAL_WITH_ARGS(
                "RoleFailed", SD_BUS_ARGS("s", role, "o", path, "s", result, "a{sv}", details), 0),
        SD_BUS_SIGNAL_WITH_ARGS("RolePurged", SD_BUS_ARGS("s", role, "o", path, "a{sv}", details), 0),
        SD_BUS_SIGNAL_WITH_ARGS("ShuttingDown", SD_BUS_ARGS("s", reason, "a{sv}", details), 0),

        PROPERTY(node, Version, "s", CONST),
        PROPERTY(node, Features, "as", CONST),
        PROPERTY(node, Instance, "s", CONST),
        PROPERTY(node, State, "s", CHANGES),
        PROPERTY(node, KeeperConnected, "b", CHANGES),
        PROPERTY(node, NRoles, "u", CHANGES),
        PROPERTY(node, NRunning, "u", CHANGES),
        PROPERTY(node, EventEpoch, "s", CONST),
        PROPERTY(node, EventSequence, "t", 0),
        PROPERTY(node, Slice, "s", CONST),
        PROPERTY(node, Warnings, "as", CHANGES),
        SD_BUS_VTABLE_END,
};

int node_dbus_register(Clients *clients) {
        return clients_add_vtable(clients, node_vtable);
}
