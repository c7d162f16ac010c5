/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The way from Start to a running command, and back if any step fails. Each step is a request to the world,
 * and the role_on_...() that answers it. role_undo() undoes a start that fails or is cancelled. It waits
 * until child, processes and unit are gone before the caller receives the error. */

#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "base/fd-util.h"
#include "base/pidref.h"
#include "base/time-util.h"
#include "model/event-details.h"
#include "model/input.h"
#include "model/role-end.h"
#include "model/role-hooks.h"
#include "model/role-log.h"
#include "model/message-ids.h"
#include "model/node-events.h"
#include "model/outputs.h"
#include "model/ports-roles.h"
#include "model/products.h"
#include "model/role-restart.h"
#include "model/role-deadline.h"
#include "model/role-ready.h"
#include "model/role-signal.h"
#include "model/role-start.h"
#include "model/role-stop.h"
#include "model/settings.h"
#include "util/log.h"

/* How long the child may take from its launch request to the exec. It ends a product set-up and the commands
 * of exec-start-pre first by itself, because it knows what they have said and how they have ended. */
static uint64_t role_open_timeout(const Role *role) {
        const uint64_t usec =
                usec_add(role->node->settings->setup_timeout_usec, role_start_pre_timeout(role->spec));

        return products_wanted(role->spec) || role->spec->exec_start_pre
                       ? usec_add(usec, ROLE_PRODUCT_GRACE_USEC)
                       : usec;
}

static int role_on_setup_timeout(sd_event_source *s, uint64_t usec, void *userdata) {
        Role *role = userdata;
        g_auto(Fault) fault = {};

        /* A slow system is no failure while the queue advances. A keeper that does not answer and a set-up
         * that hangs are. */
        if (role->phase == ROLE_PHASE_FORK)
                (void) fault_set(&fault, NODE_ERROR_KEEPER_UNAVAILABLE,
                        "Role \"%s\": the keeper did not answer within %" PRIu64 " s", role->name,
                        role->node->settings->setup_timeout_usec / USEC_PER_SEC);
        else if (role->phase == ROLE_PHASE_OPEN)
                (void) fault_set(&fault, NODE_ERROR_SETUP_FAILED,
                        "Role \"%s\": its set-up did not reach the command within %" PRIu64 " s", role->name,
                        usec_add(role->node->settings->setup_timeout_usec,
                                role_start_pre_timeout(role->spec)) /
                                USEC_PER_SEC);
        role_set_timer(role, USEC_INFINITY, NULL);
        if (fault.message)
                role_fail(role, &fault);
        return 0;
}

int role_save_start(Role *role, Fault *fault) {
        int r = ASK(role->node, store, save, role);

        node_set_save_result(role->node, r);
        return r < 0 ? fault_set(fault, NODE_ERROR_IO_ERROR,
                               "Role \"%s\" cannot be started: its state cannot be saved: %s", role->name,
                               g_strerror(-r))
                     : 0;
}

void role_start(Role *role) {
        g_assert(role->state == ROLE_STARTING);

        start_times_add(&role->start_times, START_STEP_QUEUE, now_usec(CLOCK_MONOTONIC));
        if (role->predecessor && !role->predecessor->swept) {
                /* node-reports.c queues it again, or fails it if a process survives SIGKILL. Meanwhile it
                 * does not occupy a slot. */
                role->phase = ROLE_PHASE_SWEEP;
                role->node->n_starts--;
                if (role->predecessor->stop_step == STOP_STEP_STUCK)
                        role_stop(role->predecessor, ROLE_CAUSE_STOP, false, &role->owner); /* again */
                return;
        }

        g_auto(Fault) ports_fault = {};
        if (ports_check_reserved(role->node->ports, role, &ports_fault) < 0) {
                g_auto(Fault) fault = {};

                /* They were reserved when the start was requested. */
                (void) fault_set(&fault, ports_fault.error, "Role \"%s\": %s any more", role->name,
                        ports_fault.message);
                role->phase = ROLE_PHASE_FORK; /* it occupies a slot */
                role->child = 0;
                role_fail(role, &fault);
                return;
        }

        role->phase = ROLE_PHASE_FORK;
        role_set_timer(role, role->node->settings->setup_timeout_usec, role_on_setup_timeout);

        g_auto(Fault) fault = {};
        int r = 0;
        /* Its number is saved since the start was requested, unless a keeper has died with that child. */
        if (role->child == 0) {
                role->child = role->node->next_child++;
                r = role_save_start(role, &fault);
        }
        if (r >= 0) {
                r = ASK(role->node, link, fork, role);
                /* Its keeper has just died, and the connection will report that next. Nothing was created: as
                 * for a request that was lost with the keeper, the start waits for its turn with the next
                 * keeper. */
                if (r == -ENOTCONN)
                        return;
                if (r == -EPROTONOSUPPORT)
                        (void) fault_set(&fault, NODE_ERROR_NOT_SUPPORTED,
                                "Role \"%s\" cannot be started: the keeper that runs is too old for type notify, notify-access, watchdog-usec, exec-start-pre, exec-stop, exec-stop-post and output-timestamps; reload its service, then restart this one",
                                role->name);
                else if (r == -EMFILE)
                        (void) fault_set(&fault, NODE_ERROR_LIMIT_REACHED,
                                "Role \"%s\" cannot be started: the service has too many files open",
                                role->name);
                else if (r < 0)
                        (void) fault_set(&fault, NODE_ERROR_KEEPER_UNAVAILABLE,
                                "Role \"%s\" cannot be started: %s", role->name, g_strerror(-r));
        }
        if (r < 0) {
                role->child = 0;
                role_fail(role, &fault);
        }
}

void role_on_forked(
        Role *role, int error, pid_t pid, uint64_t start_time, int pidfd, int gate_fd, int stdin_fd) {
        if (error < 0 && role->hook_of) {
                role_hook_on_forked(role, error);
                return;
        }
        if (error < 0) {
                g_auto(Fault) fault = {};
                if (error == -EADDRNOTAVAIL && role_spec_has_ports(role->spec))
                        (void) fault_set(&fault, NODE_ERROR_PORTS_UNAVAILABLE,
                                "Role \"%s\" cannot be started: the keeper has lost one of its ports",
                                role->name);
                if (error == -EADDRINUSE && role_spec_has_ports(role->spec)) {
                        (void) fault_set(&fault, NODE_ERROR_PORTS_UNAVAILABLE,
                                "Role \"%s\" cannot be started: a process has kept a socket or a connection of one of its ports, reserve another",
                                role->name);
                        ports_role_refused(role->node->ports, role);
                }
                (void) fault_set(&fault, NODE_ERROR_SETUP_FAILED, "Role \"%s\": cannot fork%s: %s",
                        role->name, role->spec->stdin_kind == ROLE_STDIN_PTY ? ", or make a terminal" : "",
                        g_strerror(-error));
                role->child = 0;
                role_fail(role, &fault);
                return;
        }

        role->child_exists = true;
        role->main_pid = pid;
        role->main_start_time = start_time;
        role->main_pidfd = pidfd;
        role->gate_fd = gate_fd;
        role->stdin_fd = stdin_fd;

        if (role->hook_of) {
                role_hook_on_forked(role, 0);
                return;
        }
        if (role->failure.message) { /* cancelled meanwhile */
                role_undo_kill(role);
                return;
        }

        role->phase = ROLE_PHASE_SCOPE;
        start_times_add(&role->start_times, START_STEP_FORK, now_usec(CLOCK_MONOTONIC));
        node_slice_take(role);
        g_auto(Fault) frozen_fault = {};
        if (role_check_not_frozen(role, "started", "", &frozen_fault) < 0) {
                role_fail(role, &frozen_fault);
                return;
        }
        role->scope_pending = true;

        int r = ASK(role->node, scope, start, role);
        if (r < 0) {
                g_auto(Fault) fault = {};
                (void) fault_set(&fault, NODE_ERROR_SCOPE_FAILED,
                        "Role \"%s\": cannot ask systemd for a scope: %s", role->name, g_strerror(-r));
                role->scope_pending = false;
                role_fail(role, &fault);
        }
}

void role_resume_setup(Role *role) {
        g_assert(role->state == ROLE_STARTING && role->phase == ROLE_PHASE_OPEN);

        if (!role->timer)
                role_set_timer(role, role_open_timeout(role), role_on_setup_timeout);
}

void role_on_scope(Role *role, const Fault *fault, const char *cgroup) {
        g_assert(role->scope_pending);
        if (role->hook_of) {
                role_hook_on_scope(role, fault, cgroup);
                return;
        }
        role->scope_pending = false;
        /* Even if the call failed a part of the scope may exist and must be removed. */
        role->scope_exists = true;

        if (fault) {
                role_fail(role, fault);
                return;
        }

        g_free(role->cgroup);
        role->cgroup = g_strdup(cgroup);
        if (role->failure.message) {
                role_undo(role);
                return;
        }

        /* From here on the command may run, and the next process must know that. */
        role->phase = ROLE_PHASE_OPEN;
        start_times_add(&role->start_times, START_STEP_SCOPE, now_usec(CLOCK_MONOTONIC));
        role_set_timer(role, role_open_timeout(role), role_on_setup_timeout);
        ASK(role->node, clients, role_changed, role); /* its process and its cgroup */
        g_auto(Fault) open_fault = {};
        int r = role_save_start(role, &open_fault);
        if (r >= 0) {
                r = ASK(role->node, link, launch, role);
                if (r < 0)
                        (void) fault_set(&open_fault, NODE_ERROR_SETUP_FAILED,
                                "Role \"%s\": cannot send its launch request: %s", role->name,
                                g_strerror(-r));
        }
        if (r < 0)
                role_fail(role, &open_fault);
}

void role_on_products(Role *role, char *const *products, char *const *changes) {
        if (role->state != ROLE_STARTING || role->failure.message)
                return;

        g_strfreev(role->resolved_products);
        if (!products_resolved(products, &role->resolved_products))
                role_log(role, LOG_NOTICE, "It has more products than are recorded");
        g_free(role->environment_hash);
        role->environment_hash = products_environment_hash(role->spec, changes);
        (void) role_save(role);
        ASK(role->node, clients, role_changed, role);
}

void role_on_setup_times(Role *role, uint64_t products_usec, uint64_t hooks_usec) {
        const uint64_t now = now_usec(CLOCK_MONOTONIC);

        if (role->state != ROLE_STARTING || role->failure.message)
                return;
        /* The exec is next, and saves them. If this process dies before, they count as a part of it. */
        if (products_usec > 0)
                start_times_add_part(&role->start_times, START_STEP_PRODUCTS, products_usec, now);
        if (hooks_usec > 0)
                start_times_add_part(&role->start_times, START_STEP_HOOKS, hooks_usec, now);
}

void role_on_gate_report(Role *role, LaunchStage stage, int error, bool warning, const char *text) {
        if (warning) {
                role_log(role, error < 0 ? LOG_WARNING : LOG_NOTICE, "%s", text);
                if (stage == LAUNCH_STAGE_OUTPUT)
                        outputs_not_shared(role->node->outputs, role, error < 0);
                return;
        }

        if (role->hook_of) {
                role_hook_on_report(role, stage, text);
                return;
        }
        if (stage == LAUNCH_STAGE_START_PRE && error == -EINTR)
                role->start_result = "signal";
        g_auto(Fault) fault = {};
        (void) fault_set(&fault,
                stage == LAUNCH_STAGE_EXEC                               ? NODE_ERROR_EXEC_FAILED
                : stage == LAUNCH_STAGE_START_PRE && error == -ETIMEDOUT ? NODE_ERROR_START_TIMED_OUT
                : stage == LAUNCH_STAGE_LIMITS && error == -EPERM && role->spec->account
                        ? NODE_ERROR_ACCESS_DENIED
                        : NODE_ERROR_SETUP_FAILED,
                "Role \"%s\" failed to start (%s): %s", role->name,
                launch_stage_to_string(stage) ?: "unknown stage", text);
        role_fail(role, &fault);
}

/* Its child, which knew how far they were, says nothing any more. */
static void role_tell_start_pre(const Role *role) {
        if (role->spec->exec_start_pre && role->phase == ROLE_PHASE_OPEN)
                role_log(
                        role, LOG_NOTICE, "Its commands of exec-start-pre may have run, all or some of them");
}

static void role_fail_killed_in_setup(Role *role) {
        g_auto(Fault) fault = {};

        role_tell_start_pre(role);
        role->start_result = role->exit.code == EXIT_CODE_EXITED ? NULL
                             : role->exit.code == EXIT_CODE_LOST ? "lost"
                                                                 : "signal";
        if (role->exit.code == EXIT_CODE_KILLED || role->exit.code == EXIT_CODE_DUMPED)
                (void) fault_set(&fault, NODE_ERROR_SETUP_FAILED,
                        "Role \"%s\" was killed by signal %d (%s) during its set-up", role->name,
                        role->exit.status, strsignal(role->exit.status));
        else if (role->exit.code == EXIT_CODE_EXITED)
                (void) fault_set(&fault, NODE_ERROR_SETUP_FAILED,
                        "Role \"%s\" ended during its set-up (exit %d)", role->name, role->exit.status);
        else
                (void) fault_set(
                        &fault, NODE_ERROR_SETUP_FAILED, "Role \"%s\" ended during its set-up", role->name);
        role_fail(role, &fault);
}

/* The gate ends at the exec and at the death of the child. The kernel reports which of the two happened, also
 * for a zombie. */
static bool role_has_execed(Role *role) {
        struct proc_stat stat;

        if (role->main_exited)
                return role->main_execed;
        return proc_stat_read(role->main_pid, &stat) >= 0 && stat.start_time == role->main_start_time &&
               !(stat.flags & PROC_STAT_FORKNOEXEC);
}

void role_drop_predecessor(Role *role) {
        if (!role->predecessor)
                return;
        ASK(role->node, store, drop_previous, role);
        role->predecessor->successor = NULL;
        role->predecessor = role_free(role->predecessor);
}

/* The command runs, and the start is not successful before it is what its type promises. */
static void role_begin_start(Role *role) {
        role->unready = true;
        role->start_deadline = usec_add(role->start_monotonic_usec, role_start_timeout(role));
        if (role->spec->type == ROLE_TYPE_EXEC || (role->spec->type == ROLE_TYPE_NOTIFY && role->ready_early))
                role_set_ready(role, now_usec(CLOCK_MONOTONIC));
}

static void role_running(Role *role) {
        g_auto(Event) event = {};

        role_set_timer(role, USEC_INFINITY, NULL);
        /* The previous process may have got as far as the event. */
        if (role->started_sequence == 0) {
                role->start_realtime_usec = now_usec(CLOCK_REALTIME);
                role->start_monotonic_usec = now_usec(CLOCK_MONOTONIC);
                node_event_add(role->node, EVENT_ROLE_STARTED, role, event_details_started(role), &event);
                role->started_sequence = event.sequence;
        }
        start_times_set_running(&role->start_times, role->start_monotonic_usec);
        role_begin_start(role);

        if (role->stdin_fd >= 0 && !role->input)
                role->input = input_new(role);

        ports_role_running(role->node->ports, role);
        role_set_state(role, ROLE_RUNNING);
        (void) role_save(role);
        node_event_tell(role->node, &event, role);
        journal_role_started(role);

        role_drop_predecessor(role);

        /* What it waits for is its own work, of which any number may be done at a time. */
        /* What has come before the exec was noticed is saved now. */
        if (role->notified > 0)
                ASK(role->node, link, notified_saved, role, role->notified);
        role_watch_deadlines(role);
        if (!role->unready)
                role_answer_start(role, NULL);
        role->node->n_starts--;
        role->node->reports->start_over(role->node);
}

void role_on_gate_closed(Role *role) {
        if (role->hook_of) {
                role_hook_on_gate_closed(role);
                return;
        }
        role->gate_closed = true;
        role->gate_fd = fd_close(role->gate_fd);

        if (role->state != ROLE_STARTING)
                return;
        if (role->failure.message) {
                role_undo(role);
                return;
        }

        if (role_has_execed(role)) {
                role_running(role);
                if (role->main_exited)
                        role_finish(role);
        } else if (role->main_exited)
                role_fail_killed_in_setup(role);
        /* Otherwise it is dying: its exit record comes next and contains the reason. */
}

void role_on_gate_lost(Role *role) {
        g_assert(role->state == ROLE_STARTING);

        role->gate_closed = true;
        if (role_has_execed(role)) {
                role_running(role);
                return;
        }

        /* It is dead, or its command may yet start, which could never be reported. */
        g_auto(Fault) fault = {};
        role_tell_start_pre(role);
        (void) fault_set(&fault, NODE_ERROR_SETUP_FAILED,
                "The start of role \"%s\" was interrupted by the end of the keeper and the service",
                role->name);
        role->interrupted = true;
        role_fail(role, &fault);
}

void role_on_exited(Role *role, const RoleExit *exit, bool execed) {
        if (role->hook_of) {
                role_hook_on_exited(role, exit, execed);
                return;
        }
        if (role->main_exited)
                return; /* reported again after a reconnection */

        role->main_exited = true;
        role->main_execed = execed;
        if (role->exited_sequence == 0)
                role->exit = *exit;
        /* This must be first, because systemd removes the cgroup as soon as it is empty. */
        role_read_figures(role);

        if (role->state != ROLE_STARTING) {
                role_finish(role);
                return;
        }
        if (role->failure.message)
                role_undo(role);
        else if (role->phase != ROLE_PHASE_OPEN || role->gate_closed) {
                if (execed && role->phase == ROLE_PHASE_OPEN)
                        role_on_gate_closed(role);
                else
                        role_fail_killed_in_setup(role);
        }
        /* Otherwise the gate still contains the reports of the child, and its end follows. */
}

static void role_set_undo_step(Role *role, StopStep step) {
        role->undo_step = step;
        node_count_role(role->node, role);
}

/* A process survives SIGKILL. The callers receive the failure now; the role exists until the process is gone,
 * but it does not delay other starts. */
void role_undo_is_stuck(Role *role, Role *where) {
        bool counted = role_holds_slot(role);
        g_auto(Fault) stuck = {}, fault = {};

        role_set_stuck_fault(where, &stuck);
        role_set_undo_step(role, STOP_STEP_STUCK);
        role->undo_late = true;
        if (counted)
                role->node->n_starts--;
        (void) fault_set(&fault, role->failure.error, "%s. %s", role->failure.message, stuck.message);
        role_wake_start_waiters(role, &fault);
        role_wake_stop_waiters(role, &stuck);
        role->node->reports->role_stuck(role->node, role, &stuck);
        role->node->reports->start_over(role->node);
}

static bool role_undo_has_process(Role *role) {
        bool populated = false, frozen;

        if (role->child_exists && !role->main_exited)
                return true;
        if (role->cgroup)
                (void) ASK(role->node, scope, cgroup_state, role, &populated, &frozen);
        return populated;
}

/* As role_on_kill_timer(), before the command. */
static int role_on_undo_kill_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        Role *role = userdata;

        if (!role_undo_has_process(role)) { /* only systemd is waited for */
                role_set_timer(role, USEC_INFINITY, NULL);
                role_undo(role);
                return 0;
        }
        if (role->undo_step == STOP_STEP_KILLED && now_usec(CLOCK_MONOTONIC) >= role->stop_deadline)
                role_undo_is_stuck(role, role);
        role_set_timer(role, role_kill_interval(role->undo_step), role_on_undo_kill_timer);
        role_undo(role); /* may free the role */
        return 0;
}

void role_undo_kill(Role *role) {
        if (role->child_exists && !role->main_exited)
                ASK(role->node, link, signal, role, SIGKILL, (Waiter){});
        if (role->undo_step == STOP_STEP_KILLED)
                return;
        role_set_undo_step(role, STOP_STEP_KILLED);
        role->stop_deadline = role_deadline_in(ROLE_KILL_TIMEOUT_USEC);
        role_set_timer(role, role_kill_interval(role->undo_step), role_on_undo_kill_timer);
}

static int role_on_undo_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        Role *role = userdata;

        role_undo_kill(role);
        role_undo(role);
        return 0;
}

/* EUPS removes its lock at SIGTERM and leaves it at SIGKILL, so a child within a product set-up, or in the
 * commands of exec-start-pre, gets some time between the two. Returns false if there cannot be such a child.
 */
static bool role_ask_setup(Role *role) {
        if ((!products_wanted(role->spec) && !role->spec->exec_start_pre) || role->phase != ROLE_PHASE_OPEN ||
                !role->scope_exists)
                return false;
        if (role->undo_step == STOP_STEP_NONE) {
                role_set_undo_step(role, STOP_STEP_ASKED);
                role_signal_scope(role, SIGTERM, 0, (Waiter){});
                role_set_timer(role, ROLE_PRODUCT_TERM_USEC, role_on_undo_timer);
        }
        return role->undo_step == STOP_STEP_ASKED;
}

void role_fail(Role *role, const Fault *fault) {
        g_assert(role->state == ROLE_STARTING);

        bool first = !role->failure.message;
        fault_copy(&role->failure, fault);
        if (first) {
                role_set_timer(role, USEC_INFINITY, NULL);
                journal_role(role, MESSAGE_ROLE_START_FAILED, LOG_NOTICE, &role->owner, "Start failed: %s",
                        role->failure.message);
                node_unqueue_start(role->node, role);
                if (role->child_exists && !role->main_exited && !role_ask_setup(role))
                        role_undo_kill(role);
        } else if (role->undo_step == STOP_STEP_STUCK)
                role_undo_kill(role); /* tries again for the new caller */
        role_undo(role);
}

/* What follows the previous run of a name after a start that has failed. */
static void role_continue_predecessor(
        Role *role, bool automatic, bool stopped, bool put_off, const Fault *fault) {
        g_auto(Event) event = {};

        if (automatic && stopped)
                role_restart_cancelled(role);
        else if (automatic && (put_off || role_restart_is_put_off(fault)))
                role_put_restart_off(role, fault);
        else if (automatic)
                role_restart_failed(role, fault, 0);
        else if (role->next_run == NEXT_RUN_NONE) {
                /* Its last process has ended while a caller's start had its name. */
                role_decide_next_run(role, &event);
                if (role->next_run != NEXT_RUN_NONE)
                        (void) role_save(role);
                node_event_tell(role->node, &event, role);
        }
}

static void role_discard(Role *role) {
        Node *node = role->node;
        Role *predecessor = g_steal_pointer(&role->predecessor);
        g_auto(Fault) fault = {};
        bool counted = role_holds_slot(role), automatic = role->automatic;
        bool stopped = role->stop_requested, put_off = role->interrupted;

        fault_copy(&fault, &role->failure);

        /* The caller must find the name as it was before the start when it receives the failure. */
        node->n_not_ended--;
        g_hash_table_steal(node->roles, role->name);
        if (predecessor) {
                predecessor->successor = NULL;
                g_hash_table_insert(node->roles, predecessor->name, predecessor);
                ASK(node, store, bring_back, predecessor);
                ASK(node, clients, role_changed, predecessor);
        } else {
                ASK(node, store, forget, role);
                ASK(node, clients, role_removed, role);
        }
        ASK(node, clients, node_changed);

        /* A stop is complete when no process of that name is left. */
        if (predecessor && !predecessor->swept)
                role_move_stop_waiters(role, predecessor);
        else
                role_wake_stop_waiters(role, NULL);
        role_wake_start_waiters(role, &fault);
        node->reports->start_failed(node, role, &fault);
        role_free(role);
        if (predecessor && predecessor->swept)
                role_continue_predecessor(predecessor, automatic, stopped, put_off, &fault);
        /* The previous run is an ended role again, and its removal may have been pending; or it waits for its
         * restart again. */
        if (predecessor && predecessor->swept)
                node->reports->role_swept(node, predecessor);
        else if (predecessor)
                ports_role_added(node->ports, predecessor); /* for ports that both runs have */
        if (counted)
                node->n_starts--;
        node->reports->start_over(node);
}

void role_undo(Role *role) {
        /* The pending requests must be answered first, because they may still create something. A child that
         * has ended was reported, even if its keeper is gone. */
        if (role->scope_pending || (role->phase == ROLE_PHASE_FORK && role->child != 0 &&
                                           !role->child_exists && !role->main_exited))
                return;
        if (role->child_exists && !role->main_exited)
                return;

        if (role->child_exists) {
                role_reap(role);
                role->child = 0;
        }

        if (role->scope_exists) {
                /* A child in its set-up may have forked (NSS modules do). */
                if (role_undo_has_process(role)) {
                        if (!role_ask_setup(role)) {
                                if (role->undo_step < STOP_STEP_KILLED)
                                        role_undo_kill(role);
                                role_kill_all(role, SIGNAL_EACH);
                        }
                        (void) ASK(role->node, scope, cgroup_watch, role);
                        return;
                }

                role_set_timer(role, USEC_INFINITY, NULL);
                role->scope_exists = false;
                role->scope_pending = true;
                if (ASK(role->node, scope, remove, role) >= 0)
                        return; /* continues in role_on_scope_removed() */
                role->scope_pending = false;
        }

        /* Its set-up, and so what precedes its command, may have begun. */
        if (role->phase != ROLE_PHASE_OPEN || !role_hooks_begin_post(role))
                role_discard(role);
}

void role_on_scope_removed(Role *role) {
        if (role->hook_of) {
                role_hook_on_scope_removed(role);
                return;
        }
        role->scope_pending = false;
        role_undo(role);
}
