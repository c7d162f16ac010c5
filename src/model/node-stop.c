/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/macro.h"
#include "model/event-details.h"
#include "model/node-events.h"
#include "model/node-stop.h"
#include "model/role-log.h"
#include "model/role-signal.h"
#include "model/role-stop.h"
#include "model/role-strays.h"
#include "util/log.h"

/* What is not awaited and not over survives SIGKILL now, not at some time before. */
static bool node_has_left_roles(const Node *node) {
        GHashTableIter iter;
        Role *role;

        g_hash_table_iter_init(&iter, node->roles);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &role))
                for (; role; role = role->predecessor)
                        if (!role_is_over(role))
                                return true;
        return false;
}

void node_check_finished(Node *node) {
        if (!node->stopping || node->finished || node->n_awaited > 0)
                return;
        node->finished = true;
        ASK(node, service, finished, node_has_left_roles(node) ? EXIT_ROLES_LEFT : 0);
}

void node_stop_role(Node *node, Role *role, RoleCause cause, const Caller *caller, Waiter waiter) {
        if (role_is_over(role)) {
                waiter_wake(waiter, NULL);
                return;
        }
        /* Nothing of it can act on the stop signal. SIGKILL ends it all the same, also if it is sent already.
         */
        if (cause != ROLE_CAUSE_KILL && role->cgroup && role->stop_step < STOP_STEP_KILLED) {
                g_auto(Fault) fault = {};

                if (role->state != ROLE_STARTING && role_check_not_frozen(role, false, &fault) < 0) {
                        waiter_wake(waiter, &fault);
                        return;
                }
        }
        role_wait_stop(role, waiter);
        role_stop(role, cause, cause == ROLE_CAUSE_KILL, caller);
}

int node_signal_role(
        Node *node, Role *role, bool all, int signo, const Caller *caller, Waiter waiter, Fault *fault) {
        int r = role_check_running(role, fault);
        if (r < 0)
                return r;
        if (!all && role->main_exited)
                return fault_set(fault, NODE_ERROR_ROLE_NOT_RUNNING,
                        "The main process of role \"%s\" has ended; all its processes can be signalled",
                        role->name);
        if (!all && !role->child_exists)
                return fault_set(fault, NODE_ERROR_KEEPER_UNAVAILABLE,
                        "Cannot signal the main process of role \"%s\": the keeper that started it is gone; all its "
                        "processes can be signalled",
                        role->name);

        /* Saved before it is sent, because the next process may see the end that it causes. */
        if (!role->main_exited) {
                role->last_signal = signo;
                caller_copy(&role->last_signal_caller, caller);
                (void) role_save(role);
        }
        if (all)
                role_signal_all(role, signo, waiter);
        else
                ASK(node, link, signal, role, signo, waiter);
        return 0;
}

void node_shutdown(Node *node, const char *reason, const Caller *caller) {
        g_auto(Event) event = {};

        if (node->stopping)
                return;
        node->stopping = true;

        /* Saved before any action, because the next process must know about it after a crash. */
        int r = shutdown_save(node->dir_fd, reason, caller);
        if (r < 0)
                log_error_errno(r, "Cannot save the shutdown under way, it does not survive a crash: %m");
        journal_shutting_down(node, reason, caller);
        node_event_add(node, EVENT_SHUTTING_DOWN, NULL, event_details_shutting_down(reason, caller), &event);
        node_event_tell(node, &event, NULL);
        ASK(node, service, stopping);
        ASK(node, clients, node_changed);

        g_autoptr(GPtrArray) names = node_list_names(node);
        for (unsigned i = 0; i < names->len; i++) {
                Role *role = g_hash_table_lookup(node->roles, g_ptr_array_index(names, i));
                if (role)
                        role_stop(role, ROLE_CAUSE_SHUTDOWN, false, caller);
        }
        node_check_finished(node);
}

bool node_is_shutting_down(const Node *node) {
        return node->stopping || node->resumed.reason;
}

void node_resume_shutdown(Node *node) {
        if (node->resumed.reason) {
                log_notice("Resuming the interrupted shutdown");
                node_shutdown(node, node->resumed.reason, &node->resumed.caller);
        }
}
