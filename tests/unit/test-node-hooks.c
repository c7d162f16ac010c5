/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The commands of exec-stop and exec-stop-post: when they run, what waits for them, how they end, and what a
 * restart of the service or of the keeper makes of them in each phase. */

#include "model/role-hooks.h"
#include "model/role-recover.h"
#include "model/role-state.h"
#include "test-world.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd-util.h"

static void add(char ***list, const char *program) {
        assert_return_code(role_spec_add_command(list, "x", (char *[]){ (char *) program, NULL }, NULL), 0);
}

static RoleSpec *spec_with(const char *stop, const char *post) {
        RoleSpec *spec = test_spec();

        if (stop)
                add(&spec->exec_stop, stop);
        if (post)
                add(&spec->exec_stop_post, post);
        return spec;
}

static Role *run_with(TestWorld *w, const char *stop, const char *post) {
        Role *role = world_run(w, "cam", spec_with(stop, post));

        forget_calls(w);
        return role;
}

static void stop_by(TestWorld *w, Role *role, RoleCause cause, Told *told) {
        node_stop_role(w->node, role, cause, NULL, told ? told_by(told) : (Waiter){});
}

/* Their child executes them. */
static void hook_runs(TestWorld *w, Role *hook) {
        world_forked(w, hook);
        if (hook->hook_kind == HOOK_STOP_POST)
                world_scope_made(w, hook);
        role_on_gate_closed(hook);
        assert_int_equal(hook->phase, ROLE_PHASE_OPEN);
        assert_true(hook->main_execed);
}

static void hook_ends(Role *hook, ExitCode code, int status) {
        RoleExit exit = test_exit(code, status);

        role_on_exited(hook, &exit, true);
}

static void assert_environment(const Role *hook, const char *expected) {
        g_autofree char *all = g_strjoinv(" ", hook->spec->environment);

        assert_string_equal(all, expected);
}

static void test_stop(void **state) {
        static const struct {
                const char *program;
                ExitCode code;
                int status;
        } ends[] = {
                { "x", EXIT_CODE_EXITED, 0 },
                { "x", EXIT_CODE_EXITED, 3 },
                { "-x", EXIT_CODE_EXITED, 3 },
                { "x", EXIT_CODE_KILLED, SIGKILL },
                { "x", EXIT_CODE_LOST, -1 },
        };
        TestWorld *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(ends); i++) {
                g_auto(Told) told = {};
                Role *role = run_with(w, ends[i].program, NULL);
                g_autofree char *environment =
                        g_strdup_printf("SERVICE_RESULT=success MAINPID=%d", (int) role->main_pid);

                stop_by(w, role, ROLE_CAUSE_STOP, &told);
                expect_calls(w, "save(cam) fork(cam:exec-stop)");
                assert_int_equal(role->stop_step, STOP_STEP_COMMAND);
                assert_non_null(role->timer);
                uint64_t deadline = role->stop_deadline;
                Role *hook = role->hook;
                assert_environment(hook, environment);
                assert_string_equal(hook->cgroup, role->cgroup);
                assert_true(role_hook_commands(hook) == role->spec->exec_stop);
                world_forked(w, hook);
                expect_calls(w, "save(cam) launch(cam:exec-stop)");
                role_on_gate_closed(hook);
                assert_true(role->stdin_fd >= 0); /* its end of file may be the end of the role */
                expect_calls(w, "");
                hook_ends(hook, ends[i].code, ends[i].status);
                expect_calls(
                        w, "reap(cam:exec-stop) save(cam) signal-cgroup(cam,15,continue) close-stdin(cam)");
                assert_int_equal(role->stop_step, STOP_STEP_ASKED);
                assert_true(role->stop_deadline == deadline);
                assert_null(role->hook);
                assert_not_told(&told);
                world_exit(w, role, EXIT_CODE_KILLED, SIGTERM);
                assert_told_success(&told);
                node_purge_role(w->node, role, NULL);
                assert_nothing_left(w, "cam");
                forget_calls(w);
        }
}

/* They cannot be run. The stop goes on. */
static void test_stop_cannot_run(void **state) {
        TestWorld *w = *state;
        Role *role = run_with(w, "x", NULL);

        w->fork_result = -EPROTONOSUPPORT;
        stop_by(w, role, ROLE_CAUSE_SHUTDOWN, NULL);
        expect_calls(
                w, "save(cam) fork(cam:exec-stop) save(cam) signal-cgroup(cam,15,continue) close-stdin(cam)");
        world_exit(w, role, EXIT_CODE_KILLED, SIGTERM);
        w->fork_result = 0;

        role = run_with(w, "x", NULL);
        stop_by(w, role, ROLE_CAUSE_STOP, NULL);
        world_fork_failed(w, role->hook, -ENOENT);
        expect_calls(
                w, "save(cam) fork(cam:exec-stop) save(cam) signal-cgroup(cam,15,continue) close-stdin(cam)");
        world_exit(w, role, EXIT_CODE_KILLED, SIGTERM);

        role = run_with(w, "x", NULL);
        stop_by(w, role, ROLE_CAUSE_STOP, NULL);
        world_forked(w, role->hook);
        forget_calls(w);
        role_on_gate_report(role->hook, LAUNCH_STAGE_EXEC, -ENOENT, true, "a warning");
        assert_null(role->hook->failure.message);
        role_on_gate_report(role->hook, LAUNCH_STAGE_EXEC, -ENOENT, false, "no such file");
        expect_calls(w, "signal-main(cam:exec-stop,9)");
        RoleExit exit = test_exit(EXIT_CODE_EXITED, 255);
        role_on_exited(role->hook, &exit, false);
        expect_calls(w, "reap(cam:exec-stop) save(cam) signal-cgroup(cam,15,continue) close-stdin(cam)");
        world_exit(w, role, EXIT_CODE_KILLED, SIGTERM);
        assert_true(role_is_over(role));
}

/* The role ends by them. What it has left has to wait for them, too. */
static void test_stop_ends_role(void **state) {
        TestWorld *w = *state;

        for (int leaving = 0; leaving < 2; leaving++) {
                g_auto(Told) told = {};
                Role *role = run_with(w, "x", NULL);

                stop_by(w, role, ROLE_CAUSE_STOP, &told);
                hook_runs(w, role->hook);
                forget_calls(w);
                if (leaving)
                        world_exit_leaving(w, role, EXIT_CODE_EXITED, 0);
                else
                        world_exit(w, role, EXIT_CODE_EXITED, 0);
                expect_calls(w, "exited(cam) watch(cam) save(cam) reap(cam)");
                assert_int_equal(role->state, ROLE_ENDED);
                assert_false(role->swept);
                role_on_cgroup_changed(role);
                assert_not_told(&told);
                hook_ends(role->hook, EXIT_CODE_EXITED, 0);
                if (leaving) {
                        expect_calls(w, "reap(cam:exec-stop) save(cam) signal-cgroup(cam,15,continue)");
                        world_emptied(w, role);
                }
                assert_true(role->swept);
                assert_told_success(&told);
                forget_calls(w);
        }
}

/* Not run: by Kill, after a missed deadline, and of a start that was not successful. */
static void test_stop_not_run(void **state) {
        TestWorld *w = *state;
        static const RoleCause causes[] = { ROLE_CAUSE_KILL, ROLE_CAUSE_TIMEOUT, ROLE_CAUSE_WATCHDOG };

        for (size_t i = 0; i < ELEMENTSOF(causes); i++) {
                Role *role = run_with(w, "x", NULL);

                role_stop(role, causes[i], causes[i] == ROLE_CAUSE_KILL, NULL);
                assert_null(role->hook);
                world_exit(w, role, EXIT_CODE_KILLED, SIGKILL);
        }
        RoleSpec *spec = spec_with("x", NULL);
        spec->type = ROLE_TYPE_ONESHOT;
        Role *role = world_start(w, "cam", spec, NULL);
        world_executed(w, role);
        stop_by(w, role, ROLE_CAUSE_STOP, NULL);
        assert_null(role->hook);
        world_exit(w, role, EXIT_CODE_KILLED, SIGTERM);

        /* And an end by itself. */
        role = run_with(w, "x", NULL);
        world_exit(w, role, EXIT_CODE_EXITED, 0);
        expect_calls(w, "exited(cam) save(cam) reap(cam)");
}

/* Kill, and the stop timeout, end them with everything else. */
static void test_stop_killed(void **state) {
        TestWorld *w = *state;

        for (int timeout = 0; timeout < 2; timeout++)
                for (RolePhase phase = ROLE_PHASE_FORK; phase <= ROLE_PHASE_OPEN; phase += 2) {
                        g_auto(Told) told = {};
                        Role *role = run_with(w, "x", NULL);

                        stop_by(w, role, ROLE_CAUSE_STOP, &told);
                        if (phase == ROLE_PHASE_OPEN)
                                hook_runs(w, role->hook);
                        forget_calls(w);
                        if (timeout) {
                                assert_return_code(sd_event_source_set_time(role->timer, 1), 0);
                                world_wait(w, role->stop_step == STOP_STEP_KILLED);
                        } else
                                stop_by(w, role, ROLE_CAUSE_KILL, NULL);
                        assert_true(role->hook->hook_cancelled);
                        if (phase == ROLE_PHASE_FORK) {
                                expect_calls(w, "save(cam) signal-cgroup(cam,9)");
                                world_forked(w, role->hook);
                                expect_calls(w, "signal-main(cam:exec-stop,9)");
                        } else
                                expect_calls(
                                        w, "save(cam) signal-cgroup(cam,9) signal-main(cam:exec-stop,9)");
                        world_exit(w, role, EXIT_CODE_KILLED, SIGKILL);
                        assert_not_told(&told);
                        hook_ends(role->hook, EXIT_CODE_KILLED, SIGKILL);
                        assert_true(role->swept);
                        assert_told_success(&told);
                }
}

static void test_post(void **state) {
        static const struct {
                ExitCode code;
                int status;
                const char *environment;
        } ends[] = {
                { EXIT_CODE_EXITED, 0, "SERVICE_RESULT=success EXIT_CODE=exited EXIT_STATUS=0" },
                { EXIT_CODE_EXITED, 7, "SERVICE_RESULT=exit-code EXIT_CODE=exited EXIT_STATUS=7" },
                { EXIT_CODE_KILLED, SIGTERM, "SERVICE_RESULT=success EXIT_CODE=killed EXIT_STATUS=TERM" },
                { EXIT_CODE_DUMPED, SIGABRT, "SERVICE_RESULT=core-dump EXIT_CODE=dumped EXIT_STATUS=ABRT" },
                { EXIT_CODE_LOST, -1, "SERVICE_RESULT=lost EXIT_CODE=lost" },
        };
        TestWorld *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(ends); i++) {
                g_auto(Told) stop = {}, start = {};
                g_auto(GStrv) purged = NULL;
                g_auto(Fault) fault = {};
                Role *role = run_with(w, NULL, "x");

                world_exit(w, role, ends[i].code, ends[i].status);
                expect_calls(w, "exited(cam) save(cam) fork(cam:exec-stop-post)");
                Role *hook = role->hook;
                assert_environment(hook, ends[i].environment);
                assert_string_equal(hook->scope, "architect-main-_post-cam.scope");
                world_forked(w, hook);
                expect_calls(w, "scope(cam:exec-stop-post)");
                world_scope_made(w, hook);
                expect_calls(w, "save(cam) launch(cam:exec-stop-post)");
                (void) g_hash_table_add(w->populated, hook);
                role_on_gate_closed(hook);

                /* All this waits. */
                assert_int_equal(role->state, ROLE_ENDED);
                assert_false(role_is_over(role));
                assert_int_equal(
                        node_purge(w->node, (char *[]){ "cam", NULL }, NULL, NULL, &purged, &fault), -EBUSY);
                assert_contains(fault.message, "its commands of exec-stop-post still run");
                stop_by(w, role, ROLE_CAUSE_STOP, &stop);
                assert_not_told(&stop);
                Role *next = world_start(w, "cam", NULL, &start);
                assert_int_equal(next->phase, ROLE_PHASE_SWEEP);
                forget_calls(w);

                /* What they have left is ended. */
                hook_ends(hook, EXIT_CODE_EXITED, 0);
                expect_calls(w, "signal-cgroup(cam:exec-stop-post,15,continue) watch(cam:exec-stop-post)");
                assert_not_told(&stop);
                world_emptied(w, hook);
                expect_calls(w, "reap(cam:exec-stop-post) save(cam) reap(cam) fork(cam)");
                assert_told_success(&stop);
                node_stop_role(w->node, next, ROLE_CAUSE_STOP, NULL, (Waiter){});
                world_fork_failed(w, next, -EAGAIN);
                node_purge_role(w->node, world_find(w, "cam"), NULL);
                assert_nothing_left(w, "cam");
                forget_calls(w);
        }
}

/* After a start that has failed once its set-up may have begun, and before its caller is told. */
static void test_post_of_failed_start(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {}, early = {}, pre = {};

        Role *role = world_start(w, "cam", spec_with(NULL, "x"), &told);
        world_forked(w, role);
        world_scope_made(w, role);
        role_on_gate_report(role, LAUNCH_STAGE_EXEC, -ENOENT, false, "no such file");
        RoleExit exit = test_exit(EXIT_CODE_EXITED, 255);
        role_on_exited(role, &exit, false);
        forget_calls(w);
        world_scope_removed(w, role);
        expect_calls(w, "save(cam) fork(cam:exec-stop-post)");
        assert_environment(role->hook, "SERVICE_RESULT=exit-code");
        assert_not_told(&told);
        hook_runs(w, role->hook);
        hook_ends(role->hook, EXIT_CODE_EXITED, 0);
        assert_told_fault(&told, NODE_ERROR_EXEC_FAILED, "no such file");
        (void) g_hash_table_remove_all(w->scopes);
        assert_nothing_left(w, "cam");

        role = world_start(w, "cam", spec_with(NULL, "x"), &pre);
        world_forked(w, role);
        world_scope_made(w, role);
        role_on_gate_report(role, LAUNCH_STAGE_START_PRE, -EINTR, false, "killed");
        role_on_exited(role, &exit, false);
        world_scope_removed(w, role);
        assert_environment(role->hook, "SERVICE_RESULT=signal");
        /* They cannot be run. */
        world_fork_failed(w, role->hook, -EAGAIN);
        assert_told_fault(&pre, NODE_ERROR_SETUP_FAILED, "killed");
        assert_nothing_left(w, "cam");

        role = world_start(w, "cam", spec_with(NULL, "x"), &early);
        world_fork_failed(w, role, -EAGAIN);
        assert_told_fault(&early, NODE_ERROR_SETUP_FAILED, "cannot fork");
        assert_nothing_left(w, "cam");
}

/* At the deadline, or by Kill, they are killed, and a process that survives is told of. */
static void test_post_killed(void **state) {
        TestWorld *w = *state;

        for (int timeout = 0; timeout < 2; timeout++) {
                g_auto(Told) stop = {};
                Role *role = run_with(w, "y", "x");

                stop_by(w, role, ROLE_CAUSE_KILL, &stop);
                world_exit(w, role, EXIT_CODE_KILLED, SIGKILL);
                Role *hook = role->hook;
                assert_non_null(hook);
                assert_int_equal(hook->hook_kind, HOOK_STOP_POST);
                hook_runs(w, hook);
                (void) g_hash_table_add(w->populated, hook);
                forget_calls(w);
                if (timeout) {
                        assert_return_code(sd_event_source_set_time(hook->timer, 1), 0);
                        world_wait(w, hook->hook_cancelled);
                } else
                        stop_by(w, role, ROLE_CAUSE_KILL, NULL);
                expect_calls(w,
                        "signal-main(cam:exec-stop-post,9) signal-cgroup(cam:exec-stop-post,9,each) save(cam)");
                hook_ends(hook, EXIT_CODE_KILLED, SIGKILL);
                assert_not_told(&stop);
                world_get_stuck(w, hook, &hook->stop_step);
                assert_told_fault(&stop, NODE_ERROR_STOP_TIMED_OUT, "these processes are left: 4711");
                world_emptied(w, hook);
                assert_true(role_is_over(role));
                assert_int_equal(w->node->n_awaited, 0);
        }
}

/* -- restarts -------------------------------------------------------------------------------------- */

typedef enum Outcome {
        AGAIN, /* with a new child */
        GOES_ON,
        GATE,
        OVER,   /* what they have reported or not is told, and nothing runs again */
        LEAVES, /* waits for the exit of its child, and begins again then */
} Outcome;

static const struct {
        ChildReport report;
        Outcome begun, open; /* by the phase that was saved */
} lives[] = {
        { CHILD_NONE, AGAIN, OVER },
        { CHILD_STARTING, LEAVES, GATE },
        { CHILD_RUNNING, GOES_ON, GOES_ON },
        { CHILD_ENDED, AGAIN, OVER },
        { CHILD_UNKNOWN, AGAIN, OVER },
        { CHILD_ORPHAN, GOES_ON, GOES_ON },
};

static Role *next_life(TestWorld *w, Role *role, bool restart) {
        g_autofree char *text = role_state_format(role);
        const bool populated = g_hash_table_contains(w->populated, role);
        const uint64_t next_child = w->node->next_child;

        w->connected = false;
        if (!restart) {
                node_on_keeper_lost(w->node);
                return role;
        }
        g_hash_table_remove_all(w->populated);
        g_hash_table_remove_all(w->scopes);
        world_new_node(w, NULL);
        assert_return_code(role_state_parse(w->node, "cam", text, &role), 0);
        /* Everything about them is saved again. */
        g_autofree char *again = role_state_format(role);
        const char *saved = strstr(text, "\nHOOK="), *saved_again = strstr(again, "\nHOOK=");
        assert_true(saved && saved_again);
        const size_t n = (size_t) (strstr(saved, "# CHECKSUM") - saved);
        assert_memory_equal(saved, saved_again, n);
        node_add_role(w->node, role);
        if (populated)
                (void) g_hash_table_add(w->populated, role);
        w->node->next_child = next_child;
        return role;
}

static void list_hook(TestWorld *w, uint64_t child, ChildReport report, bool open, pid_t at_gate) {
        const bool starting = report == CHILD_STARTING;
        ListedChild listed = {
                .child = child,
                .role = "cam",
                .report = report == CHILD_ORPHAN ? CHILD_RUNNING : report,
                .orphan = report == CHILD_ORPHAN,
                .pid = starting ? at_gate : getpid(),
                .start_time = start_time_of(starting ? at_gate : getpid()),
                .execed = report == CHILD_RUNNING || report == CHILD_ORPHAN || (open && !starting),
                .exit = report == CHILD_ENDED ? test_exit(EXIT_CODE_EXITED, 0) : role_exit_lost(),
                .pidfd = some_fd(),
                .gate_fd = starting ? some_fd() : -EBADF,
                .stdin_fd = -EBADF,
                .terminal_fd = -EBADF,
        };

        (void) g_hash_table_add(w->children, GUINT_TO_POINTER((guint) child));
        node_on_child(w->node, &listed);
        assert_true(listed.pidfd < 0 && listed.gate_fd < 0);
}

static void list_main(TestWorld *w, Role *role) {
        ListedChild listed = {
                .child = role->child,
                .role = "cam",
                .report = CHILD_RUNNING,
                .pid = getpid(),
                .start_time = start_time_of(getpid()),
                .execed = true,
                .pidfd = some_fd(),
                .gate_fd = -EBADF,
                .stdin_fd = some_fd(),
                .terminal_fd = -EBADF,
        };

        (void) g_hash_table_add(w->children, GUINT_TO_POINTER((guint) role->child));
        node_on_child(w->node, &listed);
}

static Role *hook_of(TestWorld *w) {
        Role *role = world_find(w, "cam");

        return role ? role->hook : NULL;
}

/* The role is at the end of what the hooks belong to, once. */
static void finish(TestWorld *w, HookKind kind, bool failed_start, const char *name) {
        Role *role = world_find(w, "cam");

        if (failed_start) {
                assert_null(role);
                return;
        }
        if (!role || role->hook)
                fail_msg("%s: the role is not at its end: %s", name, w->calls->str);
        if (kind == HOOK_STOP) {
                assert_int_equal(role->stop_step, STOP_STEP_ASKED);
                assert_contains(w->calls->str, "signal-cgroup(cam,15,continue)");
                world_exit(w, role, EXIT_CODE_KILLED, SIGTERM);
        }
        assert_true(role_is_over(role));
}

static void live(
        HookKind kind, bool failed_start, bool restart, RolePhase phase, size_t which, pid_t at_gate) {
        void *state = NULL;

        assert_int_equal(test_world_setup(&state), 0);
        TestWorld *w = state;
        node_on_keeper(w->node, NULL, 0);
        Role *role;
        if (failed_start) {
                role = world_start(w, "cam", spec_with(NULL, "x"), NULL);
                world_forked(w, role);
                world_scope_made(w, role);
                role_on_gate_report(role, LAUNCH_STAGE_EXEC, -ENOENT, false, "no such file");
                RoleExit exit = test_exit(EXIT_CODE_EXITED, 255);
                role_on_exited(role, &exit, false);
                world_scope_removed(w, role);
        } else {
                role = world_run(w, "cam", kind == HOOK_STOP ? spec_with("x", NULL) : spec_with(NULL, "x"));
                if (kind == HOOK_STOP)
                        stop_by(w, role, ROLE_CAUSE_STOP, NULL);
                else
                        world_exit(w, role, EXIT_CODE_EXITED, 0);
        }
        assert_non_null(role->hook);
        if (phase >= ROLE_PHASE_SCOPE)
                world_forked(w, role->hook);
        if (phase >= ROLE_PHASE_OPEN && kind == HOOK_STOP_POST)
                world_scope_made(w, role->hook);
        /* Its process is dead if the keeper does not have it. */
        if (phase >= ROLE_PHASE_SCOPE && lives[which].report == CHILD_NONE) {
                role->hook->main_pid = 1;
                role->hook->main_start_time = 1;
                role->hook->main_pidfd = fd_close(role->hook->main_pidfd);
        }
        if (phase >= ROLE_PHASE_OPEN && lives[which].report != CHILD_STARTING)
                role->hook->gate_fd = fd_close(role->hook->gate_fd);
        const bool open = role->hook->phase == ROLE_PHASE_OPEN;
        const uint64_t child = role->hook->child;
        const bool scope_pending = role->hook->scope_pending;

        role = next_life(w, role, restart);
        forget_calls(w);
        g_hash_table_remove_all(w->children);
        if (kind == HOOK_STOP)
                list_main(w, role);
        if (lives[which].report != CHILD_NONE)
                list_hook(w, child, lives[which].report, open, at_gate);
        w->connected = true;
        node_on_keeper(w->node, NULL, 0);

        Outcome outcome = open ? lives[which].open : lives[which].begun;
        g_autofree char *name = g_strdup_printf("%s%s%s, phase %d, the keeper reports %s",
                kind == HOOK_STOP ? "stop" : "post", failed_start ? " of a failed start" : "",
                restart ? ", restart" : "", phase, child_report_to_string(lives[which].report));
        Role *hook = hook_of(w);
        if (outcome == LEAVES) {
                if (!hook || hook->child != child)
                        fail_msg("%s: it does not wait for its child", name);
                RoleExit exit = test_exit(EXIT_CODE_EXITED, 255);
                role_on_exited(hook, &exit, false);
                hook = hook_of(w);
                outcome = AGAIN;
        }
        if (outcome == AGAIN && hook && scope_pending && !restart)
                world_scope_failed(w, hook); /* the reply about the process that has died */
        switch (outcome) {
        case AGAIN:
                hook = hook_of(w);
                if (!hook || hook->phase != ROLE_PHASE_FORK || hook->child <= child ||
                        !strstr(w->calls->str, "fork(cam:exec-stop"))
                        fail_msg("%s: it does not begin again: %s", name, w->calls->str);
                (void) g_hash_table_remove(w->children, GUINT_TO_POINTER((guint) child));
                hook_runs(w, hook);
                hook_ends(hook, EXIT_CODE_EXITED, 0);
                break;
        case GATE:
        case GOES_ON:
                if (!hook || hook->child != child || strstr(w->calls->str, "fork(") ||
                        strstr(w->calls->str, "launch("))
                        fail_msg("%s: it does not go on: %s", name, w->calls->str);
                if (outcome == GATE) {
                        assert_contains(w->calls->str, "watch-gate(cam:exec-stop");
                        role_on_gate_closed(hook);
                }
                hook_ends(hook, EXIT_CODE_EXITED, 0);
                break;
        default:
                if (hook || strstr(w->calls->str, "fork(") || strstr(w->calls->str, "launch("))
                        fail_msg("%s: it is not over: %s", name, w->calls->str);
                break;
        }
        if (hook_of(w) && scope_pending && !restart)
                world_scope_failed(w, hook_of(w)); /* as above */
        if (hook_of(w) && hook_of(w)->scope_pending)
                world_scope_removed(w, hook_of(w));
        finish(w, kind, failed_start, name);
        assert_int_equal(w->node->n_starts, 0);
        assert_int_equal(w->node->n_awaited, 0);
        g_hash_table_remove_all(w->children);
        assert_int_equal(test_world_teardown(&state), 0);
}

static void test_lives(void **state) {
        pid_t at_gate = fork_pausing();

        for (int restart = 0; restart < 2; restart++)
                for (RolePhase phase = ROLE_PHASE_FORK; phase <= ROLE_PHASE_OPEN; phase++)
                        for (size_t i = 0; i < ELEMENTSOF(lives); i++) {
                                if (phase != ROLE_PHASE_SCOPE) /* it needs no scope */
                                        live(HOOK_STOP, false, restart, phase, i, at_gate);
                                live(HOOK_STOP_POST, false, restart, phase, i, at_gate);
                                live(HOOK_STOP_POST, true, restart, phase, i, at_gate);
                        }
        assert_return_code(kill(at_gate, SIGKILL), errno);
        (void) waitpid(at_gate, NULL, 0);
}

static void test_decisions(void **state) {
        for (size_t i = 0; i < ELEMENTSOF(lives); i++)
                assert_int_equal(role_recover_decide(RECOVER_POST, lives[i].report),
                        lives[i].report == CHILD_NONE ? RECOVER_NOTHING : RECOVER_REAP);
        assert_int_equal(ELEMENTSOF(lives), _CHILD_REPORT_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, test_world_setup, test_world_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_stop),
                TEST(test_stop_cannot_run),
                TEST(test_stop_ends_role),
                TEST(test_stop_not_run),
                TEST(test_stop_killed),
                TEST(test_post),
                TEST(test_post_of_failed_start),
                TEST(test_post_killed),
                cmocka_unit_test(test_decisions),
                cmocka_unit_test(test_lives),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
