/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The signals of org.architect.Node and their details. */

#include "node/node-dbus.h"
#include "node/role-dbus.h"
#include "proto/node-names.h"
#include "util/bus-util.h"
#include "util/log.h"

static int append_event(sd_bus_message *m, Node *node, uint64_t sequence) {
        char epoch[SD_ID128_STRING_MAX];

        int r = bus_append_entry(m, "seq", "t", sequence);
        if (r >= 0)
                r = bus_append_entry(m, "epoch", "s", sd_id128_to_string(events_epoch(node->events), epoch));
        return r;
}

static int append_caller(sd_bus_message *m, const Caller *caller) {
        if (!caller || !caller->known)
                return 0;

        int r = bus_append_entry(m, "caller-uid", "u", (uint32_t) caller->uid);
        if (r >= 0 && caller->pid > 0)
                r = bus_append_entry(m, "caller-pid", "u", (uint32_t) caller->pid);
        if (r >= 0 && caller->unit)
                r = bus_append_entry(m, "caller-unit", "s", caller->unit);
        return r;
}

static int append_role_event(sd_bus_message *m, Role *role, uint64_t sequence) {
        char invocation[SD_ID128_STRING_MAX];

        int r = append_event(m, role->node, sequence);
        if (r >= 0)
                r = bus_append_entry(
                        m, "invocation-id", "s", sd_id128_to_string(role->invocation, invocation));
        return r;
}

static int signal_new(Agent *agent, sd_bus_message **ret, const char *member) {
        return sd_bus_message_new_signal(agent->bus, ret, NODE_PATH, NODE_INTERFACE, member);
}

static void signal_send(sd_bus_message *m, int r, const char *member) {
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_message_send(m);
        if (r < 0)
                log_error_errno(r, "Cannot send %s: %m", member);
}

void node_dbus_role_started(void *world, Role *role) {
        Agent *agent = world;
        g_autoptr(sd_bus_message) m = NULL;
        g_autofree char *path = role_dbus_path(role->name);

        role_dbus_announce(agent, role);
        int r = signal_new(agent, &m, "RoleStarted");
        if (r >= 0)
                r = sd_bus_message_append(
                        m, "sous", role->name, path, (uint32_t) role->main_pid, role->scope);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = append_role_event(m, role, role->started_sequence);
        if (r >= 0)
                r = bus_append_entry(m, "realtime-usec", "t", role->start_realtime_usec);
        if (r >= 0)
                r = bus_append_entry(m, "monotonic-usec", "t", role->start_monotonic_usec);
        if (r >= 0)
                r = append_caller(m, &role->owner);
        signal_send(m, r, "RoleStarted");
}

static int append_exit(sd_bus_message *m, const Role *role) {
        const RoleExit *e = &role->exit;

        int r = bus_append_entry(m, "cause", "s", role_cause_to_string(role->cause));
        if (r >= 0)
                r = append_caller(m, &role->cause_caller);
        if (r >= 0)
                r = bus_append_entry(m, "start-realtime-usec", "t", role->start_realtime_usec);
        if (r >= 0)
                r = bus_append_entry(m, "start-monotonic-usec", "t", role->start_monotonic_usec);
        if (r >= 0)
                r = bus_append_entry(m, "exit-realtime-usec", "t", e->realtime_usec);
        if (r >= 0)
                r = bus_append_entry(m, "exit-monotonic-usec", "t", e->monotonic_usec);
        if (r >= 0 && e->usage_known) {
                r = bus_append_entry(m, "cpu-usec", "t", e->cpu_user_usec + e->cpu_system_usec);
                if (r >= 0)
                        r = bus_append_entry(m, "cpu-user-usec", "t", e->cpu_user_usec);
                if (r >= 0)
                        r = bus_append_entry(m, "cpu-system-usec", "t", e->cpu_system_usec);
                if (r >= 0)
                        r = bus_append_entry(m, "maxrss", "t", e->maxrss_bytes);
        }
        if (r >= 0 && e->scope_cpu_usec > 0)
                r = bus_append_entry(m, "scope-cpu-usec", "t", e->scope_cpu_usec);
        if (r >= 0 && e->scope_memory_peak > 0)
                r = bus_append_entry(m, "memory-peak", "t", e->scope_memory_peak);
        if (r >= 0 && e->oom_known)
                r = bus_append_entry(m, "oom-kill", "b", (int) e->oom);
        return r;
}

void node_dbus_role_exited(void *world, Role *role) {
        Agent *agent = world;
        g_autoptr(sd_bus_message) m = NULL;
        g_autofree char *path = role_dbus_path(role->name);

        role_log(role, role->exit.code == EXIT_CODE_EXITED && role->exit.status == 0 ? LOG_DEBUG : LOG_INFO,
                "Ended: %s %d (%s)", exit_code_to_string(role->exit.code), role->exit.status,
                role_cause_to_string(role->cause));
        int r = signal_new(agent, &m, "RoleExited");
        if (r >= 0)
                r = sd_bus_message_append(m, "sosi", role->name, path, exit_code_to_string(role->exit.code),
                        (int32_t) role->exit.status);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = append_role_event(m, role, role->exited_sequence);
        if (r >= 0)
                r = append_exit(m, role);
        signal_send(m, r, "RoleExited");
}

void node_dbus_role_purged(void *world, Role *role, uint64_t sequence, const Caller *caller) {
        Agent *agent = world;
        g_autoptr(sd_bus_message) m = NULL;
        g_autofree char *path = role_dbus_path(role->name);

        int r = signal_new(agent, &m, "RolePurged");
        if (r >= 0)
                r = sd_bus_message_append(m, "so", role->name, path);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = append_role_event(m, role, sequence);
        if (r >= 0)
                r = append_caller(m, caller);
        signal_send(m, r, "RolePurged");
}

void node_dbus_shutting_down(void *world, const char *reason, uint64_t sequence, const Caller *caller) {
        Agent *agent = world;
        g_autoptr(sd_bus_message) m = NULL;

        int r = signal_new(agent, &m, "ShuttingDown");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", reason);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = append_event(m, agent->node, sequence);
        if (r >= 0)
                r = append_caller(m, caller);
        signal_send(m, r, "ShuttingDown");
}

void node_dbus_monitor_timed_out(void *world, uint64_t timeout_usec, uint64_t sequence) {
        Agent *agent = world;
        g_autoptr(sd_bus_message) m = NULL;

        int r = signal_new(agent, &m, "MonitorTimedOut");
        if (r >= 0)
                r = sd_bus_message_append(m, "t", timeout_usec);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = append_event(m, agent->node, sequence);
        signal_send(m, r, "MonitorTimedOut");
}
