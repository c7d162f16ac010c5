/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "model/role-recover.h"
#include "model/role-restart.h"

#include <errno.h>

#include "base/fd-util.h"
#include "model/auto-start.h"
#include "base/pidref.h"
#include "model/input.h"
#include "model/leases.h"
#include "model/monitor.h"
#include "model/node-start.h"
#include "model/node-stop.h"
#include "model/ports.h"
#include "model/role-adopt.h"
#include "model/role-deadline.h"
#include "model/role-end.h"
#include "model/role-main-pid.h"
#include "model/role-hooks.h"
#include "model/role-start.h"
#include "model/role-stop.h"
#include "model/role-strays.h"
#include "util/log.h"

static const char *const recover_state_table[_RECOVER_STATE_MAX] = {
        [RECOVER_DEPENDENCIES] = "dependencies",
        [RECOVER_QUEUED] = "queued",
        [RECOVER_SWEEP] = "sweep",
        [RECOVER_FORK] = "fork",
        [RECOVER_SCOPE] = "scope",
        [RECOVER_OPEN] = "open",
        [RECOVER_UNDOING] = "undoing",
        [RECOVER_RUNNING] = "running",
        [RECOVER_ASKED] = "asked",
        [RECOVER_KILLED] = "killed",
        [RECOVER_OUTLIVED] = "outlived",
        [RECOVER_UNSWEPT] = "unswept",
        [RECOVER_ENDED] = "ended",
        [RECOVER_POST] = "post",
        [RECOVER_HOOK] = "hook",
        [RECOVER_HOOK_OPEN] = "hook-open",
};

DEFINE_STRING_TABLE(recover_state, RecoverState, recover_state_table);

static const char *const recover_action_table[_RECOVER_ACTION_MAX] = {
        [RECOVER_NOTHING] = "nothing",
        [RECOVER_REQUEUE] = "requeue",
        [RECOVER_UNDO] = "undo",
        [RECOVER_KILL] = "kill",
        [RECOVER_GATE] = "gate",
        [RECOVER_LOST] = "lost",
        [RECOVER_ADOPT] = "adopt",
        [RECOVER_EXIT] = "exit",
        [RECOVER_WATCH] = "watch",
        [RECOVER_FORGET] = "forget",
        [RECOVER_REAP] = "reap",
};

DEFINE_STRING_TABLE(recover_action, RecoverAction, recover_action_table);

/* -- what is done -- */

/* The table has a row for each state and a column for each report. A start whose request has not gone through
 * the gate cannot continue, because the gate was shut down with the old connection. */
#define ACTIONS(none, starting, running, ended, unknown, orphan) \
        { \
                [CHILD_NONE] = RECOVER_##none, [CHILD_STARTING] = RECOVER_##starting, \
                [CHILD_RUNNING] = RECOVER_##running, [CHILD_ENDED] = RECOVER_##ended, \
                [CHILD_UNKNOWN] = RECOVER_##unknown, [CHILD_ORPHAN] = RECOVER_##orphan \
        }

static const RecoverAction recover_actions[_RECOVER_STATE_MAX][_CHILD_REPORT_MAX] = {
        [RECOVER_DEPENDENCIES] = ACTIONS(REQUEUE, UNDO, UNDO, EXIT, EXIT, FORGET),
        [RECOVER_QUEUED] = ACTIONS(REQUEUE, UNDO, UNDO, EXIT, EXIT, FORGET),
        [RECOVER_SWEEP] = ACTIONS(REQUEUE, UNDO, UNDO, EXIT, EXIT, FORGET),
        [RECOVER_FORK] = ACTIONS(REQUEUE, UNDO, UNDO, EXIT, EXIT, FORGET),
        [RECOVER_SCOPE] = ACTIONS(LOST, UNDO, UNDO, EXIT, EXIT, FORGET),
        [RECOVER_OPEN] = ACTIONS(LOST, GATE, GATE, EXIT, EXIT, FORGET),
        [RECOVER_UNDOING] = ACTIONS(UNDO, KILL, KILL, EXIT, EXIT, FORGET),
        [RECOVER_RUNNING] = ACTIONS(WATCH, ADOPT, ADOPT, EXIT, EXIT, ADOPT),
        [RECOVER_ASKED] = ACTIONS(WATCH, ADOPT, ADOPT, EXIT, EXIT, ADOPT),
        [RECOVER_KILLED] = ACTIONS(WATCH, ADOPT, ADOPT, EXIT, EXIT, ADOPT),
        [RECOVER_OUTLIVED] = ACTIONS(NOTHING, ADOPT, ADOPT, ADOPT, ADOPT, ADOPT),
        [RECOVER_UNSWEPT] = ACTIONS(NOTHING, REAP, REAP, REAP, REAP, REAP),
        [RECOVER_ENDED] = ACTIONS(NOTHING, REAP, REAP, REAP, REAP, REAP),
        [RECOVER_POST] = ACTIONS(NOTHING, REAP, REAP, REAP, REAP, REAP),
        /* An orphan has executed them: its keeper has died and it lives. */
        [RECOVER_HOOK] = ACTIONS(REQUEUE, UNDO, ADOPT, EXIT, EXIT, ADOPT),
        [RECOVER_HOOK_OPEN] = ACTIONS(LOST, GATE, GATE, EXIT, EXIT, ADOPT),
};

RecoverAction role_recover_decide(RecoverState state, ChildReport report) {
        g_assert((unsigned) state < _RECOVER_STATE_MAX && (unsigned) report < _CHILD_REPORT_MAX);
        return recover_actions[state][report];
}

RecoverState role_recover_state(const Role *role) {
        static const RecoverState phases[_ROLE_PHASE_MAX] = {
                [ROLE_PHASE_DEPENDENCIES] = RECOVER_DEPENDENCIES,
                [ROLE_PHASE_QUEUED] = RECOVER_QUEUED,
                [ROLE_PHASE_SWEEP] = RECOVER_SWEEP,
                [ROLE_PHASE_FORK] = RECOVER_FORK,
                [ROLE_PHASE_SCOPE] = RECOVER_SCOPE,
                [ROLE_PHASE_OPEN] = RECOVER_OPEN,
        };

        if (role->hook_of)
                return role->phase == ROLE_PHASE_OPEN ? RECOVER_HOOK_OPEN : RECOVER_HOOK;
        if (role_has_outlived_main(role))
                return RECOVER_OUTLIVED;
        if (role->state == ROLE_STARTING && role->hook)
                return RECOVER_POST;
        switch (role->state) {
        case ROLE_STARTING:
                return role->failure.message ? RECOVER_UNDOING : phases[role->phase];
        case ROLE_RUNNING:
                return RECOVER_RUNNING;
        case ROLE_STOPPING:
                return role->stop_step >= STOP_STEP_KILLED ? RECOVER_KILLED : RECOVER_ASKED;
        default:
                return role->swept ? RECOVER_ENDED : RECOVER_UNSWEPT;
        }
}

/* -- the steps -- */

static void role_requeue(Role *role) {
        Node *node = role->node;

        if (role->start_link)
                return;
        if (role_holds_slot(role))
                node->n_starts--;
        role->phase = ROLE_PHASE_QUEUED;
        role->child = 0;
        node_queue_start(node, role);
}

static void role_fail_interrupted(Role *role) {
        g_auto(Fault) fault = {};

        (void) fault_set(&fault, NODE_ERROR_SETUP_FAILED,
                "The start of role \"%s\" was interrupted by a restart of the service", role->name);
        role->interrupted = true;
        role_fail(role, &fault);
}

/* Opens the process of the saved state if it is still alive. A pid alone does not identify it. */
static int role_reopen_main(Role *role) {
        struct proc_stat stat;

        if (role->main_pidfd >= 0)
                return 0;
        if (role->main_pid <= 0)
                return -ESRCH;
        autofd fd = pidfd_open_pid(role->main_pid);
        if (fd < 0)
                return fd;
        /* Checked after the pidfd is open, which prevents that the pid is reused in between. */
        int r = proc_stat_read(role->main_pid, &stat);
        if (r < 0)
                return r;
        if (stat.start_time != role->main_start_time)
                return -ESRCH;
        role->main_pidfd = fd_steal(&fd);
        return 0;
}

static void role_on_lost_exit(Role *role) {
        const RoleExit exit = role_exit_lost();

        role_on_exited(role, &exit, role->state != ROLE_STARTING);
}

/* It has no parent that reports its end. */
static void role_watch_main(Role *role) {
        if (role->main_exited)
                return;
        if (role->main_pidfd >= 0)
                ASK(role->node, link, watch_main, role);
        else
                role_on_lost_exit(role);
}

static void role_lose_gate(Role *role) {
        role->scope_exists = true; /* it may exist, so it is searched for and removed */
        (void) role_reopen_main(role);
        if (role->gate_fd >= 0) { /* this process still has the gate and sees its end */
                role_watch_main(role);
                return;
        }
        if (role->main_pidfd >= 0)
                role_watch_main(role);
        role_on_gate_lost(role);
}

/* -- a child that the keeper has -- */

static void replace_fd(int *fd, int *with) {
        (void) fd_close(*fd);
        *fd = fd_steal(with);
}

/* The number of its child is saved when the start is requested, and nothing more before its scope exists.
 * While the previous run has a process, the scope is that of the previous run. */
static bool role_may_have_scope(const Role *role) {
        return role->child != 0 && (!role->predecessor || role->predecessor->swept);
}

void role_take_child(Role *role, ListedChild *listed) {
        role->child_exists = true;
        ASK(role->node, link, adopt, role);
        if (role_has_outlived_main(role)) {
                /* Of the child, only its standard input is still of use. */
                if (role->spec->stdin_kind == ROLE_STDIN_PTY)
                        return;
        } else {
                replace_fd(&role->main_pidfd, &listed->pidfd);
                role->main_pid = listed->pid;
                role->main_start_time = listed->start_time;
        }
        /* A pipe of a role that is being stopped takes no input, see input_refuse(). */
        bool refused = role->state == ROLE_STOPPING && role->stop_step >= STOP_STEP_ASKED &&
                       role->spec->stdin_kind == ROLE_STDIN_PIPE;
        if (role->stdin_fd < 0 && !refused)
                role->stdin_fd = fd_steal(&listed->stdin_fd);
        replace_fd(&role->terminal_fd, &listed->terminal_fd);
        if (role->state == ROLE_STARTING) {
                replace_fd(&role->gate_fd, &listed->gate_fd);
                role->gate_closed = false; /* its end may have been read before, and is read again */
                role->scope_exists = role_may_have_scope(role);
        } else if (role->stdin_fd >= 0 && !role->input && !refused)
                role->input = input_new(role);
}

void role_go_on_from_gate(Role *role) {
        if (role->gate_fd < 0) {
                role_on_gate_closed(role);
                return;
        }
        ASK(role->node, link, watch_gate, role);
        role_resume_setup(role);
}

void role_end_child(Role *role, const ListedChild *listed) {
        if (role->gate_fd < 0)
                role->gate_closed = true;
        else if (role->phase == ROLE_PHASE_OPEN) /* the gate still contains the reports of the child */
                ASK(role->node, link, watch_gate, role);
        role_on_exited(role, &listed->exit, listed->execed);
}

static Role *node_find_hook_of_child(Node *node, const char *name, uint64_t child) {
        Role *role = g_hash_table_lookup(node->roles, name);

        while (role && !(role->hook && role->hook->child == child))
                role = role->predecessor;
        return role ? role->hook : NULL;
}

static Role *node_find_role_of_child(Node *node, const char *name, uint64_t child) {
        Role *role = g_hash_table_lookup(node->roles, name);

        while (role && role->child != child)
                role = role->predecessor;
        return role;
}

/* This is at most a start whose role was undone or never saved; its gate was shut down, so its command never
 * runs. A dead keeper may also leave a child that had ended and was forgotten here before systemd knew about
 * it. */
static void node_on_unknown_child(Node *node, const ListedChild *listed) {
        bool ended = listed->report == CHILD_ENDED || listed->report == CHILD_UNKNOWN;

        if (!ended || !listed->orphan)
                log_warning("The keeper has a child of an unknown role \"%s\" (pid %d)%s", listed->role,
                        (int) listed->pid, listed->execed && !ended ? ", leaving it alone" : "");
        if (ended)
                ASK(node, link, forget, listed->child);
        node_child_seen(node, listed->child);
}

/* Commands of exec-stop or exec-stop-post. */
static void node_on_hook_child(Node *node, Role *hook, ListedChild *listed) {
        const bool ended = listed->report == CHILD_ENDED || listed->report == CHILD_UNKNOWN;
        const RecoverAction action = role_recover_decide(
                role_recover_state(hook), listed->orphan && !ended ? CHILD_ORPHAN : listed->report);

        if (action == RECOVER_FORGET)
                ASK(node, link, forget, listed->child);
        else {
                role_take_child(hook, listed);
                hook->interrupted = true;
                hook->main_execed = hook->main_execed || listed->execed;
        }
        listed_child_close_fds(listed);
        if (action == RECOVER_EXIT)
                role_hook_take_exit(hook, &listed->exit);
        if ((action == RECOVER_GATE || action == RECOVER_EXIT) && hook->gate_fd >= 0 &&
                hook->phase == ROLE_PHASE_OPEN)
                ASK(node, link, watch_gate, hook);
        else if (action == RECOVER_GATE)
                role_on_gate_closed(hook);
        /* A child that has not got its launch request exits, and they begin again. */
}

void node_on_child(Node *node, ListedChild *listed) {
        Role *role = node_find_role_of_child(node, listed->role, listed->child),
             *hook = node_find_hook_of_child(node, listed->role, listed->child);

        if (hook) {
                node_on_hook_child(node, hook, listed);
                return;
        }

        if (!role) {
                if (node_keep_listed(node, listed))
                        return;
                node_on_unknown_child(node, listed);
                listed_child_close_fds(listed);
                return;
        }

        ChildReport report =
                listed->orphan && (role->state == ROLE_STARTING || listed->report == CHILD_RUNNING)
                        ? CHILD_ORPHAN
                        : listed->report;
        RecoverAction action = role_recover_decide(role_recover_state(role), report);

        switch (action) {
        case RECOVER_FORGET:
                ASK(node, link, forget, listed->child);
                break;
        case RECOVER_REAP:
                /* Its end is saved and sent; only the request to reap it was lost, or it comes when the
                 * strays are swept. */
                role->child_exists = role_has_strays(role);
                if (role->child_exists)
                        ASK(node, link, adopt, role);
                else
                        ASK(node, link, reap, role);
                break;
        default:
                role_take_child(role, listed);
                break;
        }
        listed_child_close_fds(listed);

        switch (action) {
        case RECOVER_UNDO:
                role_fail_interrupted(role);
                break;
        case RECOVER_KILL: /* when the list is complete: role_ask_again() */
                break;
        case RECOVER_GATE:
                role_go_on_from_gate(role);
                break;
        case RECOVER_EXIT:
                role_end_child(role, listed);
                break;
        default:
                break;
        }
}

/* -- all of them -- */

/* Each role may end, and the end of one may purge others or free its slot for the next start. So the roles
 * are found by their names, and nothing starts before all had their turn. The previous run of a name comes
 * before the new one. */
static void node_each_role(Node *node, void (*each)(Role *role)) {
        g_autoptr(GPtrArray) names = node_list_names(node);
        bool pumping = node->pumping;

        node->pumping = true;
        for (unsigned i = 0; i < names->len; i++) {
                const char *name = g_ptr_array_index(names, i);
                Role *role = g_hash_table_lookup(node->roles, name);
                Role *predecessor = role ? role->predecessor : NULL;

                if (predecessor) {
                        each(predecessor);
                        role = g_hash_table_lookup(node->roles, name);
                }
                if (role && role != predecessor)
                        each(role);
        }
        node->pumping = pumping;
}

/* A request on the previous connection may have been lost with it, and a keeper that still lists its children
 * accepts none. */
static void role_ask_again(Role *role) {
        if (role->state == ROLE_STARTING) {
                /* A product set-up that had its SIGTERM gets SIGKILL by its timer. */
                if (role->failure.message && role->undo_step != STOP_STEP_ASKED)
                        role_undo_kill(role);
        } else if (role->state == ROLE_STOPPING && role->stop_step == STOP_STEP_ASKED)
                input_end(role);
        else if (role->input)
                input_resume(role->input);
}

/* The list of children is complete. A child that is not in it died with its keeper, was never created, or
 * lives on without a parent. */
static void role_recover(Role *role) {
        if (role->main_exited && !role_has_outlived_main(role))
                return;
        if (role->child_exists) {
                role_ask_again(role);
                return;
        }

        switch (role_recover_decide(role_recover_state(role), CHILD_NONE)) {
        case RECOVER_UNDO:
                /* The answer to its fork was lost with the keeper and no child exists, so none is waited
                 * for. */
                if (role->phase == ROLE_PHASE_FORK)
                        role->child = 0;
                role_undo(role);
                break;
        case RECOVER_REQUEUE:
                role_requeue(role);
                break;
        case RECOVER_LOST:
                role_lose_gate(role);
                break;
        case RECOVER_WATCH:
                (void) role_reopen_main(role);
                role_watch_main(role);
                break;
        default:
                break;
        }
}

static void role_recover_hook(Role *role) {
        Role *hook = role->hook;

        if (hook && hook->main_exited) {
                role_hook_go_on(hook); /* may free the role */
                return;
        }
        if (!hook || hook->child_exists)
                return;
        if (role_recover_decide(role_recover_state(hook), CHILD_NONE) == RECOVER_REQUEUE) {
                role_hook_requeue(hook);
                return;
        }
        /* Without its keeper the process lives only if it has executed the commands. */
        (void) role_reopen_main(hook);
        role_hook_check_exec(hook);
        if (hook->gate_fd < 0)
                hook->gate_closed = true;
        role_watch_main(hook);
}

static void role_resume_timers(Role *role) {
        role_watch_freezer(role);
        role_watch_main_pid(role);
        role_watch_deadlines(role);
        if (role->state == ROLE_STOPPING || role->state == ROLE_ENDED || role_has_outlived_main(role))
                role_resume_stop(role);
}

static void node_on_recovered(Node *node) {
        if (node->recovered)
                return;
        if (ASK(node, scope, ready))
                ASK(node, scope, resync);
        node_each_role(node, role_resume_timers);
        node_each_role(node, role_hooks_resume);
        node_each_role(node, role_arm_restart);
        node->recovered = true;
        monitor_resume(node->monitor);
        leases_resume(node->leases);
        ASK(node, clients, recovered);
        ASK(node, service, recovered);
        node_resume_shutdown(node);
        auto_start_run(node);
}

void node_on_keeper(Node *node, const PortLoan *ports, size_t n_ports) {
        log_debug("Connected to the keeper");
        node_each_role(node, role_adopt);
        node_each_role(node, role_recover);
        node_each_role(node, role_recover_hook);
        /* Their ends must not begin a start in which a role is freed that is still looked at. */
        bool pumping = node->pumping;
        node->pumping = true;
        node_follow_up(node);
        node->pumping = pumping;
        /* This follows the children, because an exec that is reported only now has released the ports of
         * release-ports. */
        ports_on_keeper(node->ports, ports, n_ports);
        ASK(node, clients, node_changed);
        node_on_recovered(node);
        node_each_role(node, role_watch_deadlines);
        node_pump_starts(node);
}

/* If the kernel reports how a process ends, an end before the keeper answers is not lost. All else waits for
 * the keeper, which may know more. */
static void role_watch_for_now(Role *role) {
        int ignored;

        if (role->child_exists || role->main_exited || role->damage ||
                role_recover_state(role) == RECOVER_POST)
                return;
        if (role->state == ROLE_STARTING) {
                /* If it is cancelled before the keeper answers, its scope is searched for, because it may
                 * exist. */
                role->scope_exists = role_may_have_scope(role);
                /* Until the launch request goes through the gate its child never runs a command, so its
                 * cancellation does not wait for the keeper. */
                if (role_recover_decide(role_recover_state(role), CHILD_NONE) == RECOVER_REQUEUE)
                        role_requeue(role);
                return;
        }
        if (role_reopen_main(role) >= 0 && pidfd_exit_status(role->main_pidfd, &ignored) != -EOPNOTSUPP)
                ASK(role->node, link, watch_main, role);
}

void node_on_keeper_late(Node *node) {
        log_warning("The keeper does not answer, continuing without it");
        node_each_role(node, role_watch_for_now);
        node_on_recovered(node);
}

static void role_forget_child(Role *role) {
        role->child_exists = false;
        if (role->hook)
                role->hook->child_exists = false;
        role_forget_listed(role);
}

/* Without a pidfd its child was not listed yet when the connection was lost again. The next list decides. */
static void role_watch_lost_child(Role *role) {
        if (role->main_pidfd >= 0)
                role_watch_main(role);
}

static void role_watch_lost_hook(Role *role) {
        if (role->hook && role->hook->phase == ROLE_PHASE_OPEN && role->hook->main_pidfd >= 0)
                role_watch_main(role->hook);
}

void node_on_keeper_lost(Node *node) {
        /* A complete list begins. A child that it does not confirm is gone. */
        node_each_role(node, role_forget_child);
        ASK(node, clients, node_changed);
        node_each_role(node, role_watch_lost_child);
        node_each_role(node, role_watch_lost_hook);
}

void node_on_systemd(Node *node) {
        if (node->recovered)
                ASK(node, scope, resync);
        node_pump_starts(node);
}
