/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* This file leads from a running command to the last process. It has the stop and, after the end of the main
 * process (role-end.c), the stop of the remaining processes (the sweep). A role has ended when its main
 * process has ended. It is swept, and a stop is complete, when its cgroup is empty. With exit-type=cgroup it
 * runs on without its main process, and has ended when its cgroup is empty. */

#include <inttypes.h>
#include <signal.h>

#include "base/cgroup-util.h"
#include "base/fd-util.h"
#include "base/time-util.h"
#include "model/input.h"
#include "model/role-deadline.h"
#include "model/role-end.h"
#include "model/role-freezer.h"
#include "model/role-hooks.h"
#include "model/role-log.h"
#include "model/role-main-pid.h"
#include "model/role-restart.h"
#include "model/message-ids.h"
#include "model/node-events.h"
#include "model/ports-roles.h"
#include "model/role-dependencies.h"
#include "model/role-ready.h"
#include "model/role-signal.h"
#include "model/role-start.h"
#include "model/role-stop.h"
#include "model/role-strays.h"
#include "model/settings.h"
#include "util/log.h"

static void role_emptied(Role *role);

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

void role_is_stuck_by(Role *role, Role *where) {
        g_auto(Fault) fault = {};

        role_set_stuck_fault(where, &fault);
        role_set_stop_step(role, STOP_STEP_STUCK);
        (void) role_save(role);
        if (role->failure.message)
                role_answer_start(role, &fault);
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
        return step == STOP_STEP_STUCK ? ROLE_KILL_TIMEOUT_USEC : ROLE_KILL_INTERVAL_USEC;
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
                role_is_stuck_by(role, role);
        /* What is left may be a process whose main thread has ended, which cgroup.kill does not end (Linux
         * 5.14 to 6.18 at least). */
        role_kill_all(role, SIGNAL_EACH);
        role_set_timer(role, role_kill_interval(role->stop_step), role_on_kill_timer);
        return 0;
}

/* Returns whether systemd may still freeze it. */
static bool role_cancel_freezer(Role *role) {
        g_auto(Fault) fault = {};

        (void) fault_set(&fault, NODE_ERROR_ROLE_NOT_RUNNING, "Role \"%s\" %s", role->name,
                role->state == ROLE_ENDED ? "has ended" : "is being stopped");
        return role_freezer_cancel(role, &fault);
}

static void role_kill(Role *role) {
        (void) role_cancel_freezer(role); /* what is frozen can be killed */
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
        role_hooks_kill(role);
        return 0;
}

/* Sends a signal for which no caller waits, to all or to the main process. */
static void role_send(Role *role, bool all, int signo, SignalFlags flags) {
        if (all) {
                role_signal_scope(role, signo, flags, (Waiter){});
                role_signal_strays(role, signo, flags);
                return;
        }
        if (!role_signal_main_pid(role, signo, (Waiter){}))
                ASK(role->node, link, signal, role, signo, (Waiter){});
        if (flags & SIGNAL_CONTINUE && !role_signal_main_pid(role, SIGCONT, (Waiter){}))
                ASK(role->node, link, signal, role, SIGCONT, (Waiter){});
}

/* It may be frozen in part only, or systemd may still have the request of a Freeze. */
static void role_thaw(Role *role) {
        if (role_cancel_freezer(role) || role_is_frozen(role) ||
                (role->cgroup && cgroup_is_freezing(role->cgroup)))
                (void) ASK(role->node, scope, freeze, role, false, (Waiter){});
}

/* The commands of exec-stop run before the stop signal, within its time. As for systemd they are not run for
 * a start that was not successful, or after a missed deadline. */
static bool role_ask_by_command(Role *role) {
        if (!role->spec->exec_stop || role->unready || role->cause == ROLE_CAUSE_TIMEOUT ||
                role->cause == ROLE_CAUSE_WATCHDOG)
                return false;
        role_set_stop_step(role, STOP_STEP_COMMAND);
        role->stop_began = now_usec(CLOCK_MONOTONIC);
        role->stop_deadline = usec_add(role->stop_began, role->spec->stop_timeout_usec);
        role_thaw(role);
        role_set_timer_at(role, role->stop_deadline, role_on_stop_timer);
        return role_hooks_begin_stop(role); /* which saves it */
}

/* Sends the stop signal, then SIGCONT, because a stopped process must receive it. A frozen scope must be
 * thawed first. This does not use StopUnit, and newer systemd refuses that for a frozen unit. */
static void role_ask(Role *role, int signo, bool all) {
        /* Only a parent can signal this process alone. An orphan has none (its keeper has died), and a keeper
         * that still lists its children accepts no request. */
        if ((role->main_exited && role->named_main.pid == 0) || !role->child_exists ||
                !ASK(role->node, link, connected))
                all = true;
        bool began = role->stop_step == STOP_STEP_COMMAND;
        role_set_stop_step(role, STOP_STEP_ASKED);
        role->stop_asked_all = all;
        if (!began) {
                role->stop_began = now_usec(CLOCK_MONOTONIC);
                role->stop_deadline = usec_add(role->stop_began, role->spec->stop_timeout_usec);
        }
        (void) role_save(role);
        role_look_for_strays(role); /* it is known to be stopping, if this process dies now */

        role_thaw(role);
        role_send(role, all, signo, SIGNAL_CONTINUE);
        /* Interactive shells ignore SIGTERM. They end when their terminal is gone, which this signal means.
         * The signal of a watchdog is to leave a core of the main process, which this one could end first. */
        bool watchdog = role->cause_known && role->cause == ROLE_CAUSE_WATCHDOG && !role->main_exited;
        if (role->spec->stdin_kind == ROLE_STDIN_PTY && signo != SIGHUP && !watchdog)
                role_send(role, all, SIGHUP, 0);
        role_set_timer_at(role, role->stop_deadline, role_on_stop_timer);
}

void role_extend_stop(Role *role, uint64_t deadline) {
        /* The end of the service waits for it, so it gets no more than its user may set as stop-timeout-usec.
         */
        if (role->spec->account)
                deadline = MIN(deadline,
                        usec_add(role->stop_began, role->node->settings->default_stop_timeout_usec));
        if ((role->stop_step != STOP_STEP_ASKED && role->stop_step != STOP_STEP_COMMAND) ||
                deadline == USEC_INFINITY || deadline <= role->stop_deadline)
                return;
        role->stop_deadline = deadline;
        role_set_timer_at(role, role->stop_deadline, role_on_stop_timer);
        if (role->node->stopping)
                ASK(role->node, service, stop_extended, deadline);
}

static void role_log_asked(const Role *role, bool kill, RoleCause cause, const Caller *caller) {
        journal_role(role, kill ? MESSAGE_ROLE_KILLED : MESSAGE_ROLE_STOPPING, LOG_INFO, caller,
                "%s (cause: %s)", kill ? "Killing" : "Stopping", role_cause_to_string(cause));
}

static void role_set_cancelled(const Role *role, RoleCause cause, bool kill, Fault *fault) {
        if (cause == ROLE_CAUSE_DEPENDENCY) {
                (void) fault_set(fault, NODE_ERROR_DEPENDENCY_FAILED,
                        "The start of role \"%s\" was cancelled, because a role that it depends on was stopped or has ended",
                        role->name);
                return;
        }
        (void) fault_set(fault, NODE_ERROR_START_CANCELLED, "The start of role \"%s\" was cancelled by %s",
                role->name,
                cause == ROLE_CAUSE_SHUTDOWN  ? "the shutdown of the service"
                : cause == ROLE_CAUSE_MONITOR ? "the monitor, because no beat arrived"
                : kill                        ? "Kill"
                                              : "Stop");
}

/* Nobody waits for what is after it any more. */
static void role_begin_stop(Role *role) {
        /* Its time has not begun before. */
        if (role->stop_step == STOP_STEP_WAITING && role->node->stopping &&
                role->spec->stop_timeout_usec != USEC_INFINITY)
                ASK(role->node, service, stop_extended, role_deadline_in(role->spec->stop_timeout_usec));
        if (role_ask_by_command(role)) /* which may be the end of the role already */
                return;
        role_ask(role, role->spec->stop_signal, role->spec->stop_to == STOP_TO_ALL);
        input_end(role);
}

void role_check_waiting_stop(Role *role) {
        if (role->state == ROLE_STOPPING && role->stop_step == STOP_STEP_WAITING &&
                !role_is_needed_longer(role))
                role_begin_stop(role);
}

void role_follow(Role *role, const char *name) {
        if (g_strcmp0(role->follows, name) == 0)
                return;
        g_free(role->follows);
        role->follows = g_strdup(name);
        if (role->state == ROLE_STOPPING || role->state == ROLE_ENDED)
                (void) role_save(role);
}

/* The name is stopped, so neither this start nor the run before it is followed by another one, also if the
 * start has failed already and is being undone. */
static void role_stop_restarts(Role *role) {
        Role *predecessor = role->predecessor;

        role->stop_requested = true;
        if (predecessor && predecessor->spec->restart != RESTART_NO && !predecessor->stop_requested)
                role_restart_cancelled(predecessor);
}

/* Nothing but its commands of exec-stop-post is left. They may end, unless it is killed. Returns false if
 * that is not so; may free the role. */
static bool role_stop_post(Role *role, RoleCause cause, bool kill, const Caller *caller) {
        if (!role->hook || role->hook->hook_kind != HOOK_STOP_POST)
                return false;
        if (kill)
                role_log_asked(role, kill, cause, caller);
        if (kill || role->hook->stop_step == STOP_STEP_STUCK)
                role_hooks_kill(role);
        return true;
}

void role_stop(Role *role, RoleCause cause, bool kill, const Caller *caller) {
        switch (role->state) {
        case ROLE_STARTING: {
                Role *predecessor = role->predecessor && !role->predecessor->swept ? role->predecessor : NULL;
                g_auto(Fault) fault = {};

                role_set_cancelled(role, cause, kill, &fault);
                role_stop_restarts(role);
                if (role_stop_post(role, cause, kill, caller))
                        return;
                role_fail(role, &fault); /* may free the role */
                /* The remaining processes of the previous run have the name now, so the stop applies to
                 * them. */
                if (predecessor)
                        role_stop(predecessor, cause, kill, caller);
                return;
        }

        case ROLE_RUNNING: {
                g_auto(Fault) fault = {};

                if (role->unready) {
                        role_set_cancelled(role, cause, kill, &fault);
                        role_set_start_failure(role, &fault); /* unless its timeout is the reason */
                }
                role->cause = cause;
                role->cause_known = true;
                /* A missed deadline is a failure of the role, which its policy may follow. */
                role->stop_requested = cause != ROLE_CAUSE_TIMEOUT && cause != ROLE_CAUSE_WATCHDOG;
                caller_copy(&role->cause_caller, caller);
                role_set_state(role, ROLE_STOPPING);
                role_log_asked(role, kill, cause, caller);
                if (kill) {
                        role_kill(role);
                        input_refuse(role);
                } else if (cause == ROLE_CAUSE_WATCHDOG) {
                        role_ask(role, role->spec->watchdog_signal, false);
                        input_end(role);
                } else if (role->stop_requested && role_is_needed_longer(role)) {
                        role_set_stop_step(role, STOP_STEP_WAITING);
                        (void) role_save(role);
                } else
                        role_begin_stop(role);
                return;
        }

        case ROLE_STOPPING:
                if (!role->stop_requested) { /* until now only its deadline was missed */
                        role->stop_requested = true;
                        (void) role_save(role);
                }
                if (kill && role->stop_step != STOP_STEP_KILLED) {
                        role->cause = cause;
                        caller_copy(&role->cause_caller, caller);
                        role_log_asked(role, kill, cause, caller);
                        role_kill(role);
                        role_hooks_kill(role);
                } else if (role->stop_step == STOP_STEP_STUCK)
                        role_kill(role); /* tries again for the new caller */
                return;

        case ROLE_ENDED:
                if (role_cancel_restart(role, cause, caller))
                        return;
                if (!role->swept && !role->stop_requested && role->spec->restart != RESTART_NO) {
                        role->stop_requested = true;
                        (void) role_save(role);
                }
                if (!role->swept && role_stop_post(role, cause, kill, caller))
                        return;
                if (!role->swept && role->stop_step != STOP_STEP_KILLED &&
                        (kill || role->stop_step == STOP_STEP_STUCK)) {
                        role_kill(role);
                        role_hooks_kill(role);
                }
                return;

        default:
                g_assert_not_reached();
        }
}

bool role_is_populated(Role *role) {
        bool populated = false, frozen;

        /* They count as its process from their beginning, also before they have one. */
        if (role->hook && role->hook->hook_kind == HOOK_STOP)
                return true;
        role_prune_strays(role);
        int r = role->cgroup ? ASK(role->node, scope, cgroup_state, role, &populated, &frozen) : 0;
        if (r < 0) {
                role_log_errno(role, LOG_ERR, r, "Cannot read the state of its cgroup: %m");
                return true;
        }
        return populated;
}

void role_swept(Role *role) {
        g_auto(Event) event = {};

        role_set_stop_step(role, STOP_STEP_NONE);
        role->stop_deadline = USEC_INFINITY;
        role_set_timer(role, USEC_INFINITY, NULL);
        g_clear_pointer(&role->cgroup, g_free);
        role_forget_strays(role);
        node_slice_release(role);
        ports_role_swept(role->node->ports, role);
        if (role_hooks_begin_post(role))
                return; /* the role is over when they are, by NodeReports.hooks_over() */
        role->swept = true;
        node_count_role(role->node, role);
        if (!role->successor)
                role_decide_next_run(role, &event);
        if (role_save(role) >= 0 || role->exit_logged)
                role_reap(role);
        node_event_tell(role->node, &event, role);
        ASK(role->node, clients, role_changed, role);
        role_answer_start(role, NULL);
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
        /* One that waits (STOP_STEP_WAITING) is asked when it need not wait any longer. */
        if (role->stop_step > STOP_STEP_ASKED || role->stop_asked_all ||
                (role->state == ROLE_STOPPING && role->stop_step == STOP_STEP_WAITING) ||
                (role->hook && role->hook->hook_kind == HOOK_STOP)) /* then role_stop_commands_over() */
                return false;
        role_log(role, LOG_DEBUG, "Main process exited, stopping the remaining processes");
        role_ask(role, SIGTERM, true);
        return true;
}

void role_stop_commands_over(Role *role) {
        if (role_check_emptied(role))
                return;
        if (role->stop_step != STOP_STEP_COMMAND)
                return; /* it is being killed */
        if (role->state == ROLE_ENDED || role_has_outlived_main(role)) {
                (void) role_stop_left(role);
                return;
        }
        role_ask(role, role->spec->stop_signal, role->spec->stop_to == STOP_TO_ALL);
        input_end(role);
}

void role_on_cgroup_changed(Role *role) {
        if (role->hook_of) {
                role_hook_on_cgroup_changed(role);
                return;
        }
        if (role->state == ROLE_STARTING) {
                if (role->failure.message)
                        role_undo(role);
                return;
        }
        if (role_check_emptied(role))
                return;
        role_watch_freezer(role);
        /* What has not changed is not announced. */
        if (role->state == ROLE_RUNNING || role->state == ROLE_STOPPING)
                ASK(role->node, clients, role_changed, role);
}

/* No process is left. */
static void role_emptied(Role *role) {
        if (role->state == ROLE_ENDED)
                role_swept(role);
        else
                role_finish(role);
}

void role_resume_stop(Role *role) {
        if (role->hook && role->hook->hook_kind == HOOK_STOP_POST)
                return; /* role_hooks_resume() */
        switch (role->stop_step) {
        case STOP_STEP_WAITING:
                role_check_waiting_stop(role);
                break;
        case STOP_STEP_COMMAND:
        case STOP_STEP_ASKED:
                role_set_timer_at(role, role->stop_deadline, role_on_stop_timer);
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
