/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* This file sends signals to the processes of a role: those in its scope, and those that have left it
 * (role-strays.h). Why one is sent is decided in role-stop.c, role-start.c and node-stop.c. */

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "model/node.h"
#include "model/role-signal.h"
#include "model/role-strays.h"

/* -- to its scope -- */

/* The keeper sends all signals, because a stop must not wait for PID 1, and because PID 1 can signal neither
 * a cgroup that it did not make nor, without an error, one with threaded cgroups below it. systemd remains
 * the only way if there is no keeper, or one that was started before its upgrade (version 2 of the protocol).
 */
void role_signal_by_systemd(Role *role, int signo, SignalFlags flags, Waiter waiter) {
        ASK(role->node, scope, signal, role, role->scope, signo, waiter);
        if (flags & SIGNAL_CONTINUE)
                ASK(role->node, scope, signal, role, role->scope, SIGCONT, (Waiter){});
}

static int role_signal_by_keeper(Role *role, int signo, SignalFlags flags, Waiter waiter) {
        if (!role->cgroup)
                return -EOPNOTSUPP;
        return ASK(role->node, link, signal_cgroup, role, role->cgroup, signo, flags, waiter);
}

void role_signal_scope(Role *role, int signo, SignalFlags flags, Waiter waiter) {
        if (role_signal_by_keeper(role, signo, flags, waiter) < 0)
                role_signal_by_systemd(role, signo, flags, waiter);
}

/* -- to all that it has -- */

/* One signal to several cgroups and processes, with one reply. */
typedef struct RoleSignal {
        Waiter waiter;
        unsigned n_pending;
        bool sent; /* at least one has received it */
        Fault fault;
} RoleSignal;

static bool fault_is_gone(const Fault *fault) {
        return fault->message && fault->error == NODE_ERROR_ROLE_NOT_RUNNING;
}

static void role_signal_part_end(RoleSignal *call) {
        if (--call->n_pending > 0)
                return;
        /* A part of the role that has ended is no failure while another one lives. */
        bool success = call->sent && fault_is_gone(&call->fault);
        waiter_wake(call->waiter, success ? NULL : &call->fault);
        fault_clear(&call->fault);
        g_free(call);
}

static void role_signal_on_part(void *userdata, const Fault *fault) {
        RoleSignal *call = userdata;

        if (!fault)
                call->sent = true;
        else if (!call->fault.message || (fault_is_gone(&call->fault) && !fault_is_gone(fault))) {
                fault_clear(&call->fault);
                fault_copy(&call->fault, fault);
        }
        role_signal_part_end(call);
}

static Waiter role_signal_part(RoleSignal *call) {
        if (!call)
                return (Waiter){};
        call->n_pending++;
        return (Waiter){ role_signal_on_part, call };
}

/* Returns the length of the path of the systemd that has made the unit with this cgroup: what is above the
 * slices in which it is. */
static size_t cgroup_manager_length(const char *cgroup) {
        static const char slice[] = ".slice";
        const size_t k = strlen(slice);
        const char *end = strrchr(cgroup, '/');

        while (end && end > cgroup) {
                const char *slash = memrchr(cgroup, '/', (size_t) (end - cgroup));

                if (!slash || (size_t) (end - slash) <= 1 + k || memcmp(end - k, slice, k) != 0)
                        break;
                end = slash;
        }
        return end ? (size_t) (end - cgroup) : 0;
}

/* systemd finds a unit by its name alone. The manager of a user, or one in a container, may have given this
 * name to a scope of its own, while that of systemd is somebody else's. */
static bool stray_is_of_systemd(const Role *role, const char *stray) {
        size_t n = role->cgroup ? cgroup_manager_length(role->cgroup) : 0;

        return role->cgroup && n == cgroup_manager_length(stray) && memcmp(role->cgroup, stray, n) == 0;
}

/* The keeper checks a stray by the child, which it may have lost when it was killed. Then systemd signals the
 * unit. */
static void role_send_to_stray(
        Role *role, const char *stray, int signo, SignalFlags flags, RoleSignal *call) {
        g_autofree char *unit = g_path_get_basename(stray);
        const Waiter waiter = role_signal_part(call);

        if (role->child_exists &&
                ASK(role->node, link, signal_cgroup, role, stray, signo, SIGNAL_STRAY | flags, waiter) >= 0)
                return;
        if (!stray_is_of_systemd(role, stray)) {
                g_auto(Fault) fault = {};

                (void) fault_set(&fault, NODE_ERROR_KEEPER_UNAVAILABLE,
                        "Cannot signal %s of role \"%s\": it belongs to another manager, and the keeper that "
                        "started the role is gone or too old",
                        unit, role->name);
                waiter_wake(waiter, &fault);
                return;
        }
        ASK(role->node, scope, signal, role, unit, signo, waiter);
        if (flags & SIGNAL_CONTINUE)
                ASK(role->node, scope, signal, role, unit, SIGCONT, (Waiter){});
}

static void role_send_to_lone(
        Role *role, const LoneProcess *lone, int signo, SignalFlags flags, RoleSignal *call) {
        const Waiter waiter = role_signal_part(call);
        g_auto(Fault) fault = {};

        int r = ASK(role->node, link, signal_process, role, lone->pid, lone->start_time, signo, waiter);
        if (r >= 0 && flags & SIGNAL_CONTINUE)
                (void) ASK(role->node, link, signal_process, role, lone->pid, lone->start_time, SIGCONT,
                        (Waiter){});
        if (r >= 0)
                return;
        /* A request that was not made has no answer. */
        (void) fault_set(&fault, NODE_ERROR_KEEPER_UNAVAILABLE,
                "Cannot signal process %d of role \"%s\", which is not in its scope: %s", (int) lone->pid,
                role->name, r == -EPROTONOSUPPORT ? "the running keeper is too old" : "there is no keeper");
        waiter_wake(waiter, &fault);
}

static void role_send_to_main(Role *role, int signo, SignalFlags flags, RoleSignal *call) {
        g_auto(Fault) fault = {};

        if (!role->child_exists) {
                (void) fault_set(&fault, NODE_ERROR_KEEPER_UNAVAILABLE,
                        "Cannot signal the main process of role \"%s\", which is not in its scope: the keeper "
                        "that started it is gone",
                        role->name);
                waiter_wake(role_signal_part(call), &fault);
                return;
        }
        ASK(role->node, link, signal, role, signo, role_signal_part(call));
        if (flags & SIGNAL_CONTINUE)
                ASK(role->node, link, signal, role, SIGCONT, (Waiter){});
}

static void role_send_to_strays(Role *role, int signo, SignalFlags flags, RoleSignal *call) {
        for (char **s = role->strays; s && *s; s++)
                role_send_to_stray(role, *s, signo, flags, call);
        for (unsigned i = 0; role->lone && i < role->lone->len; i++)
                role_send_to_lone(role, &g_array_index(role->lone, LoneProcess, i), signo, flags, call);
        if (role->main_outside && !role->main_exited)
                role_send_to_main(role, signo, flags, call);
}

void role_signal_strays(Role *role, int signo, SignalFlags flags) {
        role_send_to_strays(role, signo, flags, NULL);
}

void role_signal_all(Role *role, int signo, Waiter waiter) {
        RoleSignal *call = g_new(RoleSignal, 1);

        *call = (RoleSignal){ .waiter = waiter, .n_pending = 1 };
        role_look_for_strays(role);
        role_signal_scope(role, signo, 0, role_signal_part(call));
        role_send_to_strays(role, signo, 0, call);
        role_signal_part_end(call);
}

void role_kill_all(Role *role, SignalFlags flags) {
        role_look_for_strays(role);
        if (role_signal_by_keeper(role, SIGKILL, flags, (Waiter){}) < 0)
                ASK(role->node, scope, freeze_and_kill, role);
        role_signal_strays(role, SIGKILL, flags);
}
