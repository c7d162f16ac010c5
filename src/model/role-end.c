/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* This file has the end of the main process: who or what has caused it, the event that tells it, and what
 * follows. The last process of the role may end later; that is in role-stop.c. */

#include <signal.h>

#include "base/cgroup-util.h"
#include "base/fd-util.h"
#include "base/pidref.h"
#include "base/time-util.h"
#include "model/event-details.h"
#include "model/input.h"
#include "model/node-events.h"
#include "model/role-end.h"
#include "model/role-freezer.h"
#include "model/role-log.h"
#include "model/role-ready.h"
#include "model/role-restart.h"
#include "model/role-stop.h"
#include "model/role-strays.h"
#include "util/log.h"

#define ROLE_LEFT_MAX 16 /* processes that RoleExited names */

/* -- its cause -- */

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

/* -- what follows -- */

#define ROLE_END_QUIET_USEC (2 * USEC_PER_MSEC)

struct RoleEnd {
        GVariant *left; /* as in the details of RoleExited, or NULL */
        GList link;     /* in the node's ends */
};

void role_end_free(Role *role) {
        RoleEnd *end = g_steal_pointer(&role->end);

        if (!end)
                return;
        g_queue_unlink(&role->node->ends, &end->link);
        if (end->left)
                g_variant_unref(end->left);
        g_free(end);
}

static void role_close_input(Role *role, const Fault *reason) {
        role->input = input_free(role->input, reason);
        role->stdin_fd = fd_close(role->stdin_fd);
        role->terminal_fd = fd_close(role->terminal_fd);
}

static void role_follow_up(Role *role) {
        g_autoptr(GVariant) left = g_steal_pointer(&role->end->left);
        g_auto(Fault) fault = {};

        role_end_free(role);
        (void) fault_set(&fault, NODE_ERROR_ROLE_NOT_RUNNING, "Role \"%s\" has ended", role->name);
        role_close_input(role, &fault);
        (void) role_freezer_cancel(role, &fault);
        role->main_pidfd = fd_close(role->main_pidfd);
        ASK(role->node, scope, ended, role);
        journal_role_exited(role);
        role->node->reports->role_ended(role->node, role);
        if (left)
                journal_role_left(role, left);

        /* Its end and that of its last process are mostly the same, and saved once. */
        if (!role_await_empty(role)) {
                role_swept(role);
                return;
        }
        bool saved = !role_stop_left(role) && role_save(role) >= 0;
        /* The keeper needs the child to know the strays. */
        if ((saved || role->exit_logged) && !role_has_strays(role))
                role_reap(role);
}

void node_follow_up(Node *node) {
        GList *link;

        while ((link = g_queue_peek_head_link(&node->ends)))
                role_follow_up(link->data);
}

static int node_on_quiet_over(sd_event_source *s, uint64_t usec, void *userdata) {
        node_follow_up(userdata);
        return 0;
}

static int node_set_quiet_timer(Node *node) {
        if (!node->quiet)
                return sd_event_add_time_relative(node->event, &node->quiet, CLOCK_MONOTONIC,
                        ROLE_END_QUIET_USEC, 1, node_on_quiet_over, node);
        int r = sd_event_source_set_time_relative(node->quiet, ROLE_END_QUIET_USEC);
        return r < 0 ? r : sd_event_source_set_enabled(node->quiet, SD_EVENT_ONESHOT);
}

/* A caller of a stop waits for the sweep, and nobody is surprised by the end. During a recovery the clients
 * wait for all roles. An end with a number was told before. */
static bool role_may_wait(const Role *role) {
        return role->state == ROLE_RUNNING && role->exited_sequence == 0 && role->node->recovered &&
               !role->node->stopping;
}

static void role_ended(Role *role) {
        bool wait = role_may_wait(role);
        g_autoptr(GVariant) left = NULL;
        g_auto(Event) event = {};

        /* Those that a stop has not ended yet are no surprise. */
        if (!role->cause_known && role->exited_sequence == 0)
                left = role_list_left(role);
        role_find_cause(role);
        role_start_ended(role);

        /* The record must be in the log before a client receives it, and sent before the kernel forgets the
         * child. */
        role->exit_logged = true; /* if it has a number, the previous process has logged it */
        if (role->exited_sequence == 0) {
                const char *result = role_result_to_string(role_run_result(role));

                role->exit_logged = node_event_add(role->node, EVENT_ROLE_EXITED, role,
                        event_details_exited(role, result, left), &event);
                role->exited_sequence = event.sequence;
        }
        role->end = g_new(RoleEnd, 1);
        *role->end = (RoleEnd){ .left = g_steal_pointer(&left), .link.data = role };
        g_queue_push_tail_link(&role->node->ends, &role->end->link);
        role_set_state(role, ROLE_ENDED);
        /* Without the log, the next process knows this end by the file of the role alone. */
        if (!role->exit_logged)
                (void) role_save(role);
        node_event_tell(role->node, &event, role);
        if (role_is_ready(role))
                role_answer_start(role, NULL); /* a failure waits for the sweep */

        if (!wait || (role->node->ends.length == 1 && node_set_quiet_timer(role->node) < 0))
                role_follow_up(role);
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
        if (role->state == ROLE_STOPPING)
                (void) role_stop_left(role);
}

void role_finish(Role *role) {
        g_assert(role->main_exited);

        /* The process exits by itself, or because systemd stops its scope. A process that dies of the signal
         * shows that; one that handles it does not. But whether the signal was that of a stop is the question
         * of a restart. */
        bool ask = !role->cause_known &&
                   (role->exit.code == EXIT_CODE_EXITED || role->spec->restart != RESTART_NO) &&
                   ASK(role->node, scope, may_be_stopped, role);
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

        if (ask && !role->cause_known && ASK(role->node, scope, query_stop, role) >= 0)
                return;
        role_ended(role);
}

void role_on_external_stop(Role *role) {
        if (role->cause_known || role->state == ROLE_STARTING || role->state == ROLE_ENDED)
                return;
        role_log(role, LOG_INFO, "Another process is stopping its scope");
        role->cause_known = true;
        role->cause = ROLE_CAUSE_EXTERNAL;
        role->stop_requested = true;
        (void) role_save(role);
}

void role_on_stop_known(Role *role) {
        if (role->state != ROLE_ENDED)
                role_ended(role);
}
