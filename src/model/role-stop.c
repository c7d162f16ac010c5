/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* This file leads from a running command to the last process. It has the stop and, after the end of the main
 * process (role-end.c), the stop of the remaining processes (the sweep). A role has ended when its main
 * process has ended. It is swept, and a stop is complete, when its cgroup is empty. With exit-type=cgroup it
 * runs on without its main process, and has ended when its cgroup is empty. */

#include <inttypes.h>
#include <signal.h>

#include "base/fd-util.h"
#include "base/time-util.h"
#include "model/input.h"
#include "model/role-end.h"
#include "model/role-log.h"
#include "model/message-ids.h"
#include "model/node-events.h"
#include "model/ports-roles.h"
#include "model/role-signal.h"
#include "model/role-start.h"
#include "model/role-stop.h"
#include "model/role-strays.h"
#include "util/log.h"

#define KILL_INTERVAL_USEC (250 * USEC_PER_MSEC)

static void role_emptied(Role *role);

static uint64_t usec_until(uint64_t deadline) {
        uint64_t now = now_usec(CLOCK_MONOTONIC);

        if (deadline == USEC_INFINITY)
                return USEC_INFINITY;
        return deadline > now ? deadline - now : 0;
}

static void role_set_stop_step(Role *role, StopStep step) {
        role->stop_step = step;
        node_count_role(role->node, role);
}

void role_set_stuck_fault(Role *role, Fault *fault) {
        g_autofree char *pids = ASK(role->node, scope, cgroup_pids, role);

        (void) fault_set(fault, NODE_ERROR_STOP_TIMED_OUT,
                "Role \"%s\" does not stop: %" PRIu64 " s after SIGKILL these processes are left: %s",
                role->name, ROLE_KILL_TIMEOUT_USEC / USEC_PER_SEC, pids);
        journal_role(role, MESSAGE_ROLE_STUCK, LOG_ERR, &role->cause_caller, "%s", fault->message);
}

static void role_stuck(Role *role) {
        g_auto(Fault) fault = {};

        role_set_stuck_fault(role, &fault);
        role_set_stop_step(role, STOP_STEP_STUCK);
        (void) role_save(role);
        role_wake_stop_waiters(role, &fault);
        role->node->reports->role_stuck(role->node, role, &fault);
}

void role_on_signal_lost(Role *role, int signo) {
        if (role->stop_step != STOP_STEP_ASKED)
                return;
        /* The main process has no parent any more that could signal it alone. */
        role->stop_asked_all = true;
        (void) role_save(role);
        role_signal_by_systemd(role, signo, SIGNAL_CONTINUE, (Waiter){});
        role_signal_strays(role, signo, SIGNAL_CONTINUE);
}

uint64_t role_kill_interval(StopStep step) {
        return step == STOP_STEP_STUCK ? ROLE_KILL_TIMEOUT_USEC : KILL_INTERVAL_USEC;
}

/* Returns whether the main process has ended and no other is left. Goes on with the role then. */
static bool role_check_emptied(Role *role) {
        bool awaited =
                (role->state == ROLE_ENDED && !role->swept && !role->end) || role_has_outlived_main(role);

        if (!awaited || role_is_populated(role))
                return false;
        role_emptied(role);
        return true;
}

static int role_on_kill_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        Role *role = userdata;

        /* The notification of the empty cgroup may have been lost. */
        if (role_check_emptied(role))
                return 0;
        if (role->stop_step == STOP_STEP_KILLED && usec_until(role->stop_deadline) == 0)
                role_stuck(role);
        /* What is left may be a process whose main thread has ended, which cgroup.kill does not end (Linux
         * 5.14 to 6.18 at least). */
        role_kill_all(role, SIGNAL_EACH);
        role_set_timer(role, role_kill_interval(role->stop_step), role_on_kill_timer);
        return 0;
}

static void role_kill(Role *role) {
        role_set_stop_step(role, STOP_STEP_KILLED);
        role->stop_deadline = role_deadline_in(ROLE_KILL_TIMEOUT_USEC);
        (void) role_save(role);
        role_kill_all(role, 0);
        role_set_timer(role, role_kill_interval(role->stop_step), role_on_kill_timer);
}

static int role_on_stop_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        Role *role = userdata;

        journal_role(role, MESSAGE_ROLE_KILLED, LOG_WARNING, &role->cause_caller,
                "Stop timeout expired, sending SIGKILL");
        role_kill(role);
        return 0;
}

/* Sends a signal for which no caller waits, to all or to the main process. */
static void role_send(Role *role, bool all, int signo, SignalFlags flags) {
        if (all) {
                role_signal_scope(role, signo, flags, (Waiter){});
                role_signal_strays(role, signo, flags);
                return;
        }
        ASK(role->node, link, signal, role, signo, (Waiter){});
        if (flags & SIGNAL_CONTINUE)
                ASK(role->node, link, signal, role, SIGCONT, (Waiter){});
}

/* Sends the stop signal, then SIGCONT, because a stopped process must receive it. A frozen scope must be
 * thawed first. This does not use StopUnit, and newer systemd refuses that for a frozen unit. */
static void role_ask(Role *role, int signo, bool all) {
        /* Only a parent can signal this process alone. An orphan has none (its keeper has died), and a keeper
         * that still lists its children accepts no request. */
        if (role->main_exited || !role->child_exists || !ASK(role->node, link, connected))
                all = true;
        role_set_stop_step(role, STOP_STEP_ASKED);
        role->stop_asked_all = all;
        role->stop_deadline = role_deadline_in(role->spec->stop_timeout_usec);
        (void) role_save(role);
        role_look_for_strays(role); /* it is known to be stopping, if this process dies now */

        if (role_is_frozen(role))
                ASK(role->node, scope, thaw, role);
        role_send(role, all, signo, SIGNAL_CONTINUE);
        /* Interactive shells ignore SIGTERM. They end when their terminal is gone, which this signal means.
         */
        if (role->spec->stdin_kind == ROLE_STDIN_PTY && signo != SIGHUP)
                role_send(role, all, SIGHUP, 0);
        role_set_timer(role, usec_until(role->stop_deadline), role_on_stop_timer);
}

static void role_log_asked(const Role *role, bool kill, RoleCause cause, const Caller *caller) {
        journal_role(role, kill ? MESSAGE_ROLE_KILLED : MESSAGE_ROLE_STOPPING, LOG_INFO, caller,
                "%s (cause: %s)", kill ? "Killing" : "Stopping", role_cause_to_string(cause));
}

void role_stop(Role *role, RoleCause cause, bool kill, const Caller *caller) {
        switch (role->state) {
        case ROLE_STARTING: {
                Role *predecessor = role->predecessor && !role->predecessor->swept ? role->predecessor : NULL;
                g_auto(Fault) fault = {};

                (void) fault_set(&fault, NODE_ERROR_START_CANCELLED,
                        "The start of role \"%s\" was cancelled by %s", role->name,
                        cause == ROLE_CAUSE_SHUTDOWN ? "the shutdown of the service"
                        : kill                       ? "Kill"
                                                     : "Stop");
                role_fail(role, &fault); /* may free the role */
                /* The remaining processes of the previous run have the name now, so the stop applies to
                 * them. */
                if (predecessor)
                        role_stop(predecessor, cause, kill, caller);
                return;
        }

        case ROLE_RUNNING:
                role->cause = cause;
                role->cause_known = true;
                caller_copy(&role->cause_caller, caller);
                role_set_state(role, ROLE_STOPPING);
                role_log_asked(role, kill, cause, caller);
                if (kill) {
                        role_kill(role);
                        input_refuse(role);
                } else {
                        role_ask(role, role->spec->stop_signal, role->spec->stop_to == STOP_TO_ALL);
                        input_end(role);
                }
                return;

        case ROLE_STOPPING:
                if (kill && role->stop_step != STOP_STEP_KILLED) {
                        role->cause = cause;
                        caller_copy(&role->cause_caller, caller);
                        role_log_asked(role, kill, cause, caller);
                        role_kill(role);
                } else if (role->stop_step == STOP_STEP_STUCK)
                        role_kill(role); /* tries again for the new caller */
                return;

        case ROLE_ENDED:
                if (!role->swept && role->stop_step != STOP_STEP_KILLED &&
                        (kill || role->stop_step == STOP_STEP_STUCK))
                        role_kill(role);
                return;

        default:
                g_assert_not_reached();
        }
}

bool role_is_populated(Role *role) {
        bool populated = false, frozen;

        role_prune_strays(role);
        int r = role->cgroup ? ASK(role->node, scope, cgroup_state, role, &populated, &frozen) : 0;
        if (r < 0) {
                role_log_errno(role, LOG_ERR, r, "Cannot read the state of its cgroup: %m");
                return true;
        }
        return populated;
}

void role_swept(Role *role) {
        role->swept = true;
        role_set_stop_step(role, STOP_STEP_NONE);
        role->stop_deadline = USEC_INFINITY;
        role_set_timer(role, USEC_INFINITY, NULL);
        g_clear_pointer(&role->cgroup, g_free);
        role_forget_strays(role);
        node_slice_release(role);
        ports_role_swept(role->node->ports, role);
        if (role_save(role) >= 0 || role->exit_logged)
                role_reap(role);
        ASK(role->node, clients, role_changed, role);
        role_wake_stop_waiters(role, NULL);
        role->node->reports->role_swept(role->node, role); /* may free the role */
}

bool role_await_empty(Role *role) {
        if (!role_is_populated(role))
                return false;
        /* Checked again after the watch is active, because it may have become empty in between. */
        int r = ASK(role->node, scope, cgroup_watch, role);
        if (r < 0)
                role_log_errno(role, LOG_ERR, r, "Cannot watch its cgroup: %m");
        return role_is_populated(role);
}

bool role_stop_left(Role *role) {
        if (role->stop_step > STOP_STEP_ASKED || role->stop_asked_all)
                return false;
        role_log(role, LOG_DEBUG, "Main process exited, stopping the remaining processes");
        role_ask(role, SIGTERM, true);
        return true;
}

void role_on_cgroup_changed(Role *role) {
        if (role->state == ROLE_STARTING) {
                if (role->failure.message)
                        role_undo(role);
                return;
        }
        (void) role_check_emptied(role);
}

/* No process is left. */
static void role_emptied(Role *role) {
        if (role->state == ROLE_ENDED)
                role_swept(role);
        else
                role_finish(role);
}

void role_resume_stop(Role *role) {
        uint64_t left = usec_until(role->stop_deadline);

        switch (role->stop_step) {
        case STOP_STEP_ASKED:
                role_set_timer(role, left, role_on_stop_timer);
                break;
        case STOP_STEP_KILLED:
        case STOP_STEP_STUCK:
                role_kill(role);
                break;
        default:
                break;
        }
        if (role->state == ROLE_ENDED && !role->swept) {
                if (role_await_empty(role))
                        (void) role_stop_left(role);
                else
                        role_swept(role);
        } else if (role_has_outlived_main(role))
                role_finish(role);
}
