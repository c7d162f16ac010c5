/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The steps from running to the last process: the stop and its escalation, the end of the main process, the
 * sweep, the shutdown, and the limits of the node. */

#include "base/fd-util.h"
#include "base/time-util.h"
#include "model/input.h"
#include "model/settings.h"
#include "test-world.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

static void stop(TestWorld *w, Role *role, Told *told) {
        node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, told ? told_by(told) : (Waiter){});
}

static void test_stop(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {}, joined = {};
        Caller caller = { .known = true, .uid = 7, .pid = 8 };

        Role *role = world_run(w, "cam", NULL);
        forget_calls(w);
        node_stop_role(w->node, role, ROLE_CAUSE_STOP, &caller, told_by(&told));
        stop(w, role, &joined);
        assert_int_equal(role->state, ROLE_STOPPING);
        /* The stop is saved before the signal is sent. SIGCONT is for stopped processes. */
        expect_calls(w, "save(cam) signal-cgroup(cam,15,continue) close-stdin(cam)");

        /* Its main process has ended, but another one is left, so the stop is not complete. */
        world_exit_leaving(w, role, EXIT_CODE_KILLED, SIGTERM);
        assert_int_equal(role->state, ROLE_ENDED);
        /* All have received the signal already. */
        expect_calls(w, "exited(cam) watch(cam) save(cam) reap(cam)");
        role_on_cgroup_changed(role);
        assert_not_told(&told);

        world_emptied(w, role);
        expect_calls(w, "save(cam)");
        assert_told_success(&told);
        assert_told_success(&joined);
        assert_true(role->swept);
        assert_null(role->timer);
        assert_null(role->cgroup);
        assert_int_equal(role->slice, -1);
        assert_int_equal(role->cause, ROLE_CAUSE_STOP);
        assert_int_equal(role->cause_caller.uid, 7);
        assert_int_equal(g_hash_table_size(w->children), 0);
}

static void test_stop_signal(void **state) {
        TestWorld *w = *state;
        RoleSpec *spec = test_spec();

        spec->stop_signal = SIGINT;
        Role *role = world_run(w, "cam", spec);
        (void) g_hash_table_add(w->frozen, role);
        forget_calls(w);
        stop(w, role, NULL);
        expect_calls(w, "save(cam) thaw(cam) signal-cgroup(cam,2,continue) close-stdin(cam)");
}

/* With stop-to=main the other processes get the signal once the main process has ended, with a timeout of
 * their own. */
static void test_stop_to_main(void **state) {
        TestWorld *w = *state;
        RoleSpec *spec = test_spec();
        g_auto(Told) told = {};

        spec->stop_to = STOP_TO_MAIN;
        spec->stop_signal = SIGHUP;
        Role *role = world_run(w, "cam", spec);
        forget_calls(w);
        stop(w, role, &told);
        expect_calls(w, "save(cam) signal-main(cam,1) signal-main(cam,18) close-stdin(cam)");
        world_exit_leaving(w, role, EXIT_CODE_EXITED, 0);
        expect_calls(w, "exited(cam) watch(cam) save(cam) signal-cgroup(cam,15,continue) reap(cam)");
        assert_not_told(&told);
        world_emptied(w, role);
        assert_told_success(&told);
}

static Role *run_cgroup(TestWorld *w, StopTo to) {
        RoleSpec *spec = test_spec();

        spec->exit_type = EXIT_TYPE_CGROUP;
        spec->stop_to = to;
        return world_run(w, "cam", spec);
}

/* With exit-type=cgroup the role runs on without its main process, and ends with its exit. */
static void test_outlives_main(void **state) {
        TestWorld *w = *state;
        g_auto(Fault) fault = {};

        Role *role = run_cgroup(w, STOP_TO_ALL);
        forget_calls(w);
        unsigned n_changed = w->n_changed;
        world_exit_leaving(w, role, EXIT_CODE_EXITED, 7);
        assert_int_equal(role->state, ROLE_RUNNING);
        assert_int_equal(role->main_pid, 0);
        assert_true(role->main_pidfd < 0);
        assert_true(w->n_changed > n_changed);
        /* It is saved at once, and not reaped: the keeper still holds its stdin. */
        expect_calls(w, "watch(cam) save(cam)");
        g_autofree char *poll = role_poll(role);
        assert_string_equal(poll, "running");
        const RoleExit exit = role->exit;

        assert_fault(node_signal_role(w->node, role, false, SIGUSR1, NULL, (Waiter){}, &fault), &fault,
                NODE_ERROR_ROLE_NOT_RUNNING, "The main process of role \"cam\" has ended");
        assert_return_code(node_signal_role(w->node, role, true, SIGUSR1, NULL, (Waiter){}, &fault), 0);
        expect_calls(w, "signal-cgroup(cam,10)");
        world_answer(w, NULL);
        role_on_cgroup_changed(role);
        expect_calls(w, "");

        world_emptied(w, role);
        expect_calls(w, "exited(cam) save(cam) reap(cam)");
        assert_int_equal(role->state, ROLE_ENDED);
        assert_int_equal(role->cause, ROLE_CAUSE_SELF);
        assert_memory_equal(&role->exit, &exit, sizeof(exit));
        assert_true(role->swept);
}

/* Without others it is like any role, and the cause is asked for once, when the last one has ended. */
static void test_cgroup_alone(void **state) {
        TestWorld *w = *state;

        Role *role = run_cgroup(w, STOP_TO_ALL);
        forget_calls(w);
        world_exit(w, role, EXIT_CODE_EXITED, 0);
        expect_calls(w, "exited(cam) save(cam) reap(cam)");

        role = run_cgroup(w, STOP_TO_ALL);
        forget_calls(w);
        w->stop_result = 0;
        world_exit_leaving(w, role, EXIT_CODE_EXITED, 0);
        expect_calls(w, "watch(cam) save(cam)");
        world_emptied(w, role);
        role_on_cgroup_changed(role); /* once more, as inotify may */
        expect_calls(w, "query-stop(cam)");
        role_on_external_stop(role);
        role_on_stop_known(role);
        assert_int_equal(role->state, ROLE_ENDED);
        assert_int_equal(role->cause, ROLE_CAUSE_EXTERNAL);
}

/* A stop ends them all, whether the main process ends during it or has ended before. */
static void test_stop_of_cgroup(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {}, again = {};

        Role *role = run_cgroup(w, STOP_TO_MAIN);
        forget_calls(w);
        stop(w, role, &told);
        expect_calls(w, "save(cam) signal-main(cam,15) signal-main(cam,18) close-stdin(cam)");
        world_exit_leaving(w, role, EXIT_CODE_KILLED, SIGTERM);
        assert_int_equal(role->state, ROLE_STOPPING);
        expect_calls(w, "watch(cam) save(cam) save(cam) signal-cgroup(cam,15,continue)");
        assert_not_told(&told);
        world_emptied(w, role);
        assert_told_success(&told);
        assert_int_equal(role->cause, ROLE_CAUSE_STOP);
        assert_int_equal(role->exit.status, SIGTERM);

        role = run_cgroup(w, STOP_TO_MAIN);
        world_exit_leaving(w, role, EXIT_CODE_EXITED, 3);
        forget_calls(w);
        stop(w, role, &again);
        expect_calls(w, "save(cam) signal-cgroup(cam,15,continue) close-stdin(cam)");
        world_emptied(w, role);
        assert_told_success(&again);
        assert_int_equal(role->cause, ROLE_CAUSE_STOP);
        assert_int_equal(role->exit.status, 3);
}

/* Real timers, with a short stop timeout. */
static void test_escalation(void **state) {
        TestWorld *w = *state;
        RoleSpec *spec = test_spec();
        g_auto(Told) told = {};

        spec->stop_timeout_usec = 1000;
        Role *role = world_run(w, "cam", spec);
        forget_calls(w);
        stop(w, role, &told);
        expect_calls(w, "save(cam) signal-cgroup(cam,15,continue) close-stdin(cam)");
        world_wait(w, role->stop_step == STOP_STEP_KILLED);
        expect_calls(w, "save(cam) signal-cgroup(cam,9)");
        assert_int_equal(role->state, ROLE_STOPPING);
        assert_int_equal(role->cause, ROLE_CAUSE_STOP); /* its cause is the stop all the same */

        /* SIGKILL is repeated, to each process, because one whose main thread has ended survives cgroup.kill.
         */
        world_wait(w, w->calls->len > 0);
        expect_calls(w, "signal-cgroup(cam,9,each)");
        assert_not_told(&told);
        world_exit(w, role, EXIT_CODE_KILLED, SIGKILL);
        assert_told_success(&told);
        assert_null(role->timer);
}

typedef struct LongTurn {
        TestWorld *w;
        Role *role;
        uint64_t asked;
} LongTurn;

/* What is done before the stop in the same turn of the loop. */
static int long_turn(sd_event_source *s, void *userdata) {
        LongTurn *turn = userdata;

        (void) usleep(50000);
        turn->asked = now_usec(CLOCK_MONOTONIC);
        stop(turn->w, turn->role, NULL);
        return 0;
}

/* Nobody gets less time because the loop was late. */
static void test_after_a_long_turn(void **state) {
        TestWorld *w = *state;
        RoleSpec *spec = test_spec();
        LongTurn turn = { .w = w };

        spec->stop_timeout_usec = 20000;
        turn.role = world_run(w, "cam", spec);
        assert_return_code(sd_event_add_defer(w->event, NULL, long_turn, &turn), 0);
        world_wait(w, turn.role->stop_step == STOP_STEP_KILLED);
        assert_true(now_usec(CLOCK_MONOTONIC) - turn.asked >= 20000);
        world_exit(w, turn.role, EXIT_CODE_KILLED, SIGKILL);
}

static void test_timeout_of_nothing(void **state) {
        TestWorld *w = *state;
        RoleSpec *spec = test_spec();

        spec->stop_timeout_usec = 0;
        Role *role = world_run(w, "cam", spec);
        stop(w, role, NULL);
        assert_int_equal(role->stop_step, STOP_STEP_ASKED); /* it gets the signal at least */
        world_wait(w, role->stop_step == STOP_STEP_KILLED);
}

static void test_never_killed(void **state) {
        TestWorld *w = *state;
        RoleSpec *spec = test_spec();

        spec->stop_timeout_usec = USEC_INFINITY;
        Role *role = world_run(w, "cam", spec);
        stop(w, role, NULL);
        assert_true(role->stop_deadline == USEC_INFINITY);
        assert_null(role->timer);

        /* A timeout whose deadline exceeds the clock never expires either. */
        spec = test_spec();
        spec->stop_timeout_usec = USEC_INFINITY - 1;
        role = world_run(w, "other", spec);
        stop(w, role, NULL);
        assert_true(role->stop_deadline == USEC_INFINITY);
        assert_null(role->timer);
}

static void test_stuck(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {}, joined = {}, again = {};

        Role *role = world_run(w, "cam", NULL);
        node_stop_role(w->node, role, ROLE_CAUSE_KILL, NULL, told_by(&told));
        stop(w, role, &joined);
        forget_calls(w);
        world_get_stuck(w, role, &role->stop_step);
        assert_told_fault(&told, NODE_ERROR_STOP_TIMED_OUT,
                "Role \"cam\" does not stop: 5 s after SIGKILL these processes are left: 4711, 4712");
        assert_told_fault(&joined, NODE_ERROR_STOP_TIMED_OUT, "4711");
        assert_int_equal(role->state, ROLE_STOPPING);
        assert_contains(w->calls->str, "save(cam)");
        assert_non_null(role->timer); /* it tries again */

        /* A new call starts a new attempt, with a timeout of its own. */
        forget_calls(w);
        stop(w, role, &again);
        expect_calls(w, "save(cam) signal-cgroup(cam,9)");
        assert_int_equal(role->stop_step, STOP_STEP_KILLED);
        world_exit(w, role, EXIT_CODE_KILLED, SIGKILL);
        assert_told_success(&again);
        assert_int_equal(told.n, 1);
}

/* SIGHUP follows the stop signal on a terminal, whose input stays. */
static void test_stop_on_terminal(void **state) {
        TestWorld *w = *state;
        static const struct {
                StopTo to;
                int signo;
                const char *calls;
        } cases[] = {
                { STOP_TO_ALL, SIGTERM, "save(cam) signal-cgroup(cam,15,continue) signal-cgroup(cam,1)" },
                { STOP_TO_ALL, SIGHUP, "save(cam) signal-cgroup(cam,1,continue)" },
                { STOP_TO_MAIN, SIGTERM,
                        "save(cam) signal-main(cam,15) signal-main(cam,18) signal-main(cam,1)" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                RoleSpec *spec = test_spec();

                spec->stdin_kind = ROLE_STDIN_PTY;
                spec->stop_to = cases[i].to;
                spec->stop_signal = cases[i].signo;
                Role *role = world_run(w, "cam", spec);
                forget_calls(w);
                stop(w, role, NULL);
                expect_calls(w, cases[i].calls);
                world_exit(w, role, EXIT_CODE_KILLED, SIGHUP);
        }
}

/* What waits for the pipe is dropped. */
static void test_stop_closes_input(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};
        g_auto(Fault) fault = {};

        Role *role = world_run(w, "cam", NULL);
        assert_int_equal(role->spec->stdin_kind, ROLE_STDIN_PIPE);
        g_autofree char *data = g_strnfill(1024 * 1024, 'x');
        (void) fd_close(role->stdin_fd);
        int fds[2];
        assert_return_code(pipe2(fds, O_CLOEXEC | O_NONBLOCK), errno);
        role->stdin_fd = fds[1];
        assert_return_code(
                input_write(role->input, data, 1024 * 1024, false, NULL, NULL, NULL, told_by(&told), &fault),
                0);
        assert_not_told(&told);
        stop(w, role, NULL);
        assert_told_fault(&told, NODE_ERROR_NO_INPUT, "because the role is being stopped");
        assert_true(role->stdin_fd < 0);
        int r = input_find(role, &fault);
        assert_fault(r, &fault, NODE_ERROR_NO_INPUT, "because the role is being stopped");
        (void) fd_close(fds[0]);
        world_exit(w, role, EXIT_CODE_KILLED, SIGTERM);
}

/* A unit above the scope is frozen. Stop does nothing and says so, as long as SIGKILL was not sent. */
static void test_frozen_above(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {}, killed = {}, joined = {};

        Role *role = world_run(w, "cam", NULL);
        w->frozen_above = "architect.slice";
        forget_calls(w);
        stop(w, role, &told);
        assert_told_fault(&told, NODE_ERROR_ROLE_FROZEN,
                "Role \"cam\" cannot be stopped: architect.slice, which is above its scope, is frozen");
        assert_int_equal(role->state, ROLE_RUNNING);
        expect_calls(w, "");

        node_stop_role(w->node, role, ROLE_CAUSE_KILL, NULL, told_by(&killed));
        assert_int_equal(role->stop_step, STOP_STEP_KILLED);
        stop(w, role, &joined);
        assert_not_told(&joined);
        world_exit(w, role, EXIT_CODE_KILLED, SIGKILL);
        assert_told_success(&killed);
        assert_told_success(&joined);
        told_clear(&told);
        stop(w, role, &told);
        assert_told_success(&told);
        w->frozen_above = NULL;
}

/* The processes that are left are stuck, but the main process is not. */
static void test_stuck_leftovers(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {}, again = {};

        Role *role = world_run(w, "cam", NULL);
        world_exit_leaving(w, role, EXIT_CODE_EXITED, 0);
        node_stop_role(w->node, role, ROLE_CAUSE_KILL, NULL, told_by(&told));
        world_get_stuck(w, role, &role->stop_step);
        assert_told_fault(&told, NODE_ERROR_STOP_TIMED_OUT, "4711");
        assert_int_equal(role->state, ROLE_ENDED);
        stop(w, role, &again);
        assert_int_equal(role->stop_step, STOP_STEP_KILLED);
        world_emptied(w, role);
        assert_told_success(&again);
        assert_true(role->swept);
}

/* The figures of the scope are read when the main process ends, because the cgroup has gone when systemd has
 * replied. */
static void test_figures_come_first(void **state) {
        TestWorld *w = *state;

        w->stop_result = 0;
        Role *role = world_run(w, "cam", NULL);
        g_free(role->cgroup);
        role->cgroup = g_strdup("/."); /* the root cgroup, whose figures are never 0 */
        world_exit_leaving(w, role, EXIT_CODE_EXITED, 0);
        assert_int_equal(role->state, ROLE_RUNNING); /* systemd is asked first */
        g_free(role->cgroup);
        role->cgroup = g_strdup("/no-such.slice");
        role_on_stop_known(role);
        assert_int_equal(role->state, ROLE_ENDED);
        assert_true(role->exit.scope_cpu_usec > 0);
        world_emptied(w, role);
}

static void test_kill_overrides(void **state) {
        TestWorld *w = *state;
        g_auto(Told) stopped = {}, killed = {};
        Caller caller = { .known = true, .uid = 3 };

        Role *role = world_run(w, "cam", NULL);
        stop(w, role, &stopped);
        forget_calls(w);
        node_stop_role(w->node, role, ROLE_CAUSE_KILL, &caller, told_by(&killed));
        expect_calls(w, "save(cam) signal-cgroup(cam,9)");
        world_exit(w, role, EXIT_CODE_KILLED, SIGKILL);
        assert_told_success(&stopped);
        assert_told_success(&killed);
        assert_int_equal(role->cause, ROLE_CAUSE_KILL);
        assert_int_equal(role->cause_caller.uid, 3);
}

static void test_sweep(void **state) {
        TestWorld *w = *state;
        RoleSpec *spec = test_spec();

        spec->stop_timeout_usec = 1000;
        Role *role = world_run(w, "cam", spec);
        forget_calls(w);
        world_exit_leaving(w, role, EXIT_CODE_EXITED, 4);
        /* The exit is sent at once. The remaining processes get SIGTERM, then SIGKILL. */
        expect_calls(w, "exited(cam) watch(cam) save(cam) signal-cgroup(cam,15,continue) reap(cam)");
        assert_int_equal(role->cause, ROLE_CAUSE_SELF);
        world_wait(w, role->stop_step == STOP_STEP_KILLED);
        expect_calls(w, "save(cam) signal-cgroup(cam,9)");
        assert_false(role->swept);
        world_emptied(w, role);
        assert_true(role->swept);
        role_on_cgroup_changed(role); /* late */
        assert_int_equal(g_queue_get_length(w->node->ended), 1);
}

/* A cgroup that cannot be read may not be empty. */
static void test_unreadable_cgroup(void **state) {
        TestWorld *w = *state;

        Role *role = world_run(w, "cam", NULL);
        w->cgroup_result = -EIO;
        world_exit(w, role, EXIT_CODE_EXITED, 0);
        assert_false(role->swept);
        w->cgroup_result = 0;
        role_on_cgroup_changed(role);
        assert_true(role->swept);
}

/* The event log contains the exit, so the keeper may forget it. */
static void test_exit_that_only_the_log_has(void **state) {
        TestWorld *w = *state;

        Role *role = world_run(w, "cam", NULL);
        forget_calls(w);
        w->save_result = -ENOSPC;
        world_exit(w, role, EXIT_CODE_EXITED, 0);
        expect_calls(w, "exited(cam) save(cam) reap(cam)");
}

/* An end that nobody has asked for is told before anything else is done about it. What follows comes by
 * itself, and is complete before a call is handled. */
static void test_told_first(void **state) {
        TestWorld *w = *state;
        const RoleExit killed = test_exit(EXIT_CODE_KILLED, SIGKILL);

        w->node->recovered = true;
        for (unsigned call = 0; call < 2; call++) {
                Role *cam = world_run(w, "cam", NULL), *dome = world_run(w, "dome", NULL);
                forget_calls(w);
                (void) g_hash_table_remove(w->populated, cam);
                role_on_exited(cam, &killed, true);
                role_on_exited(dome, &killed, true); /* leaves a process */
                expect_calls(w, "exited(cam) exited(dome)");
                assert_int_equal(cam->state, ROLE_ENDED);
                assert_false(cam->swept);
                assert_true(cam->child_exists);
                role_on_cgroup_changed(cam); /* not yet */
                expect_calls(w, "");
                if (call)
                        node_follow_up(w->node);
                else
                        world_wait(w, cam->swept);
                expect_calls(w, "save(cam) reap(cam) watch(dome) save(dome) "
                                "signal-cgroup(dome,15,continue) reap(dome)");
                world_emptied(w, dome);
                expect_calls(w, "save(dome)");
        }

        /* Who waits for a stop does not wait longer. */
        Told told = {};
        Role *role = world_run(w, "cam", NULL);
        node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, told_by(&told));
        (void) g_hash_table_remove(w->populated, role);
        role_on_exited(role, &killed, true);
        assert_told_success(&told);
        assert_true(role->swept);
        told_clear(&told);
}

/* systemd has certainly not stopped it, so it need not be asked. */
static void test_not_stopped(void **state) {
        TestWorld *w = *state;

        w->stop_result = 0;
        w->not_stopped = true;
        Role *role = world_run(w, "cam", NULL);
        forget_calls(w);
        world_exit(w, role, EXIT_CODE_EXITED, 0);
        expect_calls(w, "exited(cam) save(cam) reap(cam)");
        assert_int_equal(role->cause, ROLE_CAUSE_SELF);
}

/* An exit that is not on disk stays with the keeper until it can be saved or is purged. */
static void test_unsaved_exit_is_not_reaped(void **state) {
        TestWorld *w = *state;
        /* More than the log accepts in one record. */
        g_autofree char *unit = g_strnfill(70000, 'x');
        const Caller caller = { .known = true, .unit = unit };
        Waiter nobody = {};

        for (unsigned purge = 0; purge < 2; purge++) {
                Role *role = world_run(w, "cam", NULL);
                w->save_result = -ENOSPC;
                node_stop_role(w->node, role, ROLE_CAUSE_STOP, &caller, nobody);
                forget_calls(w);
                world_exit_leaving(w, role, EXIT_CODE_EXITED, 0);
                expect_calls(w, "save(cam) exited(cam) watch(cam) save(cam)");
                assert_true(role->child_exists);
                if (!purge)
                        w->save_result = 0;
                world_emptied(w, role);
                assert_int_equal(role->child_exists, purge);
                w->save_result = 0;
                if (purge) {
                        forget_calls(w);
                        node_purge_role(w->node, role, NULL);
                        expect_calls(w, "purged(cam) reap(cam) forget(cam) removed(cam)");
                }
        }
}

/* systemd stops the scope for another client. This is known before the exit, or requested after it. */
static void test_external_stop(void **state) {
        TestWorld *w = *state;

        Role *role = world_run(w, "cam", NULL);
        w->stop_result = 0;
        role_on_external_stop(role);
        forget_calls(w);
        world_exit(w, role, EXIT_CODE_EXITED, 0);
        expect_calls(w, "exited(cam) save(cam) reap(cam)");
        assert_int_equal(role->cause, ROLE_CAUSE_EXTERNAL);

        for (unsigned external = 0; external < 2; external++) {
                role = world_run(w, "cam", NULL);
                forget_calls(w);
                world_exit(w, role, EXIT_CODE_EXITED, 0);
                expect_calls(w, "query-stop(cam)");
                assert_int_equal(role->state, ROLE_RUNNING);
                if (external)
                        role_on_external_stop(role);
                role_on_stop_known(role);
                assert_int_equal(role->state, ROLE_ENDED);
                assert_int_equal(role->cause, external ? ROLE_CAUSE_EXTERNAL : ROLE_CAUSE_SELF);
                role_on_external_stop(role); /* too late, so without effect */
                assert_int_equal(role->cause, external ? ROLE_CAUSE_EXTERNAL : ROLE_CAUSE_SELF);
        }

        /* The role is stopped while the reply is pending. */
        Told told = {};
        role = world_run(w, "cam", NULL);
        world_exit(w, role, EXIT_CODE_EXITED, 0);
        node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, told_by(&told));
        role_on_stop_known(role);
        assert_told_success(&told);
        assert_int_equal(role->state, ROLE_ENDED);

        /* A stop by the node is not external, and a signal has its own cause. */
        role = world_run(w, "cam", NULL);
        node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, (Waiter){});
        role_on_external_stop(role);
        forget_calls(w);
        world_exit(w, role, EXIT_CODE_EXITED, 0);
        assert_int_equal(role->cause, ROLE_CAUSE_STOP);
        role = world_run(w, "cam", NULL);
        world_exit(w, role, EXIT_CODE_KILLED, SIGTERM);
        assert_int_equal(role->cause, ROLE_CAUSE_EXTERNAL);
}

static void test_causes(void **state) {
        TestWorld *w = *state;
        static const struct {
                ExitCode code;
                int status;
                int signalled; /* by Signal, before */
                RoleCause cause;
        } cases[] = {
                { EXIT_CODE_EXITED, 0, 0, ROLE_CAUSE_SELF },
                { EXIT_CODE_EXITED, SIGTERM, SIGTERM, ROLE_CAUSE_SELF },
                { EXIT_CODE_KILLED, SIGKILL, 0, ROLE_CAUSE_EXTERNAL },
                { EXIT_CODE_KILLED, SIGTERM, 0, ROLE_CAUSE_EXTERNAL },
                { EXIT_CODE_DUMPED, SIGSEGV, 0, ROLE_CAUSE_SELF },
                { EXIT_CODE_KILLED, SIGPIPE, 0, ROLE_CAUSE_SELF },
                { EXIT_CODE_KILLED, SIGUSR1, SIGUSR1, ROLE_CAUSE_KILL },
                { EXIT_CODE_DUMPED, SIGSEGV, SIGSEGV, ROLE_CAUSE_KILL },
                { EXIT_CODE_KILLED, SIGKILL, SIGUSR1, ROLE_CAUSE_EXTERNAL },
                { EXIT_CODE_LOST, -1, 0, ROLE_CAUSE_EXTERNAL },
        };
        Caller caller = { .known = true, .uid = 5 };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Role *role = world_run(w, "cam", NULL);

                if (cases[i].signalled)
                        assert_return_code(node_signal_role(w->node, role, false, cases[i].signalled, &caller,
                                                   (Waiter){}, NULL),
                                0);
                world_exit(w, role, cases[i].code, cases[i].status);
                role = world_find(w, "cam");
                assert_string_equal(role_cause_to_string(role->cause), role_cause_to_string(cases[i].cause));
                assert_int_equal(role->cause_caller.known, cases[i].cause == ROLE_CAUSE_KILL);
        }
}

static Role *run_with_memory_max(TestWorld *w) {
        RoleSpec *spec = test_spec();

        spec->memory_max = 1 << 20;
        Role *role = world_run(w, "cam", spec);
        forget_calls(w);
        return role;
}

typedef struct OomRow {
        uint64_t memory_max;
        int kills; /* or a negative errno */
        ExitCode code;
        int status;
        bool asked, known;
        RoleCause cause;
} OomRow;

/* Only a SIGKILL that nobody sent, in a role whose processes the OOM killer has killed. A child is a detail.
 */
static void test_oom(void **state) {
        static const OomRow rows[] = {
                { 1 << 20, 1, EXIT_CODE_KILLED, SIGKILL, true, true, ROLE_CAUSE_OOM },
                { 1 << 20, 0, EXIT_CODE_KILLED, SIGKILL, true, true, ROLE_CAUSE_EXTERNAL },
                { 1 << 20, -ENODATA, EXIT_CODE_KILLED, SIGKILL, true, false, ROLE_CAUSE_EXTERNAL },
                { 1 << 20, 1, EXIT_CODE_EXITED, 0, true, true, ROLE_CAUSE_SELF },
                { 1 << 20, 1, EXIT_CODE_KILLED, SIGTERM, true, true, ROLE_CAUSE_EXTERNAL },
                { 0, 1, EXIT_CODE_KILLED, SIGKILL, true, true, ROLE_CAUSE_OOM },
                { 0, -ENODATA, EXIT_CODE_KILLED, SIGKILL, true, false, ROLE_CAUSE_EXTERNAL },
                { 0, 1, EXIT_CODE_EXITED, 1, true, true, ROLE_CAUSE_SELF },
                { 0, 1, EXIT_CODE_EXITED, 0, false, false, ROLE_CAUSE_SELF },
        };
        TestWorld *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                const OomRow *row = &rows[i];
                RoleSpec *spec = test_spec();

                spec->memory_max = row->memory_max;
                w->oom_result = row->kills;
                w->n_oom_asked = 0;
                Role *role = world_run(w, "cam", spec);
                world_exit(w, role, row->code, row->status);
                assert_int_equal(role->state, ROLE_ENDED);
                assert_int_equal(w->n_oom_asked, row->asked);
                assert_int_equal(role->exit.oom_known, row->known);
                assert_int_equal(role->exit.oom, row->known && row->kills > 0);
                assert_int_equal(role->cause, row->cause);
        }
}

/* The sender of a SIGKILL that was sent by the node is known. */
static void test_oom_and_kill(void **state) {
        TestWorld *w = *state;

        w->oom_result = 1;
        Role *role = run_with_memory_max(w);
        node_stop_role(w->node, role, ROLE_CAUSE_KILL, NULL, (Waiter){});
        world_exit(w, role, EXIT_CODE_KILLED, SIGKILL);
        assert_int_equal(role->cause, ROLE_CAUSE_KILL);
        assert_true(role->exit.oom);

        role = run_with_memory_max(w);
        assert_return_code(node_signal_role(w->node, role, true, SIGKILL, NULL, (Waiter){}, NULL), 0);
        world_answer(w, NULL);
        world_exit(w, role, EXIT_CODE_KILLED, SIGKILL);
        assert_int_equal(role->state, ROLE_ENDED);
        assert_int_equal(role->cause, ROLE_CAUSE_KILL);

        /* What was stopped without a limit costs no read. */
        w->n_oom_asked = 0;
        role = world_run(w, "plain", NULL);
        node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, (Waiter){});
        world_exit(w, role, EXIT_CODE_KILLED, SIGTERM);
        assert_int_equal(w->n_oom_asked, 0);
}

static void test_remove(void **state) {
        TestWorld *w = *state;
        RoleSpec *spec = test_spec();
        g_auto(Told) told = {};

        spec->remove = true;
        Role *role = world_run(w, "cam", spec);
        stop(w, role, &told);
        world_exit_leaving(w, role, EXIT_CODE_KILLED, SIGTERM);
        assert_non_null(world_find(w, "cam")); /* until it is swept */
        uint64_t sequence = events_sequence(w->node->events);
        forget_calls(w);
        world_emptied(w, role);
        expect_calls(w, "save(cam) purged(cam) forget(cam) removed(cam)");
        assert_told_success(&told);
        assert_int_equal(w->last_sequence, sequence + 1);
        assert_nothing_left(w, "cam");
}

static void test_purge(void **state) {
        TestWorld *w = *state;
        g_auto(GStrv) purged = NULL, all = NULL, none = NULL;
        g_auto(Fault) running = {}, unknown = {};

        (void) world_run_and_exit(w, "a", NULL);
        (void) world_run_and_exit(w, "b", NULL);
        (void) world_run_and_exit(w, "c", NULL);
        (void) world_run(w, "r", NULL);

        /* All or none. */
        char *with_running[] = { "a", "r", NULL }, *with_unknown[] = { "a", "x\"y", NULL };
        assert_fault(node_purge(w->node, with_running, NULL, NULL, &none, &running), &running,
                NODE_ERROR_ROLE_RUNNING, "\"r\"");
        assert_fault(node_purge(w->node, with_unknown, NULL, NULL, &none, &unknown), &unknown,
                NODE_ERROR_NO_SUCH_ROLE, "There is no role \"x\\\"y\"");
        assert_null(none);
        assert_int_equal(g_hash_table_size(w->node->roles), 4);

        char *twice[] = { "b", "b", NULL };
        assert_return_code(node_purge(w->node, twice, NULL, NULL, &purged, NULL), 0);
        assert_int_equal(g_strv_length(purged), 1);
        assert_string_equal(purged[0], "b");

        assert_return_code(node_purge(w->node, NULL, NULL, NULL, &all, NULL), 0);
        assert_int_equal(g_strv_length(all), 2);
        assert_string_equal(all[0], "a"); /* oldest first */
        assert_string_equal(all[1], "c");
        assert_int_equal(g_hash_table_size(w->node->roles), 1);
        assert_int_equal(w->n_removed, 3); /* the service gives their memory back */
}

/* Names that clients invent are quoted and shortened. */
static void test_no_such_role(void **state) {
        TestWorld *w = *state;
        g_autofree char *longer = g_strnfill(100000, 'x');
        g_auto(Fault) fault = {}, control = {};
        Role *role;

        assert_fault(node_find_role(w->node, longer, &role, &fault), &fault, NODE_ERROR_NO_SUCH_ROLE, "xxx");
        assert_true(strlen(fault.message) < 200);
        assert_fault(node_find_role(w->node, "a\n\x1b[2J", &role, &control), &control,
                NODE_ERROR_NO_SUCH_ROLE, "a\\n\\033[2J");
}

static void test_max_ended(void **state) {
        TestWorld *w = *state;

        for (unsigned i = 0; i < NODE_MAX_ENDED_ROLES + 3; i++) {
                g_autofree char *name = g_strdup_printf("r%u", i);
                (void) world_run_and_exit(w, name, NULL);
        }
        assert_int_equal(g_hash_table_size(w->node->roles), NODE_MAX_ENDED_ROLES);
        assert_null(world_find(w, "r0")); /* the oldest ones are removed */
        assert_null(world_find(w, "r2"));
        assert_non_null(world_find(w, "r3"));
        assert_contains(w->calls->str, "purged(r2) forget(r2) removed(r2)");
}

static void test_max_concurrent_starts(void **state) {
        TestWorld *w = *state;
        Told told[NODE_MAX_CONCURRENT_STARTS + 2] = {};
        Role *roles[ELEMENTSOF(told)];

        for (unsigned i = 0; i < ELEMENTSOF(told); i++) {
                g_autofree char *name = g_strdup_printf("r%u", i);
                roles[i] = world_start(w, name, NULL, &told[i]);
        }
        assert_int_equal(w->node->n_starts, NODE_MAX_CONCURRENT_STARTS);
        assert_int_equal(roles[99]->phase, ROLE_PHASE_FORK);
        assert_int_equal(roles[100]->phase, ROLE_PHASE_QUEUED);

        /* One succeeds and one fails. Each makes room, in order. */
        world_forked(w, roles[7]);
        world_scope_made(w, roles[7]);
        role_on_gate_closed(roles[7]);
        assert_int_equal(roles[100]->phase, ROLE_PHASE_FORK);
        assert_int_equal(roles[101]->phase, ROLE_PHASE_QUEUED);
        world_fork_failed(w, roles[8], -EAGAIN);
        assert_int_equal(roles[101]->phase, ROLE_PHASE_FORK);
        assert_int_equal(w->node->n_starts, NODE_MAX_CONCURRENT_STARTS);

        for (unsigned i = 0; i < ELEMENTSOF(told); i++) {
                if (i != 7 && i != 8)
                        world_fork_failed(w, roles[i], -EAGAIN);
                assert_int_equal(told[i].n, 1);
                told_clear(&told[i]);
        }
        assert_int_equal(w->node->n_starts, 0);
}

static void test_no_keeper(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};

        w->connected = false;
        Role *role = world_start(w, "cam", NULL, &told);
        assert_int_equal(role->phase, ROLE_PHASE_QUEUED);
        expect_calls(w, "save(cam)");
        node_pump_starts(w->node);
        assert_int_equal(role->phase, ROLE_PHASE_QUEUED);
        w->connected = true;
        node_pump_starts(w->node);
        assert_int_equal(role->phase, ROLE_PHASE_FORK);
        assert_not_told(&told);
        world_fork_failed(w, role, -EIO);
}

/* Which sub-slice a name is that of, also after a restart; no other name is taken for one. */
static void test_slice_names(void **state) {
        static const struct {
                const char *name;
                uid_t uid;
                int slice;               /* negative if there is none */
                const char *group, *now; /* the name that it has in this version, if it is another one */
        } names[] = {
                { "architect-main-0.slice", 0, 0 },
                { "architect-main-31.slice", 0, 31 },
                { "architect-main-g1-32.slice", 0, 32, "architect-main-g1.slice" },
                { "architect-main-g15-511.slice", 0, 511, "architect-main-g15.slice" },
                { "architect-main-u1000-3.slice", 1000, 3 },
                { "architect-main-u1000-g2-95.slice", 1000, 95, "architect-main-u1000-g2.slice" },
                { "architect-main-u4294967294-g15-511.slice", 4294967294U, 511,
                        "architect-main-u4294967294-g15.slice" },
                { "architect-main-32.slice", 0, 32, "architect-main-g1.slice", "architect-main-g1-32.slice" },
                { "architect-main-u1000-511.slice", 1000, 511, "architect-main-u1000-g15.slice",
                        "architect-main-u1000-g15-511.slice" },
                { "architect-main-g0-3.slice", 0, -1 },
                { "architect-main-g1-31.slice", 0, -1 },
                { "architect-main-g2-32.slice", 0, -1 },
                { "architect-main-g01-32.slice", 0, -1 },
                { "architect-main-g1.slice", 0, -1 },
                { "architect-main-g-32.slice", 0, -1 },
                { "architect-main-g1-g1-32.slice", 0, -1 },
                { "architect-main-g1-u1000-32.slice", 0, -1 },
                { "architect-main-g1-32-17.slice", 0, -1 },
                { "architect-main-u1000-g1-32-17.slice", 0, -1 },
                { "architect-main-g16-512.slice", 0, -1 },
                { "architect-main-512.slice", 0, -1 },
                { "architect-main-u1000-512.slice", 0, -1 },
                { "architect-main-03.slice", 0, -1 },
                { "architect-main-u01000-3.slice", 0, -1 },
                { "architect-main-u0-3.slice", 0, -1 },
                { "architect-main-u1000.slice", 0, -1 },
                { "architect-main-u1000-3-17.slice", 0, -1 },
                { "architect-main-3-17.slice", 0, -1 },
                { "architect-main-u1000-3.scope", 0, -1 },
                { "architect-other-u1000-3.slice", 0, -1 },
                { "architect-main-u-3.slice", 0, -1 },
                { "architect-main.slice", 0, -1 },
        };
        TestWorld *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                uid_t uid = 7;
                int slice = 7;

                bool found = node_slice_parse(w->node, names[i].name, &uid, &slice);
                if (found != (names[i].slice >= 0))
                        fail_msg("%s", names[i].name);
                assert_int_equal(uid, found ? names[i].uid : 7);
                assert_int_equal(slice, found ? names[i].slice : 7);
                if (!found)
                        continue;
                g_autofree char *name = node_slice_name(w->node, uid, slice),
                                *group = node_group_name(w->node, uid, slice);
                assert_string_equal(name, names[i].now ?: names[i].name);
                if (names[i].group)
                        assert_string_equal(group, names[i].group);
                else
                        assert_null(group);
        }
}

static void test_slices(void **state) {
        TestWorld *w = *state;
        Role *roles[2 * NODE_SLICE_ROLES + 1];
        unsigned n[3] = {};

        for (unsigned i = 0; i < ELEMENTSOF(roles); i++) {
                g_autofree char *name = g_strdup_printf("r%u", i);
                roles[i] = world_run(w, name, NULL);
                assert_between(roles[i]->slice, 0, 2);
                assert_true(++n[roles[i]->slice] <= NODE_SLICE_ROLES);
        }
        assert_int_equal(n[2], 1);
        g_autofree char *slice = node_slice_name(w->node, 0, 2);
        assert_string_equal(slice, "architect-main-2.slice");
        assert_string_equal(w->node->slice, "architect-main.slice");
        assert_false(node_slice_is_empty(w->node, 0, 2));
        assert_true(node_slice_is_empty(w->node, 0, 3));

        /* The OOM kills of a role with memory-max must not count for those without. */
        Role *limited = run_with_memory_max(w);
        g_autofree char *own = node_own_slice_name(limited),
                        *expected = g_strdup_printf("architect-main-3-%" PRIu64 ".slice", limited->child);
        assert_int_equal(limited->slice, 3);
        assert_string_equal(own, expected);
        assert_int_equal(world_run(w, "ordinary", NULL)->slice, 2);
        world_exit(w, world_find(w, "ordinary"), EXIT_CODE_EXITED, 0);
        world_exit(w, limited, EXIT_CODE_EXITED, 0);
        w->n_empty_slices = 0;

        /* Room that is given back is used first. */
        assert_int_equal(w->n_empty_slices, 0);
        world_exit(w, roles[5], EXIT_CODE_EXITED, 0);
        assert_int_equal(world_run(w, "new", NULL)->slice, 0);
        world_exit(w, roles[2 * NODE_SLICE_ROLES], EXIT_CODE_EXITED, 0);
        assert_int_equal(w->n_empty_slices, 1);
        assert_true(node_slice_is_empty(w->node, 0, 2));
}

/* No slice has more than 32 sub-slices and the groups. */
static void test_slice_groups(void **state) {
        TestWorld *w = *state;
        const unsigned n = 33 * NODE_SLICE_ROLES + 1; /* in a group, two sub-slices */
        g_autoptr(GPtrArray) roles = g_ptr_array_new();

        for (unsigned i = 0; i < n; i++) {
                g_autofree char *name = g_strdup_printf("r%u", i);
                g_ptr_array_add(roles, world_run(w, name, NULL));
        }
        assert_int_equal(((Role *) roles->pdata[n - 2])->slice, 32);
        assert_int_equal(((Role *) roles->pdata[n - 1])->slice, 33);
        assert_false(node_group_is_empty(w->node, 0, 0));
        assert_false(node_group_is_empty(w->node, 0, 63));
        assert_true(node_group_is_empty(w->node, 0, 64));
        world_exit(w, roles->pdata[n - 1], EXIT_CODE_EXITED, 0);
        assert_false(node_group_is_empty(w->node, 0, 63));
        for (unsigned i = 32 * NODE_SLICE_ROLES; i < n - 1; i++)
                world_exit(w, roles->pdata[i], EXIT_CODE_EXITED, 0);
        assert_true(node_group_is_empty(w->node, 0, 32));
        assert_false(node_group_is_empty(w->node, 0, 31));

        Role *role = world_run(w, "new", NULL);
        g_autofree char *own = node_own_slice_name(role),
                        *expected = g_strdup_printf("architect-main-g1-32-%" PRIu64 ".slice", role->child);
        assert_string_equal(own, expected);
}

static void test_shutdown_of_nothing(void **state) {
        TestWorld *w = *state;

        node_shutdown(w->node, "bye", NULL);
        expect_calls(w, "shutting-down(bye)");
        assert_true(w->finished);
        assert_int_equal(w->finished_status, 0);
        assert_int_equal(w->last_sequence, 1);
        node_shutdown(w->node, "again", NULL); /* it joins the first one */
        expect_calls(w, "");
}

static void test_shutdown(void **state) {
        TestWorld *w = *state;
        g_auto(Told) queued = {}, forking = {}, opening = {};

        Role *a = world_run(w, "a", NULL), *b = world_run(w, "b", NULL), *c = world_run(w, "c", NULL);
        world_exit_leaving(w, c, EXIT_CODE_EXITED, 0);
        (void) world_run_and_exit(w, "d", NULL);
        Role *opens = world_start(w, "opens", NULL, &opening);
        world_forked(w, opens);
        world_scope_made(w, opens);
        Role *forks = world_start(w, "forks", NULL, &forking);
        w->connected = false;
        (void) world_start(w, "queued", NULL, &queued);
        w->connected = true;

        node_shutdown(w->node, "", NULL);
        assert_int_equal(a->state, ROLE_STOPPING);
        assert_int_equal(b->state, ROLE_STOPPING);
        assert_told_fault(&queued, NODE_ERROR_START_CANCELLED, "by the shutdown of the service");
        assert_not_told(&forking);
        assert_not_told(&opening);

        world_exit(w, a, EXIT_CODE_KILLED, SIGTERM);
        assert_int_equal(a->cause, ROLE_CAUSE_SHUTDOWN);
        world_exit(w, b, EXIT_CODE_EXITED, 0);
        assert_false(w->finished);
        world_emptied(w, c);
        assert_false(w->finished);
        world_fork_failed(w, forks, -EAGAIN);
        assert_told_fault(&forking, NODE_ERROR_START_CANCELLED, "shutdown");
        assert_false(w->finished);

        /* The last one is a start that must be undone. */
        RoleExit exit = test_exit(EXIT_CODE_KILLED, SIGKILL);
        w->remove_result = -ECANCELED; /* the node's own stop job would wait for it */
        role_on_exited(opens, &exit, false);
        assert_told_fault(&opening, NODE_ERROR_START_CANCELLED, "shutdown");
        assert_true(w->finished);
        assert_int_equal(w->finished_status, 0);
}

/* A role that runs without its main process is stopped, too. */
static void test_shutdown_outlived(void **state) {
        TestWorld *w = *state;

        Role *role = run_cgroup(w, STOP_TO_ALL);
        world_exit_leaving(w, role, EXIT_CODE_EXITED, 3);
        node_shutdown(w->node, "", NULL);
        assert_int_equal(role->state, ROLE_STOPPING);
        assert_false(w->finished);
        world_emptied(w, role);
        assert_true(w->finished);
        assert_int_equal(w->finished_status, 0);
}

static void test_shutdown_with_stuck(void **state) {
        TestWorld *w = *state;
        RoleSpec *spec = test_spec();

        spec->stop_timeout_usec = 0;
        Role *role = world_run(w, "cam", spec);
        node_shutdown(w->node, "", NULL);
        world_wait(w, role->stop_step == STOP_STEP_KILLED);
        world_get_stuck(w, role, &role->stop_step);
        assert_true(w->finished);
        assert_int_equal(w->finished_status, EXIT_ROLES_LEFT);
}

/* What has survived SIGKILL for a while and is gone now is not left. */
static void test_shutdown_after_stuck(void **state) {
        TestWorld *w = *state;

        Role *role = world_run(w, "cam", NULL);
        role_stop(role, ROLE_CAUSE_KILL, true, NULL);
        world_get_stuck(w, role, &role->stop_step);
        world_exit(w, role, EXIT_CODE_KILLED, SIGKILL);
        assert_true(role->swept);
        node_shutdown(w->node, "", NULL);
        assert_true(w->finished);
        assert_int_equal(w->finished_status, 0);
}

/* After a restart of the service a stop continues. */
static void test_resume(void **state) {
        TestWorld *w = *state;

        Role *role = world_run(w, "cam", NULL);
        stop(w, role, NULL);
        role_set_timer(role, USEC_INFINITY, NULL);
        role->stop_deadline = (uint64_t) g_get_monotonic_time(); /* it expired in the meantime */
        forget_calls(w);
        role_resume_stop(role);
        expect_calls(w, "");
        world_wait(w, role->stop_step == STOP_STEP_KILLED);
        expect_calls(w, "save(cam) signal-cgroup(cam,9)");

        role_set_timer(role, USEC_INFINITY, NULL);
        role_resume_stop(role);
        expect_calls(w, "save(cam) signal-cgroup(cam,9)");
        assert_non_null(role->timer);

        /* Ended before the restart, and its cgroup became empty during it. */
        Role *ended = world_run(w, "ended", NULL);
        world_exit_leaving(w, ended, EXIT_CODE_EXITED, 0);
        (void) g_hash_table_remove(w->populated, ended);
        role_resume_stop(ended);
        assert_true(ended->swept);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, test_world_setup, test_world_teardown)

/* -- strays -- */

static void find_stray(TestWorld *w, pid_t pid, const char *cgroup, const char *scope) {
        g_ptr_array_add(w->strays, stray_new(pid, 99, cgroup, scope));
}

#define SESSION "/user.slice/user-7.slice/session-c3.scope"

/* A scope that was made for the role is stopped, killed and swept with it. Its child is not reaped before,
 * because the keeper checks the stray by it. */
static void test_stray(void **state) {
        TestWorld *w = *state;
        RoleSpec *spec = test_spec();
        g_auto(Told) told = {};

        spec->stop_timeout_usec = 1000;
        Role *role = world_run(w, "cam", spec);
        find_stray(w, 4711, SESSION "/sub", SESSION);
        forget_calls(w);
        stop(w, role, &told);
        /* It is saved before it is signalled. */
        expect_calls(w, "save(cam) session(c3) save(cam) signal-cgroup(cam,15,continue) "
                        "signal-cgroup(cam,15," SESSION ",stray,continue) close-stdin(cam)");
        assert_string_equal(role->strays[0], SESSION);
        assert_null(role->strays[1]);

        world_wait(w, role->stop_step == STOP_STEP_KILLED);
        expect_calls(w, "save(cam) signal-cgroup(cam,9) signal-cgroup(cam,9," SESSION ",stray)");
        world_exit_leaving(w, role, EXIT_CODE_KILLED, SIGKILL);
        expect_calls(w, "exited(cam) watch(cam) save(cam)");
        assert_true(role->child_exists);
        assert_not_told(&told);
        world_emptied(w, role);
        assert_told_success(&told);
        expect_calls(w, "save(cam) reap(cam)");
        assert_null(role->strays);
}

/* What it has left in a stray is swept at its end, and a keeper without the child does not matter. */
static void test_stray_at_the_end(void **state) {
        TestWorld *w = *state;

        Role *role = world_run(w, "cam", NULL);
        find_stray(w, 4711, "/system.slice/run-r1.scope", "/system.slice/run-r1.scope");
        forget_calls(w);
        world_exit_leaving(w, role, EXIT_CODE_EXITED, 3);
        expect_calls(w, "save(cam) exited(cam) watch(cam) save(cam) signal-cgroup(cam,15,continue) "
                        "signal-cgroup(cam,15,/system.slice/run-r1.scope,stray,continue)");
        role->child_exists = false;
        role_stop(role, ROLE_CAUSE_KILL, true, NULL);
        expect_calls(w, "save(cam) signal-cgroup(cam,9) run-r1.scope(cam,9)");
        role->child_exists = true;
        world_emptied(w, role);
}

/* systemd knows the name of a scope, which another manager may have given to this one. */
static void test_stray_of_another_manager(void **state) {
        static const char *const strays[] = {
                "/user.slice/user-7.slice/user@7.service/app.slice/session-5.scope",
                "/machine.slice/m.scope/system.slice/session-5.scope",
                "/session-5.scope/x.scope",
        };
        TestWorld *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(strays); i++) {
                g_auto(Told) told = {};

                Role *role = world_run(w, "cam", NULL);
                find_stray(w, 4711, strays[i], strays[i]);
                role_look_for_strays(role);
                role->child_exists = false; /* its keeper is gone */
                forget_calls(w);
                assert_int_equal(
                        node_signal_role(w->node, role, true, SIGUSR1, NULL, told_by(&told), NULL), 0);
                expect_calls(w, "save(cam) signal-cgroup(cam,10)");
                world_answer(w, NULL);
                assert_told_fault(&told, NODE_ERROR_KEEPER_UNAVAILABLE, "belongs to another manager");
                role_stop(role, ROLE_CAUSE_KILL, true, NULL);
                expect_calls(w, "save(cam) signal-cgroup(cam,9)");
                role->child_exists = true;
                g_ptr_array_set_size(w->strays, 0);
                world_exit(w, role, EXIT_CODE_KILLED, SIGKILL);
        }
}

/* With exit-type=cgroup a role may get a stray when its main process has ended. Its end is seen. */
static void test_stray_of_outlived(void **state) {
        TestWorld *w = *state;

        Role *role = run_cgroup(w, STOP_TO_ALL);
        world_exit_leaving(w, role, EXIT_CODE_EXITED, 0);
        find_stray(w, 4711, "/system.slice/x.scope", "/system.slice/x.scope");
        forget_calls(w);
        role_look_for_strays(role);
        expect_calls(w, "save(cam) watch(cam)");
        world_emptied(w, role);
        assert_true(role->swept);
}

/* A process in the unit of somebody else is signalled alone: the main process, and another one. */
static void test_lone(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};

        Role *role = world_run(w, "cam", NULL);
        g_ptr_array_add(w->strays, stray_new(role->main_pid, role->main_start_time, "/a.service", NULL));
        find_stray(w, 4711, "/", NULL);
        forget_calls(w);
        stop(w, role, &told);
        expect_calls(w,
                "save(cam) save(cam) signal-cgroup(cam,15,continue) signal-process(cam,4711,15) "
                "signal-process(cam,4711,18) signal-main(cam,15) signal-main(cam,18) close-stdin(cam)");
        assert_null(role->strays);
        assert_int_equal(role->lone->len, 1);
        role_stop(role, ROLE_CAUSE_KILL, true, NULL);
        /* It is not taken twice. */
        expect_calls(w, "save(cam) signal-cgroup(cam,9) signal-process(cam,4711,9) signal-main(cam,9)");
        assert_int_equal(role->lone->len, 1);
        world_exit(w, role, EXIT_CODE_KILLED, SIGKILL);
        assert_told_success(&told);
}

/* One reply for all parts: a part that has ended is no failure, another failure is told. */
static void test_signal_to_parts(void **state) {
        static const struct {
                NodeError errors[2]; /* of the scope and of the stray; negative for success */
                int reply;
        } cases[] = {
                { { -1, -1 }, -1 },
                { { NODE_ERROR_ROLE_NOT_RUNNING, -1 }, -1 },
                { { -1, NODE_ERROR_ROLE_NOT_RUNNING }, -1 },
                { { NODE_ERROR_ROLE_NOT_RUNNING, NODE_ERROR_ROLE_NOT_RUNNING }, NODE_ERROR_ROLE_NOT_RUNNING },
                { { NODE_ERROR_IO_ERROR, -1 }, NODE_ERROR_IO_ERROR },
                { { -1, NODE_ERROR_IO_ERROR }, NODE_ERROR_IO_ERROR },
                { { NODE_ERROR_ROLE_NOT_RUNNING, NODE_ERROR_IO_ERROR }, NODE_ERROR_IO_ERROR },
        };
        TestWorld *w = *state;

        Role *role = world_run(w, "cam", NULL);
        find_stray(w, 4711, SESSION, SESSION);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                g_auto(Told) told = {};

                assert_int_equal(
                        node_signal_role(w->node, role, true, SIGUSR1, NULL, told_by(&told), NULL), 0);
                g_autoptr(GArray) waiters = g_steal_pointer(&w->waiters);
                w->waiters = g_array_new(false, false, sizeof(Waiter));
                assert_int_equal(waiters->len, 2);
                for (unsigned k = 0; k < waiters->len; k++) {
                        g_auto(Fault) fault = {};

                        assert_not_told(&told);
                        if ((int) cases[i].errors[k] >= 0)
                                (void) fault_set(&fault, cases[i].errors[k], "no");
                        waiter_wake(g_array_index(waiters, Waiter, k), &fault);
                }
                if (cases[i].reply < 0)
                        assert_told_success(&told);
                else
                        assert_told_fault(&told, (NodeError) cases[i].reply, "no");
        }
        world_exit(w, role, EXIT_CODE_EXITED, 0);
}

/* Another unit may have the name of a stray that is gone. It is not signalled, and not waited for. */
static void test_stray_gone(void **state) {
        TestWorld *w = *state;

        Role *role = world_run(w, "cam", NULL);
        find_stray(w, 4711, "/system.slice/x.scope", "/system.slice/x.scope");
        role_look_for_strays(role);
        assert_int_equal(g_strv_length(role->strays), 1);
        g_ptr_array_set_size(w->strays, 0);
        forget_calls(w);
        w->cgroup_id = 2;
        unsigned n_changed = w->n_changed;
        stop(w, role, NULL);
        expect_calls(w, "save(cam) signal-cgroup(cam,15,continue) close-stdin(cam)");
        assert_null(role->strays);
        assert_true(w->n_changed > n_changed);
        world_exit(w, role, EXIT_CODE_KILLED, SIGTERM);

        /* It has gone between its discovery and now. */
        role = world_run(w, "cam", NULL);
        find_stray(w, 4711, "/system.slice/x.scope", "/system.slice/x.scope");
        w->cgroup_id = 0;
        role_look_for_strays(role);
        assert_null(role->strays);
        assert_false(role->strays_told);
        world_exit(w, role, EXIT_CODE_EXITED, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_stray),
                TEST(test_stray_at_the_end),
                TEST(test_stray_of_another_manager),
                TEST(test_stray_of_outlived),
                TEST(test_lone),
                TEST(test_signal_to_parts),
                TEST(test_stray_gone),
                TEST(test_stop),
                TEST(test_stop_signal),
                TEST(test_stop_to_main),
                TEST(test_outlives_main),
                TEST(test_cgroup_alone),
                TEST(test_stop_of_cgroup),
                TEST(test_escalation),
                TEST(test_after_a_long_turn),
                TEST(test_timeout_of_nothing),
                TEST(test_never_killed),
                TEST(test_stuck),
                TEST(test_stuck_leftovers),
                TEST(test_frozen_above),
                TEST(test_stop_on_terminal),
                TEST(test_stop_closes_input),
                TEST(test_figures_come_first),
                TEST(test_kill_overrides),
                TEST(test_sweep),
                TEST(test_unreadable_cgroup),
                TEST(test_exit_that_only_the_log_has),
                TEST(test_external_stop),
                TEST(test_told_first),
                TEST(test_not_stopped),
                TEST(test_unsaved_exit_is_not_reaped),
                TEST(test_causes),
                TEST(test_oom),
                TEST(test_oom_and_kill),
                TEST(test_remove),
                TEST(test_purge),
                TEST(test_no_such_role),
                TEST(test_max_ended),
                TEST(test_max_concurrent_starts),
                TEST(test_no_keeper),
                TEST(test_slices),
                TEST(test_slice_groups),
                TEST(test_slice_names),
                TEST(test_shutdown_of_nothing),
                TEST(test_shutdown),
                TEST(test_shutdown_outlived),
                TEST(test_shutdown_with_stuck),
                TEST(test_shutdown_after_stuck),
                TEST(test_resume),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
