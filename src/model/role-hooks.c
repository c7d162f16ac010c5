/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <signal.h>
#include <stdarg.h>
#include <string.h>

#include "base/command-list.h"
#include "base/fd-util.h"
#include "base/pidref.h"
#include "base/time-util.h"
#include "base/unit-name.h"
#include "model/message-ids.h"
#include "model/node.h"
#include "model/role-hooks.h"
#include "model/role-log.h"
#include "model/role-main-pid.h"
#include "model/role-restart.h"
#include "model/role-signal.h"
#include "util/log.h"

static void hook_advance(Role *hook);

/* -- what they run as -- */

char **role_hook_commands(const Role *hook) {
        const RoleSpec *spec = hook->hook_of->spec;

        return hook->hook_kind == HOOK_STOP ? spec->exec_stop : spec->exec_stop_post;
}

/* As the role, but without what belongs to its main process. */
static RoleSpec *hook_spec_new(const RoleSpec *of) {
        RoleSpec *spec = role_spec_copy(of);

        g_clear_pointer(&spec->exec_start_pre, g_strfreev);
        g_clear_pointer(&spec->exec_stop, g_strfreev);
        g_clear_pointer(&spec->exec_stop_post, g_strfreev);
        for (int i = 0; i < _ROLE_PORTS_MAX; i++)
                g_clear_pointer(&spec->ports[i], g_array_unref);
        spec->stdin_kind = ROLE_STDIN_NULL;
        spec->xterm = false;
        spec->type = ROLE_TYPE_EXEC;
        spec->exit_type = EXIT_TYPE_MAIN;
        spec->notify_access = NOTIFY_ACCESS_DEFAULT;
        spec->watchdog_usec = 0;
        /* The file has what the role has printed. */
        if (spec->output == LAUNCH_OUTPUT_FILE)
                spec->output = LAUNCH_OUTPUT_APPEND;
        return spec;
}

Role *role_hook_new(Role *role, HookKind kind) {
        Role *hook = role_new(role->node, role->name, hook_spec_new(role->spec));

        g_assert(!role->hook);
        if (kind == HOOK_STOP_POST) {
                free(hook->scope); /* allocated by libc, as in role_free() */
                hook->scope = role_post_scope_name(role->node->instance, role->name);
        }
        hook->hook_of = role;
        hook->hook_kind = kind;
        hook->invocation = role->invocation;
        caller_copy(&hook->owner, &role->owner);
        role->hook = hook;
        return hook;
}

/* SERVICE_RESULT of a start that has failed, in the words of systemd. What its child was killed for, or by,
 * is in the fault alone. */
static const char *role_start_result(const Role *role) {
        if (role->interrupted)
                return "resources";
        switch (role->failure.error) {
        case NODE_ERROR_START_CANCELLED:
                return "success";
        case NODE_ERROR_START_TIMED_OUT:
                return "timeout";
        default:
                return role->start_result ?: "exit-code";
        }
}

static void environment_add(GStrvBuilder *b, const char *name, const char *value) {
        g_autofree char *assignment = g_strconcat(name, "=", value, NULL);

        g_strv_builder_add(b, assignment);
}

/* $EXIT_CODE and $EXIT_STATUS, as in systemd.exec(5). */
static void environment_add_exit(GStrvBuilder *b, const RoleExit *exit) {
        g_autofree char *status = NULL;

        environment_add(b, "EXIT_CODE", exit_code_to_string(exit->code));
        if (exit->code == EXIT_CODE_EXITED)
                status = g_strdup_printf("%d", exit->status);
        else if (exit->code != EXIT_CODE_LOST)
                status = g_strdup(sigabbrev_np(exit->status)) ?: g_strdup_printf("%d", exit->status);
        if (status)
                environment_add(b, "EXIT_STATUS", status);
}

static void hook_set_environment(Role *hook) {
        g_autoptr(GStrvBuilder) b = g_strv_builder_new();
        const Role *role = hook->hook_of;

        if (role->spec->environment)
                g_strv_builder_addv(b, (const char **) role->spec->environment);
        if (role->state == ROLE_STARTING && !hook->hook_result)
                hook->hook_result = g_strdup(role_start_result(role));
        environment_add(b, "SERVICE_RESULT", hook->hook_result ?: role_result_to_string(role_result(role)));
        if (role->state != ROLE_STARTING && role_main_pid(role) > 0) {
                g_autofree char *pid = g_strdup_printf("%d", (int) role_main_pid(role));

                environment_add(b, "MAINPID", pid);
        } else if (role->state != ROLE_STARTING && role->main_exited)
                environment_add_exit(b, &role->exit);
        g_strfreev(hook->spec->environment);
        hook->spec->environment = g_strv_builder_end(b);
}

/* -- messages -- */

_printf_(3, 4) static void hook_log(const Role *hook, int level, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        g_autofree char *text = g_strdup_vprintf(format, ap);
        va_end(ap);
        journal_role(hook->hook_of, level <= LOG_WARNING ? MESSAGE_ROLE_HOOK_FAILED : NULL, level, NULL,
                "The commands of %s %s", hook_kind_to_string(hook->hook_kind), text);
}

/* -- the way to the end -- */

/* The role knows that they are over and is saved by that, before the keeper forgets their child. */
static void hook_over(Role *hook) {
        Role *role = hook->hook_of;
        Node *node = role->node;
        const HookKind kind = hook->hook_kind;

        role_reap(hook); /* with the next reaps, which are sent after this */
        role->hook = NULL;
        hook->hook_of = NULL;
        role_free(hook);
        if (kind == HOOK_STOP_POST)
                role->post_done = true;
        node->reports->hooks_over(node, role, kind); /* may free the role */
}

static bool hook_is_populated(Role *hook) {
        bool populated = false, frozen;

        return hook->cgroup && ASK(hook->node, scope, cgroup_state, hook, &populated, &frozen) >= 0 &&
               populated;
}

/* Goes on when something is gone, as role_undo(). */
static void hook_advance(Role *hook) {
        const bool post = hook->hook_kind == HOOK_STOP_POST;

        if (hook->scope_pending || (hook->main_pid > 0 && !hook->main_exited) ||
                (hook->phase == ROLE_PHASE_FORK && hook->child != 0 && hook->main_pid == 0))
                return;
        if (post && hook_is_populated(hook)) {
                (void) ASK(hook->node, scope, cgroup_watch, hook);
                if (hook_is_populated(hook)) /* it may have become empty in between */
                        return;
        }
        /* systemd removes a scope when its last process ends. One that never had one is not removed so. */
        if (post && hook->scope_exists && !hook->cgroup) {
                hook->scope_exists = false;
                hook->scope_pending = true;
                if (ASK(hook->node, scope, remove, hook) >= 0)
                        return; /* continues in role_hook_on_scope_removed() */
                hook->scope_pending = false;
        }
        hook_over(hook);
}

static int hook_on_kill_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        Role *hook = userdata;
        Role *role = hook->hook_of;

        if (hook->stop_step == STOP_STEP_KILLED && now_usec(CLOCK_MONOTONIC) >= hook->stop_deadline) {
                hook->stop_step = STOP_STEP_STUCK;
                role->node->reports->hooks_stuck(role->node, role, hook);
        }
        if (hook->cgroup)
                role_kill_all(hook, SIGNAL_EACH);
        role_set_timer(hook,
                hook->stop_step == STOP_STEP_STUCK ? ROLE_KILL_TIMEOUT_USEC : ROLE_KILL_INTERVAL_USEC,
                hook_on_kill_timer);
        hook_advance(hook); /* may free it */
        return 0;
}

static void hook_kill(Role *hook) {
        if (!hook->hook_cancelled && hook->phase != ROLE_PHASE_OPEN)
                hook_log(hook, LOG_WARNING, "were not run");
        hook->hook_cancelled = true;
        if (hook->child_exists && !hook->main_exited)
                ASK(hook->node, link, signal, hook, SIGKILL, (Waiter){});
        /* Those of exec-stop are in the cgroup of the role, which is killed with them. */
        if (hook->hook_kind == HOOK_STOP_POST) {
                if (hook->cgroup)
                        role_kill_all(hook, SIGNAL_EACH);
                hook->stop_step = STOP_STEP_KILLED;
                hook->stop_deadline = role_deadline_in(ROLE_KILL_TIMEOUT_USEC);
                (void) role_save(hook->hook_of);
                role_set_timer(hook, ROLE_KILL_INTERVAL_USEC, hook_on_kill_timer);
        }
        hook_advance(hook);
}

void role_hooks_kill(Role *role) {
        if (role->hook && (!role->hook->hook_cancelled || role->hook->stop_step == STOP_STEP_STUCK))
                hook_kill(role->hook);
}

static int hook_on_deadline(sd_event_source *s, uint64_t usec, void *userdata) {
        Role *hook = userdata;

        hook_log(hook, LOG_WARNING, "have not ended within the stop timeout, sending SIGKILL");
        hook_kill(hook);
        return 0;
}

static void hook_set_deadline_timer(Role *hook) {
        role_set_timer_at(hook, hook->stop_deadline, hook_on_deadline);
}

/* It cannot go on. What exists of it ends. */
static void hook_fail(Role *hook, const char *reason) {
        (void) fault_set(&hook->failure, NODE_ERROR_SETUP_FAILED, "%s", reason);
        hook_log(hook, LOG_WARNING, "could not be run: %s", reason);
        if (hook->child_exists && !hook->main_exited)
                ASK(hook->node, link, signal, hook, SIGKILL, (Waiter){});
        hook_advance(hook);
}

/* -- the way to their exec -- */

/* The number of the child is saved before it is requested, and no child has had it before. */
static void hook_begin(Role *hook) {
        Role *role = hook->hook_of;

        hook->phase = ROLE_PHASE_FORK;
        hook->main_pid = 0;
        hook->main_exited = hook->main_execed = hook->gate_closed = hook->interrupted = false;
        hook->main_pidfd = fd_close(hook->main_pidfd);
        hook->gate_fd = fd_close(hook->gate_fd);
        g_clear_pointer(&hook->cgroup, g_free);
        if (hook->hook_kind == HOOK_STOP)
                hook->cgroup = g_strdup(role->cgroup);
        hook_set_environment(hook);
        hook->child = hook->node->next_child++;
        (void) role_save(role);
        if (hook->hook_kind == HOOK_STOP && !hook->cgroup) {
                hook->child = 0;
                hook_fail(hook, "the role has no process any more");
                return;
        }
        int r = ASK(hook->node, link, fork, hook);
        if (r >= 0)
                return;
        hook->child = 0;
        if (r == -ENOTCONN)
                return; /* the next keeper has its turn, until the deadline */
        hook_fail(hook, r == -EPROTONOSUPPORT ? "the keeper that runs is too old for them" : g_strerror(-r));
}

bool role_hooks_begin_stop(Role *role) {
        if (!role->spec->exec_stop || role->hook)
                return false;
        hook_begin(role_hook_new(role, HOOK_STOP));
        return true;
}

bool role_hooks_begin_post(Role *role) {
        if (role->hook)
                return true;
        if (!role->spec->exec_stop_post || role->post_done)
                return false;
        Role *hook = role_hook_new(role, HOOK_STOP_POST);
        hook->stop_deadline = role_deadline_in(role->spec->stop_timeout_usec);
        hook_set_deadline_timer(hook);
        if (role->node->stopping && hook->stop_deadline != USEC_INFINITY)
                ASK(role->node, service, stop_extended, hook->stop_deadline);
        hook_begin(hook);
        return true;
}

static void hook_open(Role *hook) {
        /* From here on they may run, and the next process must know that. */
        hook->phase = ROLE_PHASE_OPEN;
        int r = role_save(hook->hook_of);
        if (r >= 0)
                r = ASK(hook->node, link, launch, hook);
        if (r < 0)
                hook_fail(hook, g_strerror(-r));
}

void role_hook_on_forked(Role *hook, int error) {
        if (error < 0) {
                hook->child = 0;
                hook_fail(hook, error == -ENOENT || error == -ENODEV ? "the role has no process any more"
                                                                     : g_strerror(-error));
                return;
        }
        if (hook->hook_cancelled) {
                hook_kill(hook);
                return;
        }
        if (hook->hook_kind == HOOK_STOP) {
                hook_open(hook);
                return;
        }

        g_auto(Fault) fault = {};
        hook->phase = ROLE_PHASE_SCOPE;
        if (hook->slice < 0)
                node_slice_take(hook);
        int r = role_check_not_frozen(hook, "started", "", &fault);
        if (r >= 0) {
                hook->scope_pending = true;
                r = ASK(hook->node, scope, start, hook);
                if (r < 0)
                        hook->scope_pending = false;
        }
        if (r < 0)
                hook_fail(hook, fault.message ?: g_strerror(-r));
}

void role_hook_on_scope(Role *hook, const Fault *fault, const char *cgroup) {
        hook->scope_pending = false;
        hook->scope_exists = true; /* a part of it, at least */
        if (!fault) {
                g_free(hook->cgroup);
                hook->cgroup = g_strdup(cgroup);
        }
        if (hook->hook_cancelled)
                hook_kill(hook);
        else if (hook->main_pid == 0) /* its keeper has died meanwhile */
                hook_begin(hook);
        else if (fault)
                hook_fail(hook, fault->message);
        else if (hook->main_exited)
                hook_advance(hook);
        else
                hook_open(hook);
}

void role_hook_on_report(Role *hook, LaunchStage stage, const char *text) {
        g_autofree char *reason =
                g_strdup_printf("%s (%s)", text, launch_stage_to_string(stage) ?: "unknown stage");

        if (!hook->failure.message)
                hook_fail(hook, reason);
}

/* -- their end -- */

void role_hook_check_exec(Role *hook) {
        struct proc_stat stat;

        if (hook->main_pid > 0 && proc_stat_read(hook->main_pid, &stat) >= 0 &&
                stat.start_time == hook->main_start_time && !(stat.flags & PROC_STAT_FORKNOEXEC))
                hook->main_execed = true;
}

static bool hook_ignores_failure(const Role *hook) {
        char *const *list = role_hook_commands(hook);
        size_t n;

        /* The child that runs several of them has ignored what is to be ignored. */
        return command_list_count(list) == 1 && command_list_next(&list, &n)[0][0] == COMMAND_IGNORES_FAILURE;
}

static void hook_tell_exit(const Role *hook) {
        const RoleExit *e = &hook->exit;

        if (e->code == EXIT_CODE_LOST)
                hook_log(hook, LOG_WARNING,
                        hook->main_execed ? "have run, but how they ended is not known"
                                          : "may have run or not, and are not run again");
        else if (!hook->main_execed)
                hook_log(hook, LOG_WARNING, "were not run: their process ended during its set-up");
        else if (e->code != EXIT_CODE_EXITED || e->status != 0)
                hook_log(hook, hook_ignores_failure(hook) ? LOG_INFO : LOG_WARNING,
                        "have failed (code=%s, status=%d)%s", exit_code_to_string(e->code), e->status,
                        hook_ignores_failure(hook)     ? ", ignoring"
                        : hook->hook_kind == HOOK_STOP ? "; the stop goes on"
                                                       : "");
}

/* A child that has not got its launch request exits, and nothing has begun. It is the child of a process that
 * has died: in this one it has got that. */
static bool hook_has_not_begun(const Role *hook) {
        if (hook->main_execed || hook->failure.message || hook->hook_cancelled)
                return false;
        return hook->phase != ROLE_PHASE_OPEN || (hook->interrupted && hook->exit.code == EXIT_CODE_EXITED);
}

static void hook_ended(Role *hook) {
        if (hook_has_not_begun(hook)) {
                if (hook->scope_pending) { /* role_hook_on_scope() goes on */
                        role_reap(hook);
                        hook->main_pid = 0;
                        return;
                }
                role_reap(hook);
                hook_begin(hook);
                return;
        }
        if (!hook->failure.message && !hook->hook_cancelled)
                hook_tell_exit(hook);
        /* What they have left is ended as after the main process of a role, and the deadline is the same. */
        if (hook->hook_kind == HOOK_STOP_POST && !hook->hook_cancelled && hook_is_populated(hook))
                role_signal_scope(hook, SIGTERM, SIGNAL_CONTINUE, (Waiter){});
        hook_advance(hook);
}

void role_hook_on_exited(Role *hook, const RoleExit *exit, bool execed) {
        if (hook->main_exited)
                return; /* reported again */
        hook->main_exited = true;
        hook->main_execed = hook->main_execed || execed;
        hook->exit = *exit;
        if (hook->phase == ROLE_PHASE_OPEN && hook->gate_fd >= 0 && !hook->failure.message &&
                !hook->hook_cancelled)
                return; /* the gate still contains its reports, and its end follows */
        hook_ended(hook);
}

void role_hook_take_exit(Role *hook, const RoleExit *exit) {
        hook->main_exited = true;
        hook->exit = *exit;
        hook->finishing = true;
}

void role_hook_go_on(Role *hook) {
        if (!hook->finishing || (hook->phase == ROLE_PHASE_OPEN && hook->gate_fd >= 0))
                return;
        hook->finishing = false;
        hook_ended(hook);
}

void role_hook_on_gate_closed(Role *hook) {
        hook->gate_closed = true;
        hook->gate_fd = fd_close(hook->gate_fd);
        if (hook->main_exited) {
                hook->finishing = false;
                hook_ended(hook);
        } else
                role_hook_check_exec(hook);
}

void role_hook_on_cgroup_changed(Role *hook) {
        if (hook->main_exited)
                hook_advance(hook);
}

void role_hook_on_scope_removed(Role *hook) {
        hook->scope_pending = false;
        hook_advance(hook);
}

/* -- after a restart -- */

void role_hooks_resume(Role *role) {
        Role *hook = role->hook;

        if (!hook)
                return;
        if (hook->hook_cancelled || (hook->hook_kind == HOOK_STOP && role->stop_step >= STOP_STEP_KILLED))
                hook_kill(hook);
        else if (hook->hook_kind == HOOK_STOP_POST)
                hook_set_deadline_timer(hook);
}

void role_hook_requeue(Role *hook) {
        hook->child = 0;
        hook->main_pid = 0;
        if (hook->hook_cancelled || hook->failure.message)
                hook_advance(hook);
        else if (!hook->scope_pending)
                hook_begin(hook);
}
