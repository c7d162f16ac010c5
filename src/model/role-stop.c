/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* From a running command to the last process: stop, the end of the main process, the sweep of what it left. A role is
 * ended with its main process; it is swept, and a stop is done, when its cgroup is empty. */

#include <inttypes.h>
#include <signal.h>

#include "base/cgroup-util.h"
#include "base/fd-util.h"
#include "model/event-details.h"
#include "model/input.h"
#include "model/role-log.h"
#include "model/message-ids.h"
#include "model/node-events.h"
#include "model/ports.h"
#include "model/role-start.h"
#include "model/role-stop.h"
#include "util/log.h"

/* A kill is repeated while it waits: without cgroup.kill a fork may slip between two signals. */
#define KILL_INTERVAL_USEC (250 * USEC_PER_MSEC)

static const Waiter nobody = {};

static bool role_is_populated(Role *role);
static void role_swept(Role *role);

static uint64_t now_monotonic(void) {
        return (uint64_t) g_get_monotonic_time();
}

static uint64_t usec_until(uint64_t deadline) {
        uint64_t now = now_monotonic();

        if (deadline == USEC_INFINITY)
                return USEC_INFINITY;
        return deadline > now ? deadline - now : 0;
}

uint64_t role_deadline_in(uint64_t usec) {
        uint64_t now = now_monotonic();

        return usec > USEC_INFINITY - now ? USEC_INFINITY : now + usec;
}

static int role_save(Role *role) {
        int r = ASK(role->node, store, save, role);
        if (r < 0)
                role_log(role, LOG_ERR, "Cannot save its state: %s", g_strerror(-r));
        return r;
}

static void role_set_stop_step(Role *role, StopStep step) {
        role->stop_step = step;
        node_count_role(role->node, role);
}

static void role_stuck(Role *role) {
        g_autofree char *pids = ASK(role->node, scope, cgroup_pids, role);
        g_auto(Fault) fault = {};

        (void) fault_set(&fault, NODE_ERROR_STOP_TIMED_OUT,
                "Role \"%s\" does not stop: %" PRIu64 " s after SIGKILL these processes are left: %s",
                role->name, ROLE_KILL_TIMEOUT_USEC / USEC_PER_SEC, pids);
        journal_role(role, MESSAGE_ROLE_STUCK, LOG_ERR, &role->cause_caller, "%s", fault.message);
        role_set_stop_step(role, STOP_STEP_STUCK);
        role_save(role);
        role_wake_stop_waiters(role, &fault);
        role->node->reports->role_stuck(role->node, role);
}

/* By the keeper and cgroup.kill; where one of the two is missing, by systemd. */
void role_kill_all(Role *role) {
        if (ASK(role->node, link, kill_cgroup, role) < 0)
                ASK(role->node, scope, freeze_and_kill, role);
}

static int on_kill_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        Role *role = userdata;

        /* However it came that nobody told us. */
        if (role->state == ROLE_ENDED && !role_is_populated(role)) {
                role_swept(role);
                return 0;
        }
        if (role->stop_step == STOP_STEP_KILLED && usec_until(role->stop_deadline) == 0)
                role_stuck(role);
        /* What is stuck may come free at any time: go on trying, but slowly. */
        role_kill_all(role);
        role_set_timer(role, role->stop_step == STOP_STEP_STUCK ? ROLE_KILL_TIMEOUT_USEC : KILL_INTERVAL_USEC,
                on_kill_timer);
        return 0;
}

static void role_kill(Role *role) {
        role_set_stop_step(role, STOP_STEP_KILLED);
        role->stop_deadline = role_deadline_in(ROLE_KILL_TIMEOUT_USEC);
        role_save(role);
        role_kill_all(role);
        role_set_timer(role, KILL_INTERVAL_USEC, on_kill_timer);
}

static int on_stop_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        Role *role = userdata;

        journal_role(role, MESSAGE_ROLE_KILLED, LOG_WARNING, &role->cause_caller,
                "Stop timeout expired, sending SIGKILL");
        role_kill(role);
        return 0;
}

/* The stop signal, then SIGCONT: a stopped process must hear it. A frozen one must be thawed first; newer systemd refuses to
 * stop a frozen unit, and we only signal it. */
static void role_ask(Role *role, int signo, bool all) {
        bool populated, frozen = false;

        /* An orphan (its keeper has died) has no parent who could signal just it. */
        if (!role->child_exists)
                all = true;
        role_set_stop_step(role, STOP_STEP_ASKED);
        role->stop_asked_all = all;
        role->stop_deadline = role_deadline_in(role->spec->stop_timeout_usec);
        role_save(role);

        (void) ASK(role->node, scope, cgroup_state, role, &populated, &frozen);
        if (frozen)
                ASK(role->node, scope, thaw, role);
        if (all) {
                ASK(role->node, scope, signal, role, signo, nobody);
                ASK(role->node, scope, signal, role, SIGCONT, nobody);
        } else {
                ASK(role->node, link, signal, role, signo, nobody);
                ASK(role->node, link, signal, role, SIGCONT, nobody);
        }
        role_set_timer(role, usec_until(role->stop_deadline), on_stop_timer);
}

static void log_asked(const Role *role, bool kill, RoleCause cause, const Caller *caller) {
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
                /* What the run before left has the name's processes: it is what this is about now. */
                if (predecessor)
                        role_stop(predecessor, cause, kill, caller);
                return;
        }

        case ROLE_RUNNING:
                role->cause = cause;
                role->cause_known = true;
                caller_copy(&role->cause_caller, caller);
                role_set_state(role, ROLE_STOPPING);
                log_asked(role, kill, cause, caller);
                if (kill)
                        role_kill(role);
                else
                        role_ask(role, role->spec->stop_signal, role->spec->stop_to == STOP_TO_ALL);
                return;

        case ROLE_STOPPING:
                if (kill) {
                        role->cause = cause;
                        caller_copy(&role->cause_caller, caller);
                        log_asked(role, kill, cause, caller);
                        role_kill(role);
                } else if (role->stop_step == STOP_STEP_STUCK)
                        role_kill(role); /* a new try for a new caller */
                return;

        case ROLE_ENDED:
                if (!role->swept && (kill || role->stop_step == STOP_STEP_STUCK))
                        role_kill(role);
                return;

        default:
                g_assert_not_reached();
        }
}

/* A cgroup that cannot be read is not known to be empty. */
static bool role_is_populated(Role *role) {
        bool populated = false, frozen;

        int r = role->cgroup ? ASK(role->node, scope, cgroup_state, role, &populated, &frozen) : 0;
        if (r < 0) {
                role_log(role, LOG_ERR, "Cannot read the state of its cgroup: %s", g_strerror(-r));
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
        node_slice_release(role->node, role->slice);
        role->slice = -1;
        ports_role_swept(role->node->ports, role);
        if (role_save(role) >= 0)
                role_reap(role); /* should that have been impossible at its end */
        ASK(role->node, clients, role_changed, role);
        role_wake_stop_waiters(role, NULL);
        role->node->reports->role_swept(role->node, role); /* may free the role */
}

static void role_sweep(Role *role) {
        bool populated = role_is_populated(role);

        if (populated) {
                /* Watch, then look again: it may have become empty in between. */
                int r = ASK(role->node, scope, cgroup_watch, role);
                if (r < 0)
                        role_log(role, LOG_ERR, "Cannot watch its cgroup: %s", g_strerror(-r));
                populated = role_is_populated(role);
        }
        if (!populated)
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
        if (role->state == ROLE_ENDED && !role->swept && !role_is_populated(role))
                role_swept(role);
}

/* Nobody asked for it: what a process does to itself, and what only somebody else can have done. */
static RoleCause cause_of_signal(int signo) {
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

static void find_cause(Role *role) {
        bool by_signal = role->exit.code == EXIT_CODE_KILLED || role->exit.code == EXIT_CODE_DUMPED;

        if (role->cause_known)
                return;
        role->cause_known = true;
        if (by_signal && role->exit.status == role->last_signal) {
                role->cause = ROLE_CAUSE_KILL;
                caller_copy(&role->cause_caller, &role->last_signal_caller);
        } else if (role->exit.oom)
                role->cause = ROLE_CAUSE_OOM;
        else
                role->cause = by_signal                           ? cause_of_signal(role->exit.status)
                              : role->exit.code == EXIT_CODE_LOST ? ROLE_CAUSE_EXTERNAL
                                                                  : ROLE_CAUSE_SELF;
}

void role_read_figures(Role *role) {
        unsigned long long value;

        if (!role->cgroup || role->exited_sequence > 0)
                return;
        if (cgroup_read_u64(role->cgroup, "cpu.stat", "usage_usec", &value) >= 0)
                role->exit.scope_cpu_usec = value;
        if (cgroup_read_u64(role->cgroup, "memory.peak", NULL, &value) >= 0)
                role->exit.scope_memory_peak = value;
}

static void role_ended(Role *role) {
        g_auto(Event) event = {};
        g_auto(Fault) fault = {};
        bool saved = true;

        find_cause(role);

        (void) fault_set(&fault, NODE_ERROR_ROLE_NOT_RUNNING, "Role \"%s\" has ended", role->name);
        if (role->input)
                role->input = input_free(role->input, &fault);
        role->stdin_fd = fd_close(role->stdin_fd);
        role->terminal_fd = fd_close(role->terminal_fd);
        role->main_pidfd = fd_close(role->main_pidfd);

        /* The record is in the log before anybody hears of it, and heard of before the kernel forgets it. */
        if (role->exited_sequence == 0) {
                saved = node_event_add(
                        role->node, EVENT_ROLE_EXITED, role, event_details_exited(role), &event);
                role->exited_sequence = event.sequence;
        }
        role_set_state(role, ROLE_ENDED);
        saved = role_save(role) >= 0 || saved;
        node_event_tell(role->node, &event, role);
        ASK(role->node, scope, ended, role);
        journal_role_exited(role);
        if (saved)
                role_reap(role);

        role_sweep(role);
}

void role_finish(Role *role) {
        g_assert(role->main_exited);

        /* Was it the kernel's OOM killer? Only the scope's Result tells, for a moment. */
        if (role->spec->memory_max > 0 && !role->cause_known && role->exit.code == EXIT_CODE_KILLED &&
                role->exit.status == SIGKILL && role->last_signal != SIGKILL &&
                ASK(role->node, scope, query_oom, role) >= 0)
                return;
        /* An exit by itself, or because systemd stops its scope? Who dies of a signal says so; who handles it does not. */
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

void role_on_oom(Role *role, bool known, bool oom) {
        if (role->state == ROLE_ENDED)
                return;
        role->exit.oom_known = known;
        role->exit.oom = oom;
        role_ended(role);
}

void role_resume_stop(Role *role) {
        uint64_t left = usec_until(role->stop_deadline);

        switch (role->stop_step) {
        case STOP_STEP_ASKED:
                role_set_timer(role, left, on_stop_timer);
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
}
