/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdlib.h>

#include "bus/lease-options.h"
#include "bus/operation.h"
#include "bus/permissions-dbus.h"
#include "bus/properties.h"
#include "bus/role-dbus.h"
#include "bus/terminal-dbus.h"
#include "model/definitions.h"
#include "model/input.h"
#include "model/node-purge.h"
#include "model/node-stop.h"
#include "model/role-freezer.h"
#include "model/products.h"
#include "model/role-main-pid.h"
#include "model/role-restart.h"
#include "model/role-ready.h"
#include "model/role-strays.h"
#include "proto/node-names.h"
#include "util/autoptr.h"

char *role_dbus_path(const char *name) {
        char *encoded;

        if (sd_bus_path_encode(NODE_ROLE_PATH_PREFIX, name, &encoded) < 0)
                return NULL;
        char *path = g_strdup(encoded);
        free(encoded);
        return path;
}

static int role_dbus_find(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret,
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

static int role_dbus_find_spec(sd_bus *bus, const char *path, const char *interface, void *userdata,
        void **ret, sd_bus_error *error) {
        void *role;

        int r = role_dbus_find(bus, path, interface, userdata, &role, error);
        if (r > 0)
                *ret = ((Role *) role)->spec;
        return r;
}

static int role_dbus_enumerate(
        sd_bus *bus, const char *prefix, void *userdata, char ***ret, sd_bus_error *error) {
        Clients *clients = userdata;
        GHashTableIter iter;
        Role *role;
        unsigned n = 0;

        /* sd-bus frees it with free(). */
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

/* -- properties -- */

/* Properties of the run. announce.c compares them at each change. */

#define ROLE_STRING(Name, value) PROPERTY_STRING(role, Name, const Role *role, value)
#define ROLE_I32(Name, value) PROPERTY_I32(role, Name, const Role *role, value)
#define ROLE_U32(Name, value) PROPERTY_U32(role, Name, const Role *role, value)
#define ROLE_U64(Name, value) PROPERTY_U64(role, Name, const Role *role, value)

/* Evaluates to value after the end of the role, and to otherwise before it. */
#define AT_END(value, otherwise) (role->state == ROLE_ENDED ? (value) : (otherwise))

ROLE_STRING(Name, role->name);
ROLE_STRING(State, role_state_to_string(role->state));
ROLE_STRING(InvocationID, SD_ID128_TO_STRING(role->invocation));
ROLE_U32(Owner, role->owner.uid);
ROLE_U32(MainPID, (uint32_t) role_main_pid(role));
ROLE_U32(ProcessGroup, AT_END(0, (uint32_t) role->main_pid)); /* it leads its own session and group */
ROLE_STRING(Scope, role_scope_unit(role));
ROLE_STRING(ControlGroup, role_scope_unit(role)[0] ? role->cgroup : NULL);
PROPERTY_STRINGS(role, Strays, const Role *role, role->strays);
ROLE_STRING(EnvironmentHash, role->environment_hash);
PROPERTY_BOOL(role, NeedReload, const Role *role,
        definitions_differ(role->node->definitions, role->name, role->spec));
PROPERTY_BOOL(role, Frozen, Role *role, role_is_frozen(role));
PROPERTY_BOOL(role, Damaged, const Role *role, role->damaged);
PROPERTY_BOOL(role, OutputLost, const Role *role, role->output_lost);
PROPERTY_BOOL(role, Ready, const Role *role, role_is_ready(role));
ROLE_STRING(StatusText, role->status_text);
ROLE_I32(StatusErrno, role->status_errno);
ROLE_STRING(WaitsFor, role->state == ROLE_STARTING && role->phase == ROLE_PHASE_DEPENDENCIES ? role->awaits
                      : role_waits_for_restart(role)                                         ? role->follows
                                                                                             : "");
ROLE_U64(StartTimestamp, role->start_realtime_usec);
ROLE_U64(StartTimestampMonotonic, role->start_monotonic_usec);
ROLE_U64(ExitTimestamp, AT_END(role->exit.realtime_usec, 0));
ROLE_U64(ExitTimestampMonotonic, AT_END(role->exit.monotonic_usec, 0));
ROLE_STRING(ExitCode, AT_END(exit_code_to_string(role->exit.code), ""));
ROLE_I32(ExitStatus, AT_END(role->exit.status, 0));
ROLE_STRING(Cause, AT_END(role_cause_to_string(role->cause), ""));
ROLE_STRING(Result, role_result_to_string(role_result(role)));
ROLE_U32(NRestarts, (uint32_t) MIN(role->restarts.n, UINT32_MAX));
ROLE_U64(NextStartUSec, role_waits_for_restart(role) ? role->next_realtime_usec : 0);
ROLE_U64(CPUUsageUSec, AT_END(role->exit.cpu_user_usec + role->exit.cpu_system_usec, 0));
ROLE_U64(MaxRSS, AT_END(role->exit.maxrss_bytes, 0));

PROPERTY_GETTER(role, ResolvedProducts) {
        const Role *role = userdata;

        return property_put_pairs(reply, role->resolved_products);
}

PROPERTY_GETTER(role, StartTimes) {
        const Role *role = userdata;
        const StartTimes *times = &role->start_times;
        const char *names[_START_STEP_MAX] = {};

        for (StartStep i = 0; start_times_have(times, START_STEP_EXEC) && i < _START_STEP_MAX; i++)
                names[i] = start_times_have(times, i) ? start_step_to_string(i) : NULL;
        return property_put_numbers(reply, names, times->usec, _START_STEP_MAX);
}

/* Properties of the options. They are announced once for each run, so their getters have access to the
 * options only. */

#define SPEC_STRING(Name, value) PROPERTY_STRING(role_spec, Name, const RoleSpec *spec, value)

SPEC_STRING(User, spec->user);
SPEC_STRING(Group, spec->group);
SPEC_STRING(WorkingDirectory, spec->working_directory ?: "/");
SPEC_STRING(Stdin, role_stdin_to_string(spec->stdin_kind));
SPEC_STRING(Definition, spec->definition);
SPEC_STRING(Lease, spec->lease);
SPEC_STRING(ManagedBy, spec->managed_by);
SPEC_STRING(Product, spec->product);
SPEC_STRING(Version, spec->version);
SPEC_STRING(Provider, products_wanted(spec) ? product_provider_to_string(spec->provider) : "");
PROPERTY_I32(role_spec, StopSignal, const RoleSpec *spec, spec->stop_signal);
SPEC_STRING(ExitType, exit_type_to_string(spec->exit_type));
SPEC_STRING(Type, role_type_to_string(spec->type));
SPEC_STRING(StopTo, stop_to_to_string(spec->stop_to));
SPEC_STRING(OnMonitorLoss, monitor_loss_to_string(spec->on_monitor_loss));
PROPERTY_U64(role_spec, StopTimeoutUSec, const RoleSpec *spec, spec->stop_timeout_usec);
SPEC_STRING(Restart, restart_policy_to_string(spec->restart));
PROPERTY_U64(role_spec, RestartUSec, const RoleSpec *spec, spec->restart_usec);
PROPERTY_U32(role_spec, RestartSteps, const RoleSpec *spec, (uint32_t) spec->restart_steps);
PROPERTY_U64(role_spec, RestartMaxDelayUSec, const RoleSpec *spec, spec->restart_max_delay_usec);
PROPERTY_U64(role_spec, StartLimitIntervalUSec, const RoleSpec *spec, spec->start_limit_interval_usec);
PROPERTY_U32(role_spec, StartLimitBurst, const RoleSpec *spec, (uint32_t) spec->start_limit_burst);
PROPERTY_BOOL(role_spec, Remove, const RoleSpec *spec, spec->remove);

PROPERTY_GETTER(role_spec, Output) {
        g_autofree char *output = role_spec_output(userdata);

        return property_put(reply, 's', output);
}

PROPERTY_STRINGS(role_spec, Command, const RoleSpec *spec, spec->command);
PROPERTY_STRINGS(role_spec, SuccessExitStatus, const RoleSpec *spec, spec->success_exit_status);
PROPERTY_STRINGS(
        role_spec, RestartPreventExitStatus, const RoleSpec *spec, spec->restart_prevent_exit_status);
PROPERTY_STRINGS(role_spec, RoleGroups, const RoleSpec *spec, spec->role_groups);
PROPERTY_STRINGS(role_spec, After, const RoleSpec *spec, spec->dependencies[DEPENDENCY_AFTER]);
PROPERTY_STRINGS(role_spec, Wants, const RoleSpec *spec, spec->dependencies[DEPENDENCY_WANTS]);
PROPERTY_STRINGS(role_spec, Requires, const RoleSpec *spec, spec->dependencies[DEPENDENCY_REQUIRES]);
PROPERTY_STRINGS(role_spec, BindsTo, const RoleSpec *spec, spec->dependencies[DEPENDENCY_BINDS_TO]);
PROPERTY_STRINGS(role_spec, PartOf, const RoleSpec *spec, spec->dependencies[DEPENDENCY_PART_OF]);
PROPERTY_GETTER(role_spec, EupsList) {
        const RoleSpec *spec = userdata;

        return property_put_pairs(reply, spec->eups_list);
}

/* -- methods -- */

/* Handlers read, validate, authorize, act and reply, in this order. A parked call returns to the beginning of
 * its handler, so nothing may be changed before the authorization. */

static int role_dbus_check_use(sd_bus_message *m, Role *role, const char *doing, const LeaseUse *use,
        int (*check)(const LeaseUse *use, const Role *role, Fault *fault), const Caller **ret,
        sd_bus_error *error) {
        const AuthorityRequest request = { .action = NODE_ACTION_MANAGE_ROLES, .doing = doing, .role = role };
        const Caller *caller = NULL;
        g_auto(Fault) fault = {};

        int r = clients_check_change(role->node->world.clients.data, m, &request, &caller, error);
        if (r != 0)
                return r;
        r = lease_use_check(use, role->node, caller, &fault);
        if (r >= 0)
                r = check(use, role, &fault);
        if (r < 0)
                return fault_to_bus_error(&fault, r, error);
        if (ret)
                *ret = caller;
        return 0;
}

int role_dbus_check(sd_bus_message *m, Role *role, const char *doing, const LeaseUse *use, const Caller **ret,
        sd_bus_error *error) {
        return role_dbus_check_use(m, role, doing, use, lease_use_check_role, ret, error);
}

static int role_dbus_check_stop(const LeaseUse *use, const Role *role, Fault *fault) {
        return node_check_stop(role->node, role, use, fault);
}

/* StopMany and KillMany have the options of a lease. */
static int role_dbus_stop(sd_bus_message *m, Role *role, RoleCause cause, sd_bus_error *error) {
        const LeaseUse use = {};
        const Caller *caller = NULL;

        int r = role_dbus_check_use(m, role, "stop roles", &use, role_dbus_check_stop, &caller, error);
        if (r != 0)
                return r;
        node_stop_role(role->node, role, cause, caller, operation_new(m, NULL));
        return 1;
}

int role_method_stop(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return role_dbus_stop(m, userdata, ROLE_CAUSE_STOP, error);
}

int role_method_kill(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return role_dbus_stop(m, userdata, ROLE_CAUSE_KILL, error);
}

int role_method_signal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Role *role = userdata;
        g_auto(Fault) fault = {};
        const Caller *caller = NULL;
        LeaseUse use = {};
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

        r = lease_options_read(m, &use, error);
        if (r < 0)
                return r;
        r = role_dbus_check(m, role, "signal roles", &use, &caller, error);
        if (r != 0)
                return r;
        Waiter waiter = operation_new(m, NULL);
        if (node_signal_role(role->node, role, to == STOP_TO_ALL, signo, caller, waiter, &fault) < 0)
                waiter_wake(waiter, &fault);
        return 1;
}

static int role_dbus_freeze(sd_bus_message *m, Role *role, bool freeze, sd_bus_error *error) {
        g_auto(Fault) fault = {};
        LeaseUse use = {};
        const Caller *caller = NULL;

        int r = lease_options_read(m, &use, error);
        if (r < 0)
                return r;
        r = role_dbus_check(m, role, freeze ? "freeze roles" : "thaw roles", &use, &caller, error);
        if (r != 0)
                return r;
        Waiter waiter = operation_new(m, NULL);
        if (role_freeze(role, freeze, caller, waiter, &fault) < 0)
                waiter_wake(waiter, &fault);
        return 1;
}

int role_method_freeze(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return role_dbus_freeze(m, userdata, true, error);
}

int role_method_thaw(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return role_dbus_freeze(m, userdata, false, error);
}

static int role_dbus_write_input(
        sd_bus_message *m, Role *role, const void *data, size_t size, bool newline, sd_bus_error *error) {
        g_auto(Fault) fault = {};
        LeaseUse use = {};
        const Caller *caller = NULL;

        int r = lease_options_read(m, &use, error);
        if (r < 0)
                return r;
        r = role_dbus_check(m, role, "write to roles", &use, &caller, error);
        if (r != 0)
                return r;

        Waiter waiter = operation_new(m, NULL);
        r = input_find(role, &fault);
        if (r >= 0) {
                /* The bytes are not copied, they stay in the message. */
                r = input_write(role->input, data, size, newline, sd_bus_message_ref(m), bus_message_free,
                        caller, waiter, &fault);
                if (r < 0)
                        sd_bus_message_unref(m); /* input_write() has not taken the reference */
        }
        if (r < 0)
                waiter_wake(waiter, &fault);
        return 1;
}

int role_method_send_input(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *text;

        int r = sd_bus_message_read_basic(m, 's', &text);
        return r < 0 ? r : role_dbus_write_input(m, userdata, text, strlen(text), true, error);
}

int role_method_write_input(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const void *data;
        size_t size;

        int r = sd_bus_message_read_array(m, 'y', &data, &size);
        return r < 0 ? r : role_dbus_write_input(m, userdata, data, size, false, error);
}

int role_method_close_input(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Role *role = userdata;
        g_auto(Fault) fault = {};
        LeaseUse use = {};
        const Caller *caller = NULL;

        int r = lease_options_read(m, &use, error);
        if (r < 0)
                return r;
        r = role_dbus_check(m, role, "write to roles", &use, &caller, error);
        if (r != 0)
                return r;
        Waiter waiter = operation_new(m, NULL);
        r = input_find(role, &fault);
        if (r >= 0)
                r = input_close(role->input, caller, waiter, &fault);
        if (r < 0)
                waiter_wake(waiter, &fault);
        return 1;
}

static int role_method_purge(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Role *role = userdata;
        char *names[] = { role->name, NULL };
        g_auto(GStrv) purged = NULL;
        g_auto(Fault) fault = {};
        const LeaseUse use = {};
        const Caller *caller = NULL;

        int r = role_dbus_check(m, role, "purge roles", &use, &caller, error);
        if (r != 0)
                return r;
        r = node_purge(role->node, names, &use, caller, &purged, &fault);
        return r < 0 ? fault_to_bus_error(&fault, r, error) : sd_bus_reply_method_return(m, NULL);
}

#define CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE

const sd_bus_vtable role_vtable[] = {
        SD_BUS_VTABLE_START(0),

        SD_BUS_METHOD_WITH_ARGS(
                "Stop", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, role_method_stop, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS(
                "Kill", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, role_method_kill, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Signal", SD_BUS_ARGS("s", whom, "i", signal), SD_BUS_NO_RESULT,
                role_method_signal, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS(
                "Freeze", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, role_method_freeze, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS(
                "Thaw", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, role_method_thaw, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("SendInput", SD_BUS_ARGS("s", text), SD_BUS_NO_RESULT, role_method_send_input,
                SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_SENSITIVE),
        SD_BUS_METHOD_WITH_ARGS("WriteInput", SD_BUS_ARGS("ay", data), SD_BUS_NO_RESULT,
                role_method_write_input, SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_SENSITIVE),
        SD_BUS_METHOD_WITH_ARGS("CloseInput", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, role_method_close_input,
                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("OpenTerminal", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("h", fd),
                role_method_open_terminal, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("OpenTerminalSocket", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("s", path),
                role_method_open_terminal_socket, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ResizeTerminal", SD_BUS_ARGS("q", rows, "q", columns), SD_BUS_NO_RESULT,
                role_method_resize_terminal, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS(
                "Purge", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, role_method_purge, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetPermissions", SD_BUS_ARGS("a{sv}", options),
                SD_BUS_RESULT("a{ss}", permissions), role_method_get_permissions, SD_BUS_VTABLE_UNPRIVILEGED),

        PROPERTY(role, Name, "s", SD_BUS_VTABLE_PROPERTY_CONST),
        PROPERTY(role, State, "s", CHANGES),
        PROPERTY(role, InvocationID, "s", CHANGES),
        PROPERTY(role, Owner, "u", CHANGES),
        PROPERTY(role, MainPID, "u", CHANGES),
        PROPERTY(role, ProcessGroup, "u", CHANGES),
        PROPERTY(role, Scope, "s", CHANGES),
        PROPERTY(role, ControlGroup, "s", CHANGES),
        PROPERTY(role, Strays, "as", CHANGES),
        PROPERTY(role, ResolvedProducts, "a(ss)", CHANGES),
        PROPERTY(role, EnvironmentHash, "s", CHANGES),
        PROPERTY(role, NeedReload, "b", CHANGES),
        PROPERTY(role, Frozen, "b", CHANGES),
        PROPERTY(role, Damaged, "b", CHANGES),
        PROPERTY(role, OutputLost, "b", CHANGES),
        PROPERTY(role, Ready, "b", CHANGES),
        PROPERTY(role, StatusText, "s", CHANGES),
        PROPERTY(role, StatusErrno, "i", CHANGES),
        PROPERTY(role, WaitsFor, "s", CHANGES),
        PROPERTY(role, StartTimestamp, "t", CHANGES),
        PROPERTY(role, StartTimestampMonotonic, "t", CHANGES),
        PROPERTY(role, StartTimes, "a{st}", CHANGES),
        PROPERTY(role, ExitTimestamp, "t", CHANGES),
        PROPERTY(role, ExitTimestampMonotonic, "t", CHANGES),
        PROPERTY(role, ExitCode, "s", CHANGES),
        PROPERTY(role, ExitStatus, "i", CHANGES),
        PROPERTY(role, Cause, "s", CHANGES),
        PROPERTY(role, Result, "s", CHANGES),
        PROPERTY(role, NRestarts, "u", CHANGES),
        PROPERTY(role, NextStartUSec, "t", CHANGES),
        PROPERTY(role, CPUUsageUSec, "t", CHANGES),
        PROPERTY(role, MaxRSS, "t", CHANGES),
        SD_BUS_VTABLE_END,
};

const sd_bus_vtable role_spec_vtable[] = {
        SD_BUS_VTABLE_START(0),
        PROPERTY(role_spec, Command, "as", CHANGES),
        PROPERTY(role_spec, User, "s", CHANGES),
        PROPERTY(role_spec, Group, "s", CHANGES),
        PROPERTY(role_spec, WorkingDirectory, "s", CHANGES),
        PROPERTY(role_spec, Stdin, "s", CHANGES),
        PROPERTY(role_spec, Output, "s", CHANGES),
        PROPERTY(role_spec, Product, "s", CHANGES),
        PROPERTY(role_spec, Version, "s", CHANGES),
        PROPERTY(role_spec, EupsList, "a(ss)", CHANGES),
        PROPERTY(role_spec, Provider, "s", CHANGES),
        PROPERTY(role_spec, ExitType, "s", CHANGES),
        PROPERTY(role_spec, StopSignal, "i", CHANGES),
        PROPERTY(role_spec, Type, "s", CHANGES),
        PROPERTY(role_spec, StopTo, "s", CHANGES),
        PROPERTY(role_spec, OnMonitorLoss, "s", CHANGES),
        PROPERTY(role_spec, StopTimeoutUSec, "t", CHANGES),
        PROPERTY(role_spec, Remove, "b", CHANGES),
        PROPERTY(role_spec, Restart, "s", CHANGES),
        PROPERTY(role_spec, RestartUSec, "t", CHANGES),
        PROPERTY(role_spec, RestartSteps, "u", CHANGES),
        PROPERTY(role_spec, RestartMaxDelayUSec, "t", CHANGES),
        PROPERTY(role_spec, SuccessExitStatus, "as", CHANGES),
        PROPERTY(role_spec, RestartPreventExitStatus, "as", CHANGES),
        PROPERTY(role_spec, StartLimitIntervalUSec, "t", CHANGES),
        PROPERTY(role_spec, StartLimitBurst, "u", CHANGES),
        PROPERTY(role_spec, Definition, "s", CHANGES),
        PROPERTY(role_spec, RoleGroups, "as", CHANGES),
        PROPERTY(role_spec, After, "as", CHANGES),
        PROPERTY(role_spec, Wants, "as", CHANGES),
        PROPERTY(role_spec, Requires, "as", CHANGES),
        PROPERTY(role_spec, BindsTo, "as", CHANGES),
        PROPERTY(role_spec, PartOf, "as", CHANGES),
        PROPERTY(role_spec, Lease, "s", CHANGES),
        PROPERTY(role_spec, ManagedBy, "s", CHANGES),
        SD_BUS_VTABLE_END,
};

static int role_dbus_add_vtable(Clients *clients, sd_bus *bus, GPtrArray *slots, const sd_bus_vtable *vtable,
        sd_bus_object_find_t find) {
        sd_bus_slot *slot = NULL;

        int r = sd_bus_add_fallback_vtable(
                bus, &slot, NODE_ROLE_PATH_PREFIX, NODE_ROLE_INTERFACE, vtable, find, clients);
        if (r >= 0)
                g_ptr_array_add(slots, slot);
        return r;
}

int role_dbus_register(Clients *clients, sd_bus *bus, GPtrArray *slots) {
        sd_bus_slot *slot = NULL;

        int r = role_dbus_add_vtable(clients, bus, slots, role_vtable, role_dbus_find);
        if (r >= 0)
                r = role_dbus_add_vtable(clients, bus, slots, role_spec_vtable, role_dbus_find_spec);
        if (r < 0)
                return r;
        r = sd_bus_add_node_enumerator(bus, &slot, NODE_ROLE_PATH_PREFIX, role_dbus_enumerate, clients);
        if (r < 0)
                return r;
        g_ptr_array_add(slots, slot);
        return 0;
}
