/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* This file leads from a running command to the last process. It has the stop, the end of the main process,
 * and the stop of the remaining processes (the sweep). A role has ended when its main process has ended. It
 * is swept, and a stop is complete, when its cgroup is empty. With exit-type=cgroup it runs on without its
 * main process, and has ended when its cgroup is empty. */

#include <inttypes.h>
#include <signal.h>

#include "base/cgroup-util.h"
#include "base/fd-util.h"
#include "base/pidref.h"
#include "base/time-util.h"
#include "model/event-details.h"
#include "model/input.h"
#include "model/role-log.h"
#include "model/message-ids.h"
#include "model/node-events.h"
#include "model/ports-roles.h"
#include "model/role-start.h"
#include "model/role-stop.h"
#include "model/role-strays.h"
#include "util/log.h"

#define ROLE_LEFT_MAX 16 /* processes that RoleExited names */

#define KILL_INTERVAL_USEC (250 * USEC_PER_MSEC)

static bool role_is_populated(Role *role);
static void role_swept(Role *role);
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

/* The keeper sends all signals, because a stop must not wait for PID 1, and because PID 1 can signal neither
 * a cgroup that it did not make nor, without an error, one with threaded cgroups below it. systemd remains
 * the only way if there is no keeper, or one that was started before its upgrade (version 2 of the protocol).
 */
static void role_signal_by_systemd(Role *role, int signo, SignalFlags flags, Waiter waiter) {
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

void role_kill_all(Role *role, SignalFlags flags) {
        role_look_for_strays(role);
        if (role_signal_by_keeper(role, SIGKILL, flags, (Waiter){}) < 0)
                ASK(role->node, scope, freeze_and_kill, role);
        role_signal_strays(role, SIGKILL, flags);
}

/* Returns whether the main process has ended and no other is left. Goes on with the role then. */
static bool role_check_emptied(Role *role) {
        bool awaited = (role->state == ROLE_ENDED && !role->swept) || role_has_outlived_main(role);

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

/* A cgroup that cannot be read must not be treated as empty. */
static bool role_is_populated(Role *role) {
        bool populated = false, frozen;

        role_prune_strays(role);
        int r = role->cgroup ? ASK(role->node, scope, cgroup_state, role, &populated, &frozen) : 0;
        if (r < 0) {
                role_log_errno(role, LOG_ERR, r, "Cannot read the state of its cgroup: %m");
                return true;
        }
        return populated;
}

static void role_swept(Role *role) {
        role->swept = true;
        role_set_stop_step(role, STOP_STEP_NONE);
        role->stop_deadline = USEC_INFINITY;
        role_set_timer(role, USEC_INFINITY, NULL);
        g_clear_pointer(&role->cgroup, g_free);
        role_forget_strays(role);
        node_slice_release(role);
        ports_role_swept(role->node->ports, role);
        if (role_save(role) >= 0)
                role_reap(role); /* in case that this was not possible at its end */
        ASK(role->node, clients, role_changed, role);
        role_wake_stop_waiters(role, NULL);
        role->node->reports->role_swept(role->node, role); /* may free the role */
}

/* Returns whether a process is left. If so, role_on_cgroup_changed() follows when it has ended. */
static bool role_await_empty(Role *role) {
        if (!role_is_populated(role))
                return false;
        /* Checked again after the watch is active, because it may have become empty in between. */
        int r = ASK(role->node, scope, cgroup_watch, role);
        if (r < 0)
                role_log_errno(role, LOG_ERR, r, "Cannot watch its cgroup: %m");
        return role_is_populated(role);
}

static void role_sweep(Role *role) {
        if (!role_await_empty(role))
                role_swept(role);
        else if (role->stop_step == STOP_STEP_NONE ||
                 (role->stop_step == STOP_STEP_ASKED && !role->stop_asked_all)) {
                role_log(role, LOG_DEBUG, "Main process exited, stopping the remaining processes");
                role_ask(role, SIGTERM, true);
        }
}

void role_on_cgroup_changed(Role *role) {
        if (role->state == ROLE_STARTING) {
                if (role->failure.message)
                        role_undo(role);
                return;
        }
        (void) role_check_emptied(role);
}

/* No caller has requested the end. A process can send itself some signals; the others come from another
 * process. */
static RoleCause role_cause_of_signal(int signo) {
        switch (signo) {
        case SIGSEGV:
        case SIGBUS:
        case SIGILL:
        case SIGFPE:
        case SIGTRAP:
        case SIGABRT:
        case SIGSYS:
        case SIGPIPE:
        case SIGALRM:
        case SIGVTALRM:
        case SIGPROF:
        case SIGXCPU:
        case SIGXFSZ:
                return ROLE_CAUSE_SELF;
        default:
                return ROLE_CAUSE_EXTERNAL;
        }
}

static bool role_was_killed(const Role *role) {
        return role->exit.code == EXIT_CODE_KILLED && role->exit.status == SIGKILL;
}

static void role_find_cause(Role *role) {
        bool by_signal = role->exit.code == EXIT_CODE_KILLED || role->exit.code == EXIT_CODE_DUMPED;

        if (role->cause_known)
                return;
        role->cause_known = true;
        if (by_signal && role->exit.status == role->last_signal) {
                role->cause = ROLE_CAUSE_KILL;
                caller_copy(&role->cause_caller, &role->last_signal_caller);
        } else if (role->exit.oom && role_was_killed(role))
                role->cause = ROLE_CAUSE_OOM;
        else
                role->cause = by_signal                           ? role_cause_of_signal(role->exit.status)
                              : role->exit.code == EXIT_CODE_LOST ? ROLE_CAUSE_EXTERNAL
                                                                  : ROLE_CAUSE_SELF;
}

/* An ordinary end costs nothing more. A role with a limit may lose a child to it and succeed nevertheless. */
static bool role_needs_oom_kills(const Role *role) {
        return role->spec->memory_max > 0 ||
               (!role->cause_known && !(role->exit.code == EXIT_CODE_EXITED && role->exit.status == 0));
}

void role_read_figures(Role *role) {
        unsigned long long value;
        unsigned n;

        if (!role->cgroup || role->exited_sequence > 0)
                return;
        if (role_needs_oom_kills(role) && ASK(role->node, scope, oom_kills, role, &n) >= 0) {
                role->exit.oom_known = true;
                role->exit.oom = role->exit.oom || n > 0; /* read again when exit-type=cgroup ends */
        }
        if (cgroup_read_u64(role->cgroup, "cpu.stat", "usage_usec", &value) >= 0)
                role->exit.scope_cpu_usec = value;
        if (cgroup_read_u64(role->cgroup, "memory.peak", NULL, &value) >= 0)
                role->exit.scope_memory_peak = value;
}

static void role_list_left_in(const Role *role, const char *cgroup, GVariantBuilder *b, unsigned *n_left) {
        pid_t pids[ROLE_LEFT_MAX];

        int n = cgroup_pids(cgroup, pids, ELEMENTSOF(pids));
        for (int i = 0; i < MIN(n, (int) ELEMENTSOF(pids)) && *n_left < ROLE_LEFT_MAX; i++) {
                char name[PROC_NAME_SIZE];

                if (pids[i] == role->main_pid || proc_name_read(pids[i], name) < 0)
                        continue;
                g_variant_builder_add(b, "(us)", (uint32_t) pids[i], name);
                (*n_left)++;
        }
}

/* Lists the processes that the main process has left, in the form of the detail "left". Returns NULL if there
 * are none. */
static GVariant *role_list_left(Role *role) {
        GVariantBuilder b;
        unsigned n_left = 0;

        if (!role->cgroup || !role_is_populated(role))
                return NULL;
        g_variant_builder_init(&b, G_VARIANT_TYPE("a(us)"));
        role_list_left_in(role, role->cgroup, &b, &n_left);
        for (char **s = role->strays; s && *s; s++)
                role_list_left_in(role, *s, &b, &n_left);
        GVariant *left = g_variant_ref_sink(g_variant_builder_end(&b));
        if (n_left == 0)
                g_clear_pointer(&left, g_variant_unref);
        return left;
}

static void role_close_input(Role *role, const Fault *reason) {
        role->input = input_free(role->input, reason);
        role->stdin_fd = fd_close(role->stdin_fd);
        role->terminal_fd = fd_close(role->terminal_fd);
}

static void role_ended(Role *role) {
        g_autoptr(GVariant) left = NULL;
        g_auto(Event) event = {};
        g_auto(Fault) fault = {};
        bool saved = true;

        /* Those that a stop has not ended yet are no surprise. */
        if (!role->cause_known && role->exited_sequence == 0)
                left = role_list_left(role);
        role_find_cause(role);

        (void) fault_set(&fault, NODE_ERROR_ROLE_NOT_RUNNING, "Role \"%s\" has ended", role->name);
        role_close_input(role, &fault);
        role->main_pidfd = fd_close(role->main_pidfd);

        /* The record must be in the log before a client receives it, and sent before the kernel forgets the
         * child. */
        if (role->exited_sequence == 0) {
                saved = node_event_add(
                        role->node, EVENT_ROLE_EXITED, role, event_details_exited(role, left), &event);
                role->exited_sequence = event.sequence;
        }
        role_set_state(role, ROLE_ENDED);
        saved = role_save(role) >= 0 || saved;
        node_event_tell(role->node, &event, role);
        ASK(role->node, scope, ended, role);
        journal_role_exited(role);
        if (left)
                journal_role_left(role, left);
        if (saved && !role_has_strays(role))
                role_reap(role);

        role_sweep(role);
}

/* Its main process has ended and others have not. The keeper is not asked to reap it: it still holds the
 * standard input, which these others may read. */
static void role_run_on(Role *role) {
        g_auto(Fault) fault = {};

        if (role->main_pid > 0) {
                role_remember_left(role);
                role->main_pid = 0;
                role->main_pidfd = fd_close(role->main_pidfd);
                role_log(role, LOG_INFO,
                        "Main process exited, code=%s, status=%d; the role runs until its last process has ended",
                        exit_code_to_string(role->exit.code), role->exit.status);
                (void) role_save(role);
                ASK(role->node, clients, role_changed, role);
        }
        /* The kernel hangs a terminal up when the leader of its session ends. */
        if (role->spec->stdin_kind == ROLE_STDIN_PTY) {
                (void) fault_set(&fault, NODE_ERROR_NO_INPUT,
                        "The terminal of role \"%s\" has ended with its main process", role->name);
                role_close_input(role, &fault);
        }
        if (role->state == ROLE_STOPPING && role->stop_step == STOP_STEP_ASKED && !role->stop_asked_all)
                role_ask(role, SIGTERM, true);
}

void role_finish(Role *role) {
        g_assert(role->main_exited);

        /* A zombie still says where it has died, and it is not reaped before this. */
        role_look_for_strays(role);
        /* With an exit that is in the log already, the previous process has seen its cgroup empty. */
        if (role->spec->exit_type == EXIT_TYPE_CGROUP && role->exited_sequence == 0 &&
                role_await_empty(role)) {
                role_run_on(role);
                return;
        }
        if (role->finishing)
                return; /* its cgroup has changed once more */
        role->finishing = true;
        if (role->spec->exit_type == EXIT_TYPE_CGROUP)
                role_read_figures(role);

        /* The process exits by itself, or because systemd stops its scope. A process that dies of the signal
         * shows that; one that handles it does not. */
        if (!role->cause_known && role->exit.code == EXIT_CODE_EXITED &&
                ASK(role->node, scope, query_stop, role) >= 0)
                return;
        role_ended(role);
}

void role_on_external_stop(Role *role) {
        if (role->cause_known || role->state == ROLE_STARTING || role->state == ROLE_ENDED)
                return;
        role_log(role, LOG_INFO, "Another process is stopping its scope");
        role->cause_known = true;
        role->cause = ROLE_CAUSE_EXTERNAL;
        (void) role_save(role);
}

void role_on_stop_known(Role *role) {
        if (role->state != ROLE_ENDED)
                role_ended(role);
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
        if (role->state == ROLE_ENDED && !role->swept)
                role_sweep(role);
        else if (role_has_outlived_main(role))
                role_finish(role);
}
