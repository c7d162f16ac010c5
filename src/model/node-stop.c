/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/macro.h"
#include "model/auto-start.h"
#include "model/dependents.h"
#include "model/event-details.h"
#include "model/leases.h"
#include "model/node-events.h"
#include "model/node-stop.h"
#include "model/role-dependencies.h"
#include "model/role-log.h"
#include "model/role-main-pid.h"
#include "model/role-ready.h"
#include "model/role-restart.h"
#include "model/role-signal.h"
#include "model/role-start.h"
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

/* -- what is stopped together -- */

/* A role that is to be stopped. */
typedef struct Stop {
        const char *name; /* owned by the set */
        RoleCause cause;
        const char *follows; /* as Role.follows; NULL for none */
        bool kill;
        Waiter waiter;
        bool done;
} Stop;

typedef struct StopSet {
        Node *node;
        const Caller *caller;
        const char *root;  /* the role with which they stop, and which is not stopped itself; or NULL */
        GHashTable *stops; /* name → Stop, both owned */
        GPtrArray *order;  /* of Stop, in the order in which they were added */
} StopSet;

static StopSet *stop_set_new(Node *node, const Caller *caller) {
        StopSet *set = g_new(StopSet, 1);

        *set = (StopSet){
                .node = node,
                .caller = caller,
                .stops = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free),
                .order = g_ptr_array_new(),
        };
        return set;
}

static void stop_set_free(StopSet *set) {
        g_hash_table_unref(set->stops);
        g_ptr_array_unref(set->order);
        g_free(set);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StopSet, stop_set_free)

/* Returns NULL if it is in the set. */
static Stop *stop_set_add(StopSet *set, const char *name, RoleCause cause, const char *follows) {
        Stop *stop;

        if (g_hash_table_contains(set->stops, name))
                return NULL;
        stop = g_new(Stop, 1);
        *stop = (Stop){ .name = g_strdup(name), .cause = cause, .follows = follows };
        g_hash_table_insert(set->stops, (char *) stop->name, stop);
        g_ptr_array_add(set->order, stop);
        return stop;
}

/* Adds what stops with those that are in the set, with what stops with these, and so on. */
static void stop_set_close(StopSet *set) {
        for (unsigned i = 0; i < set->order->len; i++) {
                const Stop *stop = g_ptr_array_index(set->order, i);
                const Role *of = g_hash_table_lookup(set->node->roles, stop->name);
                g_autoptr(GPtrArray) names =
                        role_is_dependency(of) ? role_list_dependents(set->node, stop->name) : NULL;

                for (unsigned k = 0; names && k < names->len; k++) {
                        const char *name = g_ptr_array_index(names, k);
                        const Role *role = g_hash_table_lookup(set->node->roles, name);

                        if (role && g_strcmp0(name, set->root) != 0 && role_stops_with(role, stop->name))
                                (void) stop_set_add(
                                        set, name, ROLE_CAUSE_DEPENDENCY, stop->follows ? stop->name : NULL);
                }
        }
}

/* Somebody has stopped them, or what they depend on, by hand. */
static void stop_set_mark(StopSet *set) {
        auto_start_hold(set->node);
        for (unsigned i = 0; i < set->order->len; i++)
                auto_start_stopped(set->node, ((const Stop *) g_ptr_array_index(set->order, i))->name);
        auto_start_release(set->node);
}

/* A oneshot that has ended with success is ready until it is stopped, as one with RemainAfterExit=yes of
 * systemd is active. There is no process to stop. With follows it is run again when that role is ready. */
static void node_stop_finished(Node *node, Role *role, const char *follows) {
        g_auto(Event) event = {};

        if (role->state != ROLE_ENDED || !role_is_ready(role))
                return;
        role_set_unready(role);
        role_follow(role, follows);
        if (role->swept) /* else what is left of it decides when it is gone */
                role_decide_next_run(role, &event);
        (void) role_save(role);
        node_event_tell(node, &event, role);
        ASK(node, clients, role_changed, role);
        if (role_waits_for_restart(role)) {
                node_remove_ended(node, role);
                role_arm_restart(role);
        }
}

/* The role that it follows has ended, or starts again. */
static void role_stop_following(Role *role, const char *follows, const Caller *caller) {
        g_auto(Fault) fault = {};

        switch (role->state) {
        case ROLE_STARTING:
                if (role->failure.message)
                        return;
                (void) fault_set(&fault, NODE_ERROR_DEPENDENCY_FAILED,
                        "Role \"%s\" cannot be started, because \"%s\", on which it depends, has ended",
                        role->name, follows);
                role_fail(role, &fault);
                return;
        case ROLE_RUNNING:
                role_follow(role, follows);
                role_stop(role, ROLE_CAUSE_DEPENDENCY, false, caller);
                return;
        case ROLE_ENDED:
                node_stop_finished(role->node, role, follows);
                return;
        default:
                return; /* it ends already */
        }
}

static void node_stop_one(Node *node, const Stop *stop, const Caller *caller) {
        Role *role = g_hash_table_lookup(node->roles, stop->name);
        if (!role) { /* the end of another one has removed it */
                waiter_wake(stop->waiter, NULL);
                return;
        }
        if (stop->follows) {
                role_stop_following(role, stop->follows, caller);
                return;
        }
        if (!role_waits_for_restart(role)) /* else the end of its wait does it, in one save */
                role_follow(role, NULL);
        node_stop_finished(node, role, NULL);
        if (role_is_over(role)) {
                role_stop(role, stop->cause, stop->kill, caller); /* it may wait for its restart */
                waiter_wake(stop->waiter, NULL);
                return;
        }
        role_wait_stop(role, stop->waiter);
        role_stop(role, stop->cause, stop->kill, caller);
}

/* What is after a role begins to stop before it, so that it finds that it has to wait. */
static void stop_set_run_one(StopSet *set, Stop *stop) {
        g_autoptr(GPtrArray) names = NULL;

        if (stop->done)
                return;
        stop->done = true;
        names = role_list_dependents(set->node, stop->name);
        for (unsigned i = 0; names && i < names->len; i++) {
                const char *name = g_ptr_array_index(names, i);
                const Role *role = g_hash_table_lookup(set->node->roles, name);
                Stop *other = g_hash_table_lookup(set->stops, name);

                if (role && other && role_is_after(role, stop->name))
                        stop_set_run_one(set, other);
        }
        node_stop_one(set->node, stop, set->caller);
}

static void stop_set_run(StopSet *set) {
        /* SIGKILL waits for nothing. */
        for (unsigned i = 0; i < set->order->len; i++) {
                Stop *stop = g_ptr_array_index(set->order, i);

                if (stop->kill) {
                        stop->done = true;
                        node_stop_one(set->node, stop, set->caller);
                }
        }
        for (unsigned i = 0; i < set->order->len; i++)
                stop_set_run_one(set, g_ptr_array_index(set->order, i));
}

/* Nothing of it can act on the stop signal. SIGKILL ends it all the same, also if it is sent already. */
static int role_check_can_stop(const Role *role, bool kill, Fault *fault) {
        if (role_is_over(role) || kill || !role->cgroup || role->stop_step >= STOP_STEP_KILLED ||
                role->state == ROLE_STARTING)
                return 0;
        return role_check_not_frozen(role, "stopped", ", or kill the role", fault);
}

int node_check_stop(Node *node, const Role *role, const LeaseUse *use, Fault *fault) {
        g_autoptr(StopSet) set = NULL;

        int r = lease_use_check_role(use, role, fault);
        if (r < 0 || !role_is_dependency(role) || !dependents_get(node->dependents, role->name))
                return r;
        set = stop_set_new(node, NULL);
        (void) stop_set_add(set, role->name, ROLE_CAUSE_STOP, NULL);
        stop_set_close(set);
        for (unsigned i = 0; i < set->order->len; i++) {
                const char *name = ((const Stop *) g_ptr_array_index(set->order, i))->name;
                const Role *other = g_hash_table_lookup(node->roles, name);
                g_auto(Fault) reason = {};

                if (!other || !role_is_living(other))
                        continue;
                r = lease_use_check_role(use, other, &reason);
                if (r < 0)
                        return fault_set(fault, reason.error,
                                "Role \"%s\" cannot be stopped, as \"%s\" stops with it: %s", role->name,
                                name, reason.message);
        }
        return 0;
}

void node_stop_roles(
        Node *node, const StopRequest *requests, size_t n, RoleCause cause, const Caller *caller) {
        g_autoptr(StopSet) set = stop_set_new(node, caller);

        for (size_t i = 0; i < n; i++) {
                const StopRequest *request = &requests[i];
                g_auto(Fault) fault = {};
                Role *role = NULL;
                Stop *stop;

                int r = node_find_role(node, request->name, &role, &fault);
                /* The monitor and a shutdown go on to SIGKILL, which also ends what is frozen. */
                if (r >= 0 && cause == ROLE_CAUSE_STOP)
                        r = role_check_can_stop(role, request->kill, &fault);
                if (r < 0) {
                        waiter_wake(request->waiter, &fault);
                        continue;
                }
                stop = stop_set_add(set, request->name, cause, NULL);
                g_assert(stop); /* each is requested once */
                stop->kill = request->kill;
                stop->waiter = request->waiter;
        }
        stop_set_close(set);
        if (cause == ROLE_CAUSE_STOP || cause == ROLE_CAUSE_KILL)
                stop_set_mark(set);
        stop_set_run(set);
}

void node_stop_role(Node *node, Role *role, RoleCause cause, const Caller *caller, Waiter waiter) {
        const StopRequest request = { role->name, cause == ROLE_CAUSE_KILL, waiter };

        node_stop_roles(node, &request, 1, cause, caller);
}

void node_stop_dependents(Node *node, const char *name, bool follow,
        bool (*concerns)(const Role *role, const char *name), const Caller *caller) {
        g_autoptr(GPtrArray) names = role_list_dependents(node, name);
        g_autoptr(StopSet) set = NULL;

        if (!names)
                return;
        set = stop_set_new(node, caller);
        set->root = name;
        for (unsigned i = 0; i < names->len; i++) {
                const char *other = g_ptr_array_index(names, i);
                const Role *role = g_hash_table_lookup(node->roles, other);

                if (role && concerns(role, name))
                        (void) stop_set_add(set, other, ROLE_CAUSE_DEPENDENCY, follow ? name : NULL);
        }
        stop_set_close(set);
        stop_set_run(set);
}

int node_signal_role(
        Node *node, Role *role, bool all, int signo, const Caller *caller, Waiter waiter, Fault *fault) {
        int r = role_check_running(role, fault);
        if (r < 0)
                return r;
        /* Its end is not the status of the role, so this is not its cause. */
        if (!all && role_signal_main_pid(role, signo, waiter))
                return 0;
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

/* What is frozen gets SIGKILL in the end. */
static void node_stop_all(Node *node, const Caller *caller) {
        g_autoptr(StopSet) set = stop_set_new(node, caller);
        g_autoptr(GPtrArray) names = node_list_names(node);

        for (unsigned i = 0; i < names->len; i++)
                (void) stop_set_add(set, g_ptr_array_index(names, i), ROLE_CAUSE_SHUTDOWN, NULL);
        stop_set_run(set);
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

        node_stop_all(node, caller);
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
