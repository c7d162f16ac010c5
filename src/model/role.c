/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdarg.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/parse-util.h"
#include "base/time-util.h"
#include "base/unit-name.h"
#include "model/account.h"
#include "model/role-log.h"
#include "model/node.h"
#include "model/role.h"
#include "util/log.h"

static const char *const role_state_table[_ROLE_STATE_MAX] = {
        [ROLE_STARTING] = "starting",
        [ROLE_RUNNING] = "running",
        [ROLE_STOPPING] = "stopping",
        [ROLE_ENDED] = "ended",
};

DEFINE_STRING_TABLE(role_state, RoleState, role_state_table);

static const char *const role_phase_table[_ROLE_PHASE_MAX] = {
        [ROLE_PHASE_DEPENDENCIES] = "dependencies",
        [ROLE_PHASE_QUEUED] = "queued",
        [ROLE_PHASE_SWEEP] = "sweep",
        [ROLE_PHASE_FORK] = "fork",
        [ROLE_PHASE_SCOPE] = "scope",
        [ROLE_PHASE_OPEN] = "open",
};

DEFINE_STRING_TABLE(role_phase, RolePhase, role_phase_table);

static const char *const role_cause_table[_ROLE_CAUSE_MAX] = {
        [ROLE_CAUSE_SELF] = "self",
        [ROLE_CAUSE_STOP] = "stop",
        [ROLE_CAUSE_KILL] = "kill",
        [ROLE_CAUSE_MONITOR] = "monitor",
        [ROLE_CAUSE_SHUTDOWN] = "shutdown",
        [ROLE_CAUSE_OOM] = "oom",
        [ROLE_CAUSE_EXTERNAL] = "external",
        [ROLE_CAUSE_TIMEOUT] = "timeout",
        [ROLE_CAUSE_WATCHDOG] = "watchdog",
        [ROLE_CAUSE_DEPENDENCY] = "dependency",
};

DEFINE_STRING_TABLE(role_cause, RoleCause, role_cause_table);

static const char *const stop_step_table[_STOP_STEP_MAX] = {
        [STOP_STEP_NONE] = "none",
        [STOP_STEP_WAITING] = "waiting",
        [STOP_STEP_COMMAND] = "command",
        [STOP_STEP_ASKED] = "asked",
        [STOP_STEP_KILLED] = "killed",
        [STOP_STEP_STUCK] = "stuck",
};

DEFINE_STRING_TABLE(stop_step, StopStep, stop_step_table);

static const char *const hook_kind_table[_HOOK_KIND_MAX] = {
        [HOOK_STOP] = "exec-stop",
        [HOOK_STOP_POST] = "exec-stop-post",
};

DEFINE_STRING_TABLE(hook_kind, HookKind, hook_kind_table);

Role *role_new(Node *node, const char *name, RoleSpec *spec) {
        Role *role = g_new0(Role, 1);

        role->node = node;
        role->name = g_strdup(name);
        role->scope = role_scope_name(node->instance, name);
        g_assert(role->scope);
        role->slice = -1;
        role->spec = spec;
        role->state = ROLE_STARTING;
        role->phase = ROLE_PHASE_QUEUED;
        role->main_pidfd = role->gate_fd = role->stdin_fd = role->terminal_fd = -EBADF;
        role->stop_deadline = USEC_INFINITY;
        return role;
}

Role *role_free(Role *role) {
        if (!role)
                return NULL;

        /* No caller may be waiting: the function that releases a role replies first. */
        g_assert(!role->start_waiters);
        g_assert(!role->stop_waiters);

        g_assert(!role->input);

        role->hook = role_free(role->hook);
        NodeWorld *world = &role->node->world;
        if (world->link.ops)
                world->link.ops->role_freed(world->link.data, role);
        if (world->scope.ops)
                world->scope.ops->role_freed(world->scope.data, role);
        node_drop_role(role->node, role);
        role->node->reports->role_freed(role->node, role);
        if (role->predecessor) {
                role->predecessor->successor = NULL;
                role_free(role->predecessor);
        }
        if (role->successor)
                role->successor->predecessor = NULL;
        node_slice_release(role);
        role_set_timer(role, USEC_INFINITY, NULL);
        sd_event_source_disable_unref(role->notified_due);
        sd_event_source_disable_unref(role->named_main_watch);
        (void) fd_close(role->main_pidfd);
        (void) fd_close(role->gate_fd);
        (void) fd_close(role->stdin_fd);
        (void) fd_close(role->terminal_fd);
        fault_clear(&role->failure);
        caller_clear(&role->owner);
        caller_clear(&role->cause_caller);
        caller_clear(&role->last_signal_caller);
        role_spec_free(role->spec);
        g_free(role->unknown_fields);
        g_free(role->cgroup);
        g_strfreev(role->strays);
        if (role->stray_ids)
                g_array_unref(role->stray_ids);
        if (role->lone)
                g_array_unref(role->lone);
        if (role->left)
                g_array_unref(role->left);
        g_strfreev(role->resolved_products);
        g_free(role->environment_hash);
        g_free(role->status_text);
        g_free(role->follows);
        g_free(role->hook_result);
        free(role->scope); /* allocated by libc, in base */
        g_free(role->name);
        g_free(role);
        return NULL;
}

bool role_holds_slot(const Role *role) {
        return role->state == ROLE_STARTING && role->phase >= ROLE_PHASE_FORK && !role->undo_late;
}

static const char *const next_run_table[_NEXT_RUN_MAX] = {
        [NEXT_RUN_NONE] = "none",
        [NEXT_RUN_WAITING] = "waiting",
        [NEXT_RUN_DEPENDENCY] = "dependency",
        [NEXT_RUN_GIVEN_UP] = "given-up",
        [NEXT_RUN_LIMIT_HIT] = "limit-hit",
};

DEFINE_STRING_TABLE(next_run, NextRun, next_run_table);

bool role_is_over(const Role *role) {
        return role->state == ROLE_ENDED && role->swept;
}

bool role_waits_for_restart(const Role *role) {
        return (role->next_run == NEXT_RUN_WAITING || role->next_run == NEXT_RUN_DEPENDENCY) &&
               role_is_over(role) && !role->successor;
}

bool role_is_living(const Role *role) {
        return !role_is_over(role) || role_waits_for_restart(role);
}

RoleExit role_exit_lost(void) {
        return (RoleExit){
                .code = EXIT_CODE_LOST,
                .status = -1,
                .realtime_usec = now_usec(CLOCK_REALTIME),
                .monotonic_usec = now_usec(CLOCK_MONOTONIC),
        };
}

bool role_has_outlived_main(const Role *role) {
        return role->main_exited && role->spec->exit_type == EXIT_TYPE_CGROUP &&
               (role->state == ROLE_RUNNING || role->state == ROLE_STOPPING);
}

int role_check_running(const Role *role, Fault *fault) {
        if (role->state == ROLE_RUNNING || role->state == ROLE_STOPPING)
                return 0;
        return fault_set(fault, NODE_ERROR_ROLE_NOT_RUNNING, "Role \"%s\" is not running: it is %s",
                role->name, role_state_to_string(role->state));
}

bool role_is_frozen(Role *role) {
        bool populated, frozen = false;

        if (role->cgroup)
                (void) ASK(role->node, scope, cgroup_state, role, &populated, &frozen);
        return frozen;
}

int role_check_not_frozen(const Role *role, const char *what, const char *otherwise, Fault *fault) {
        g_autofree char *unit = ASK(role->node, scope, frozen_above, role);

        if (!unit)
                return 0;
        return fault_set(fault, NODE_ERROR_ROLE_FROZEN,
                "Role \"%s\" cannot be %s: %s, which is above its scope, is frozen; thaw it (systemctl %sthaw %s)%s",
                role->name, what, unit, role->node->user ? "--user " : "", unit, otherwise);
}

uid_t role_started_by(const Role *role) {
        return role->spec->account ? role->owner.uid : 0;
}

const char *role_user(const Role *role) {
        return role->spec->user ?: g_get_user_name();
}

bool role_uid(const Role *role, uid_t *ret) {
        uint64_t uid;

        if (role->spec->account)
                *ret = role->spec->account->uid;
        else if (!role->spec->user)
                *ret = getuid();
        else if (parse_u64(role->spec->user, &uid) >= 0 && uid < (uid_t) -1)
                *ret = (uid_t) uid;
        else
                return false;
        return true;
}

char *role_poll(const Role *role) {
        if (role->state != ROLE_ENDED)
                return g_strdup("running");

        switch (role->exit.code) {
        case EXIT_CODE_EXITED:
                return g_strdup_printf("exit %d", role->exit.status);
        case EXIT_CODE_KILLED:
        case EXIT_CODE_DUMPED:
                return g_strdup_printf("exit %d", -role->exit.status);
        default:
                return g_strdup("exit unknown");
        }
}

void role_log(const Role *role, int level, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        journal_role_v(role, NULL, level, NULL, format, ap);
        va_end(ap);
}

void role_log_errno(const Role *role, int level, int error, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        errno = -error;
        g_autofree char *text = g_strdup_vprintf(format, ap);
        va_end(ap);
        role_log(role, level, "%s", text);
}

int role_save(Role *role) {
        if (role->hook_of)
                return role_save(role->hook_of);

        int r = ASK(role->node, store, save, role);

        node_set_save_result(role->node, r);
        if (r < 0)
                role_log_errno(role, LOG_ERR, r, "Cannot save its state: %m");
        return r;
}

void role_set_state(Role *role, RoleState state) {
        if (role->state == state)
                return;

        const char *from = role_state_to_string(role->state), *to = role_state_to_string(state);
        g_assert(from && to);
        role_log(role, LOG_DEBUG, "%s -> %s", from, to);
        if (role->state != ROLE_ENDED && state == ROLE_ENDED)
                role->node->n_not_ended--;
        role->state = state;
        node_count_role(role->node, role);
        ASK(role->node, clients, role_changed, role);
        ASK(role->node, clients, node_changed);
}

static void waiters_add(GArray **waiters, const Waiter *more, unsigned n) {
        if (!*waiters)
                *waiters = g_array_new(false, false, sizeof(Waiter));
        g_array_append_vals(*waiters, more, n);
}

static void waiters_wake(GArray **waiters, const Fault *fault) {
        /* A waiter may request the next start or stop at once, which requires an empty list. */
        g_autoptr(GArray) woken = g_steal_pointer(waiters);

        for (unsigned i = 0; woken && i < woken->len; i++)
                waiter_wake(g_array_index(woken, Waiter, i), fault);
}

void role_wait_start(Role *role, Waiter waiter) {
        if (waiter.done)
                waiters_add(&role->start_waiters, &waiter, 1);
}

void role_wake_start_waiters(Role *role, const Fault *fault) {
        waiters_wake(&role->start_waiters, fault);
}

void role_wait_stop(Role *role, Waiter waiter) {
        if (waiter.done)
                waiters_add(&role->stop_waiters, &waiter, 1);
}

void role_move_stop_waiters(Role *role, Role *to) {
        g_autoptr(GArray) waiters = g_steal_pointer(&role->stop_waiters);

        if (waiters)
                waiters_add(&to->stop_waiters, (const Waiter *) waiters->data, waiters->len);
}

void role_wake_stop_waiters(Role *role, const Fault *fault) {
        waiters_wake(&role->stop_waiters, fault);
}

/* By a time, not by how long it is until then: sd_event_add_time_relative() counts from the beginning of this
 * turn of the loop, so after a long one a deadline would come too early by that much. */
void role_set_timer_at(Role *role, uint64_t deadline, sd_event_time_handler_t handler) {
        role->timer = sd_event_source_disable_unref(role->timer);
        if (deadline == USEC_INFINITY || !handler)
                return;

        int r = sd_event_add_time(
                role->node->event, &role->timer, CLOCK_MONOTONIC, deadline, 1, handler, role);
        if (r < 0)
                role_log_errno(role, LOG_ERR, r, "Cannot set a timer: %m");
}

void role_set_timer(Role *role, uint64_t usec, sd_event_time_handler_t handler) {
        role_set_timer_at(role, role_deadline_in(usec), handler);
}

uint64_t role_deadline_in(uint64_t usec) {
        return usec_add(now_usec(CLOCK_MONOTONIC), usec);
}

void role_reap(Role *role) {
        if (!role->child_exists)
                return;
        role->child_exists = false;
        ASK(role->node, link, reap, role);
}
