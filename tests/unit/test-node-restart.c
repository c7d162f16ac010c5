/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What follows an end by the policy of the role: which ends are followed by another run, when, how often, and
 * what a caller can do meanwhile. */

#include "test-world.h"

#include <signal.h>
#include <string.h>

#include "base/time-util.h"
#include "model/account.h"
#include "model/monitor.h"
#include "model/role-recover.h"
#include "model/role-restart.h"
#include "model/role-state.h"
#include "model/settings.h"

/* "Key=value" lines of a role file after those that make the wait so long that no test reaches its end. */
static RoleSpec *spec_with(const char *lines) {
        RoleSpec *spec = test_spec();
        g_auto(Fault) fault = {};

        if (test_spec_set_lines(spec, "RestartSec=1h", NULL, &fault) < 0 ||
                test_spec_set_lines(spec, lines, NULL, &fault) < 0)
                fail_msg("%s", fault.message);
        return spec;
}

static Role *run_and_end(TestWorld *w, const char *lines, ExitCode code, int status) {
        Role *role = world_run(w, "cam", spec_with(lines));

        world_exit(w, role, code, status);
        return world_find(w, "cam");
}

/* "waiting", "given-up" or "none", and the result. */
static void assert_next(const Role *role, const char *next, const char *result) {
        if (!g_str_equal(next_run_to_string(role->next_run), next) ||
                !g_str_equal(role_result_to_string(role_result(role)), result))
                fail_msg("%s after %s, not %s after %s", next_run_to_string(role->next_run),
                        role_result_to_string(role_result(role)), next, result);
}

/* The table under Restart= in systemd.service(5), with the ends that are ours. */
static void test_policies(void **state) {
        TestWorld *w = *state;
        static const struct {
                ExitCode code;
                int status;
                const char *result, *policies; /* those that start it again */
        } ends[] = {
                { EXIT_CODE_EXITED, 0, "success", "on-success always" },
                { EXIT_CODE_KILLED, SIGHUP, "success", "on-success always" },
                { EXIT_CODE_KILLED, SIGINT, "success", "on-success always" },
                { EXIT_CODE_KILLED, SIGTERM, "success", "on-success always" },
                { EXIT_CODE_KILLED, SIGPIPE, "success", "on-success always" },
                { EXIT_CODE_EXITED, 1, "exit-code", "on-failure always" },
                { EXIT_CODE_EXITED, 255, "exit-code", "on-failure always" },
                { EXIT_CODE_KILLED, SIGKILL, "signal", "on-failure on-abnormal on-abort always" },
                { EXIT_CODE_KILLED, SIGUSR1, "signal", "on-failure on-abnormal on-abort always" },
                { EXIT_CODE_DUMPED, SIGSEGV, "core-dump", "on-failure on-abnormal on-abort always" },
                { EXIT_CODE_LOST, -1, "lost", "on-failure always" },
        };

        for (int policy = 0; policy < _RESTART_POLICY_MAX; policy++)
                for (size_t i = 0; i < ELEMENTSOF(ends); i++) {
                        const char *name = restart_policy_to_string((RestartPolicy) policy);
                        g_autofree char *lines = g_strconcat("Restart=", name, NULL);
                        g_auto(GStrv) policies = g_strsplit(ends[i].policies, " ", -1);
                        Role *role = run_and_end(w, lines, ends[i].code, ends[i].status);
                        bool waits = g_strv_contains((const char *const *) policies, name);
                        bool fails = policy != RESTART_NO && !g_str_equal(ends[i].result, "success");

                        assert_next(role, waits ? "waiting" : fails ? "given-up" : "none", ends[i].result);
                        assert_int_equal(role_waits_for_restart(role), waits);
                        node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, (Waiter){});
                        node_purge_role(w->node, world_find(w, "cam"), NULL);
                }
}

static void test_oom(void **state) {
        TestWorld *w = *state;

        w->oom_result = 1;
        assert_next(run_and_end(w, "Restart=on-abnormal", EXIT_CODE_KILLED, SIGKILL), "waiting", "oom-kill");
}

/* What is a success, and what is never followed by another run. */
static void test_statuses(void **state) {
        TestWorld *w = *state;
        static const struct {
                const char *lines;
                ExitCode code;
                int status;
                const char *next, *result;
        } cases[] = {
                { "SuccessExitStatus=3", EXIT_CODE_EXITED, 3, "none", "success" },
                { "SuccessExitStatus=TEMPFAIL SIGKILL", EXIT_CODE_EXITED, 75, "none", "success" },
                { "SuccessExitStatus=TEMPFAIL SIGKILL", EXIT_CODE_KILLED, SIGKILL, "none", "success" },
                { "SuccessExitStatus=9", EXIT_CODE_KILLED, SIGKILL, "waiting", "signal" },
                { "SuccessExitStatus=SIGSEGV", EXIT_CODE_DUMPED, SIGSEGV, "none", "success" },
                { "RestartPreventExitStatus=3 KILL", EXIT_CODE_EXITED, 3, "given-up", "exit-code" },
                { "RestartPreventExitStatus=3 KILL", EXIT_CODE_KILLED, SIGKILL, "given-up", "signal" },
                { "RestartPreventExitStatus=3 KILL", EXIT_CODE_EXITED, 9, "waiting", "exit-code" },
                { "RestartPreventExitStatus=0 255", EXIT_CODE_LOST, -1, "waiting", "lost" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                g_autofree char *lines = g_strconcat("Restart=on-failure\n", cases[i].lines, NULL);

                assert_next(run_and_end(w, lines, cases[i].code, cases[i].status), cases[i].next,
                        cases[i].result);
                node_stop_role(w->node, world_find(w, "cam"), ROLE_CAUSE_STOP, NULL, (Waiter){});
        }
}

static uint64_t delay_of(const Role *role) {
        return role->next_deadline - now_usec(CLOCK_MONOTONIC);
}

/* Within a tenth, and what has passed since. */
static void assert_delay(const Role *role, uint64_t usec) {
        const uint64_t delay = delay_of(role);

        if (delay > usec / 10 * 11 + 1 || delay + USEC_PER_SEC < usec / 10 * 9)
                fail_msg("the delay is %" G_GUINT64_FORMAT ", not %" G_GUINT64_FORMAT, delay, usec);
}

/* The next run, as if its time had come. */
static Role *restart(TestWorld *w, Role *role) {
        role->next_deadline = 0;
        role_arm_restart(role);
        world_wait(w, world_find(w, "cam")->state == ROLE_STARTING);
        return world_find(w, "cam");
}

static Role *restart_and_run(TestWorld *w, Role *role) {
        role = restart(w, role);
        world_forked(w, role);
        world_scope_made(w, role);
        role_on_gate_closed(role);
        assert_int_equal(role->state, ROLE_RUNNING);
        return role;
}

static void test_run_again(void **state) {
        TestWorld *w = *state;
        Caller caller = { .known = true, .uid = 7, .pid = 8 };
        g_auto(Fault) fault = {};
        g_auto(Told) told = {};

        assert_return_code(
                node_start_role(w->node, "cam", spec_with("Restart=always\nNice=3\nEnvironment=A=1"), &caller,
                        told_by(&told), &fault),
                0);
        Role *role = world_find(w, "cam");
        world_forked(w, role);
        world_scope_made(w, role);
        role_on_gate_closed(role);
        sd_id128_t first = role->invocation;
        forget_calls(w);
        world_exit(w, role, EXIT_CODE_EXITED, 4);
        /* One save has the end and the wait, and is there before anybody is told of the wait. */
        expect_calls(w, "exited(cam) save(cam) reap(cam) restarting(cam)");
        assert_null(role->ended_link); /* it is no ended role that could be purged to make room */
        assert_int_equal(role->restarts.attempt, 1);
        assert_true(role->next_realtime_usec > now_usec(CLOCK_REALTIME));

        role = restart(w, role);
        expect_calls(w, "set-aside(cam) save(cam) fork(cam)");
        assert_false(sd_id128_equal(role->invocation, first));
        assert_true(role->automatic);
        assert_int_equal(role->owner.uid, 7);
        assert_int_equal(role->spec->nice, 3);
        assert_string_equal(role->spec->environment[0], "A=1");
        world_forked(w, role);
        world_scope_made(w, role);
        role_on_gate_closed(role);
        assert_int_equal(role->state, ROLE_RUNNING);
        assert_int_equal(role->restarts.n, 1);
        assert_null(role->predecessor);
        assert_int_equal(g_hash_table_size(w->children), 1);
}

static void end_after(TestWorld *w, Role *role, uint64_t usec) {
        RoleExit exit = test_exit(EXIT_CODE_EXITED, 1);

        role->start_monotonic_usec = 1;
        exit.monotonic_usec = 1 + usec;
        role_on_exited(role, &exit, true);
        node_follow_up(w->node);
        world_emptied(w, role);
}

static void test_steps(void **state) {
        TestWorld *w = *state;
        static const uint64_t msec[] = { 100, 219, 478, 1046, 2287, 5000, 5000 };
        Role *role = world_run(w, "cam",
                spec_with("Restart=on-failure\nRestartSec=100ms\nRestartSteps=5\nRestartMaxDelaySec=5s\n"
                          "StartLimitIntervalSec=0"));

        for (size_t i = 0; i < ELEMENTSOF(msec); i++) {
                world_exit(w, role, EXIT_CODE_EXITED, 1);
                assert_int_equal(role->restarts.attempt, i + 1);
                assert_delay(role, msec[i] * USEC_PER_MSEC);
                role = restart_and_run(w, role);
        }
        assert_int_equal(role->restarts.n, ELEMENTSOF(msec));

        /* A good run is as long as the longest delay. */
        end_after(w, role, 5 * USEC_PER_SEC - 1);
        assert_int_equal(role->restarts.attempt, ELEMENTSOF(msec) + 1);
        role = restart_and_run(w, role);
        end_after(w, role, 5 * USEC_PER_SEC);
        assert_int_equal(role->restarts.attempt, 1);
        assert_delay(role, 100 * USEC_PER_MSEC);
        assert_int_equal(role->restarts.n, ELEMENTSOF(msec) + 1); /* of systemd, so it goes on */
}

/* Their times differ, by up to a fifth of the delay. */
static void test_spread(void **state) {
        TestWorld *w = *state;
        uint64_t lowest = UINT64_MAX, highest = 0;

        for (unsigned i = 0; i < 50; i++) {
                g_autofree char *name = g_strdup_printf("cam%u", i);
                Role *role = world_run(w, name, spec_with("Restart=always"));

                world_exit(w, role, EXIT_CODE_EXITED, 1);
                lowest = MIN(lowest, delay_of(role));
                highest = MAX(highest, delay_of(role));
                assert_delay(role, 3600 * USEC_PER_SEC);
        }
        assert_true(highest - lowest >= 3600 * USEC_PER_SEC / 100 * 15);
}

static void test_limit(void **state) {
        TestWorld *w = *state;
        Role *role = run_and_end(
                w, "Restart=always\nStartLimitBurst=3\nStartLimitIntervalSec=1h", EXIT_CODE_EXITED, 0);

        for (unsigned i = 1; i < 3; i++) {
                role = restart_and_run(w, role);
                assert_int_equal(role->restarts.n, i);
                world_exit(w, role, EXIT_CODE_EXITED, 0);
        }
        forget_calls(w);
        role->next_deadline = 0;
        role_arm_restart(role);
        world_wait(w, role->next_run != NEXT_RUN_WAITING);
        expect_calls(w, "save(cam) failed(cam start-limit-hit)"); /* once */
        assert_next(role, "limit-hit", "start-limit-hit");
        assert_null(role->timer);
        assert_non_null(role->ended_link);

        /* A caller starts it all the same, and it has a new window. */
        role = world_run(w, "cam", spec_with("Restart=always"));
        assert_int_equal(role->restarts.n, 0);
        assert_int_equal(role->restarts.window_starts, 1);
        assert_next(role, "none", "success");
}

/* A window that is over does not count. */
static void test_window(void **state) {
        TestWorld *w = *state;
        Role *role = run_and_end(
                w, "Restart=always\nStartLimitBurst=1\nStartLimitIntervalSec=30", EXIT_CODE_EXITED, 0);

        role->restarts.window_begin = 1; /* any machine has been up for longer */
        role = restart_and_run(w, role);
        assert_int_equal(role->restarts.window_starts, 1);
        assert_true(role->restarts.window_begin > 1);
}

static void test_remove(void **state) {
        TestWorld *w = *state;
        Role *role = run_and_end(w, "Restart=on-failure\nRemove=yes\nStartLimitBurst=1", EXIT_CODE_EXITED, 1);

        assert_non_null(role);
        role->next_deadline = 0;
        role_arm_restart(role);
        world_wait(w, !world_find(w, "cam"));
}

/* -- callers -- */

static void test_stop_waiting(void **state) {
        TestWorld *w = *state;
        static const RoleCause causes[] = { ROLE_CAUSE_STOP, ROLE_CAUSE_KILL };

        for (size_t i = 0; i < ELEMENTSOF(causes); i++) {
                g_auto(Told) told = {};
                Role *role = run_and_end(w, "Restart=always", EXIT_CODE_EXITED, 5);
                g_autofree char *poll = role_poll(role);

                assert_string_equal(poll, "exit 5");
                forget_calls(w);
                node_stop_role(w->node, role, causes[i], NULL, told_by(&told));
                assert_told_success(&told);
                expect_calls(w, "save(cam)");
                assert_next(role, "none", "exit-code");
                assert_null(role->timer);
                assert_non_null(role->ended_link);
        }
}

static void test_verbs_waiting(void **state) {
        TestWorld *w = *state;
        char *names[] = { (char *) "cam", NULL };
        g_auto(GStrv) purged = NULL;
        g_auto(Fault) purge = {}, signal = {};

        Role *role = run_and_end(w, "Restart=always", EXIT_CODE_EXITED, 5);
        assert_fault(node_purge(w->node, names, NULL, NULL, &purged, &purge), &purge, NODE_ERROR_ROLE_RUNNING,
                "it waits for its restart; stop it first");
        assert_fault(node_signal_role(w->node, role, true, SIGUSR1, NULL, (Waiter){}, &signal), &signal,
                NODE_ERROR_ROLE_NOT_RUNNING, "cam");
        assert_return_code(node_purge(w->node, NULL, NULL, NULL, &purged, NULL), 0);
        assert_int_equal(g_strv_length(purged), 0);
        assert_true(role_waits_for_restart(role));

        /* It starts at once, from the beginning. */
        role->restarts = (RestartCount){ 4, 4, 1, 4 };
        role = world_run(w, "cam", spec_with("Restart=always"));
        assert_false(role->automatic);
        assert_int_equal(role->restarts.n, 0);
        assert_int_equal(role->restarts.attempt, 0);
        assert_int_equal(role->restarts.window_starts, 1);
}

/* The wait goes on if the start of a caller fails. */
static void test_start_fails_waiting(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};
        Role *role = run_and_end(w, "Restart=always", EXIT_CODE_EXITED, 5);
        uint64_t deadline = role->next_deadline;

        Role *other = world_start(w, "cam", spec_with(""), &told);
        assert_null(role->timer);
        world_fork_failed(w, other, -EAGAIN);
        assert_int_equal(told.n, 1);
        assert_ptr_equal(world_find(w, "cam"), role);
        assert_true(role_waits_for_restart(role));
        assert_true(role->next_deadline == deadline);
        assert_non_null(role->timer);
        assert_null(role->ended_link);
}

/* Whatever a caller, the monitor, a shutdown or another manager stops stays stopped. */
static void test_stopped(void **state) {
        TestWorld *w = *state;

        for (int cause = 0; cause < _ROLE_CAUSE_MAX; cause++) {
                if (cause == ROLE_CAUSE_SELF || cause == ROLE_CAUSE_OOM || cause == ROLE_CAUSE_TIMEOUT ||
                        cause == ROLE_CAUSE_WATCHDOG) /* for the last two see test-node-ready */
                        continue;

                Role *role = world_run(w, "cam", spec_with("Restart=always"));
                if (cause == ROLE_CAUSE_EXTERNAL)
                        role_on_external_stop(role);
                else
                        role_stop(role, (RoleCause) cause, cause == ROLE_CAUSE_KILL, NULL);
                world_exit(w, role, EXIT_CODE_KILLED, cause == ROLE_CAUSE_KILL ? SIGKILL : SIGTERM);
                assert_next(role, "none", cause == ROLE_CAUSE_KILL ? "signal" : "success");
        }
}

/* Its main process dies of SIGTERM before the stop of its scope is known here. */
static void test_scope_is_stopped(void **state) {
        TestWorld *w = *state;

        w->stop_result = 0;
        for (unsigned stopped = 0; stopped < 2; stopped++) {
                Role *role = world_run(w, "cam", spec_with("Restart=always"));

                world_exit(w, role, EXIT_CODE_KILLED, SIGTERM);
                assert_int_equal(role->state, ROLE_RUNNING); /* systemd is asked */
                if (stopped)
                        role_on_external_stop(role);
                role_on_stop_known(role);
                node_follow_up(w->node);
                assert_next(role, stopped ? "none" : "waiting", "success");
        }
        /* Without a policy it does not matter. */
        Role *role = world_run(w, "cam", NULL);
        world_exit(w, role, EXIT_CODE_KILLED, SIGTERM);
        assert_int_equal(role->state, ROLE_ENDED);
}

/* SIGKILL after the stop timeout. */
static void test_timeout(void **state) {
        TestWorld *w = *state;
        Role *role = world_run(w, "cam", spec_with("Restart=always"));

        role_stop(role, ROLE_CAUSE_STOP, false, NULL);
        world_exit(w, role, EXIT_CODE_KILLED, SIGKILL);
        assert_next(role, "none", "timeout");
}

/* A Signal that ends it is as systemctl kill, after which systemd starts a service again. */
static void test_signalled(void **state) {
        TestWorld *w = *state;
        Role *role = world_run(w, "cam", spec_with("Restart=on-failure"));

        assert_return_code(node_signal_role(w->node, role, false, SIGUSR1, NULL, (Waiter){}, NULL), 0);
        world_exit(w, role, EXIT_CODE_KILLED, SIGUSR1);
        assert_int_equal(role->cause, ROLE_CAUSE_KILL);
        assert_next(role, "waiting", "signal");
}

/* A stop while its last processes are swept. */
static void test_stopped_in_the_sweep(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};
        Role *role = world_run(w, "cam", spec_with("Restart=always"));

        world_exit_leaving(w, role, EXIT_CODE_EXITED, 0);
        assert_next(role, "none", "success"); /* not before the last one has ended */
        node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, told_by(&told));
        world_emptied(w, role);
        assert_told_success(&told);
        assert_next(role, "none", "success");
}

static void test_shutdown(void **state) {
        TestWorld *w = *state;
        Role *role = run_and_end(w, "Restart=always", EXIT_CODE_EXITED, 0);

        node_shutdown(w->node, "dusk", NULL);
        assert_next(role, "none", "success");
        assert_true(w->finished);
}

/* -- a restart that fails -- */

static void test_restart_fails(void **state) {
        TestWorld *w = *state;
        Role *role = run_and_end(
                w, "Restart=on-failure\nStartLimitBurst=3\nStartLimitIntervalSec=1h", EXIT_CODE_EXITED, 1);

        for (unsigned i = 2; i < 4; i++) {
                Role *next = restart(w, role);

                forget_calls(w);
                world_fork_failed(w, next, -EAGAIN);
                assert_ptr_equal(world_find(w, "cam"), role);
                assert_next(role, "waiting", "resources");
                assert_int_equal(role->restarts.attempt, i);
                assert_int_equal(role->restarts.n, i - 1);
                assert_non_null(role->timer);
                assert_contains(w->calls->str, "bring-back(cam) save(cam) restarting(cam)");
        }
        role->next_deadline = 0;
        role_arm_restart(role);
        world_wait(w, role->next_run == NEXT_RUN_LIMIT_HIT);
}

/* It is cancelled by Stop, before it runs. */
static void test_restart_cancelled(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};
        Role *role = run_and_end(w, "Restart=on-failure", EXIT_CODE_EXITED, 1);
        Role *next = restart(w, role);

        node_stop_role(w->node, next, ROLE_CAUSE_STOP, NULL, told_by(&told));
        world_fork_failed(w, next, -EAGAIN);
        assert_told_success(&told);
        assert_ptr_equal(world_find(w, "cam"), role);
        assert_next(role, "none", "exit-code");
        assert_non_null(role->ended_link);
}

/* It has failed already, and what it has made is being removed, when Stop comes. */
static void test_stop_of_a_failed_restart(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};
        Role *role = run_and_end(w, "Restart=on-failure", EXIT_CODE_EXITED, 1);
        Role *next = restart(w, role);

        world_forked(w, next);
        world_scope_failed(w, next);
        assert_ptr_equal(world_find(w, "cam"), next); /* its scope may exist in part */
        node_stop_role(w->node, next, ROLE_CAUSE_STOP, NULL, told_by(&told));
        RoleExit exit = test_exit(EXIT_CODE_KILLED, SIGKILL);
        role_on_exited(next, &exit, false);
        world_scope_removed(w, next);
        assert_told_success(&told);
        assert_ptr_equal(world_find(w, "cam"), role);
        assert_next(role, "none", "exit-code");
}

/* Stop of a start that a caller has made meanwhile: the wait before it does not come back. */
static void test_cancelled_over_a_wait(void **state) {
        TestWorld *w = *state;
        g_auto(Told) started = {}, stopped = {};
        Role *role = run_and_end(w, "Restart=always", EXIT_CODE_EXITED, 5);
        Role *other = world_start(w, "cam", spec_with(""), &started);

        node_stop_role(w->node, other, ROLE_CAUSE_STOP, NULL, told_by(&stopped));
        world_fork_failed(w, other, -EAGAIN);
        assert_told_fault(&started, NODE_ERROR_START_CANCELLED, "cam");
        assert_told_success(&stopped);
        assert_ptr_equal(world_find(w, "cam"), role);
        assert_next(role, "none", "exit-code");
        assert_null(role->timer);
        assert_non_null(role->ended_link);
}

/* Its last process ends while a caller's start has its name, which then fails. */
static void test_start_fails_in_the_sweep(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};
        Role *role = world_run(w, "cam", spec_with("Restart=always"));

        world_exit_leaving(w, role, EXIT_CODE_EXITED, 1);
        Role *other = world_start(w, "cam", spec_with(""), &told);
        world_emptied(w, role);
        assert_next(role, "none", "exit-code");
        world_fork_failed(w, other, -EAGAIN);
        assert_int_equal(told.n, 1);
        assert_ptr_equal(world_find(w, "cam"), role);
        assert_next(role, "waiting", "exit-code");
        assert_non_null(role->timer);
}

/* A user who has as many roles starting as he may waits, and does not lose his roles for that. */
static void test_limits_put_off(void **state) {
        TestWorld *w = *state;
        Role *role = run_and_end(w, "Restart=on-abort\nStartLimitBurst=2\nStartLimitIntervalSec=1h",
                EXIT_CODE_DUMPED, SIGSEGV);
        const RestartCount count = role->restarts;
        const uint64_t sequence = events_sequence(w->node->events);

        role->spec->account = g_new(Account, 1);
        *role->spec->account = (Account){ .uid = 1000,
                .gid = 1000,
                .groups = g_array_new(false, false, sizeof(gid_t)),
                .name = g_strdup("u"),
                .group = g_strdup("g"),
                .home = g_strdup("/"),
                .shell = g_strdup("/bin/sh") };
        role->owner = (Caller){ .known = true, .uid = 1000, .pid = 7 };
        w->node->settings->max_starts_per_user = 0;
        for (unsigned i = 0; i < 4; i++) {
                role->next_deadline = 0;
                role_arm_restart(role);
                world_wait(w, role->next_deadline > 0);
                assert_next(role, "waiting", "core-dump");
                assert_between(delay_of(role), 1, USEC_PER_SEC);
                assert_memory_equal(&role->restarts, &count, sizeof(count));
                assert_non_null(role->timer);
        }
        assert_int_equal(events_sequence(w->node->events), sequence);
}

/* The service has died in the middle of it. */
static void test_interrupted(void **state) {
        TestWorld *w = *state;
        Role *role = run_and_end(w, "Restart=on-success", EXIT_CODE_EXITED, 0);
        const uint64_t attempt = role->restarts.attempt, n = role->restarts.n;
        Role *next = restart(w, role);

        next->interrupted = true; /* as role-recover.c finds it */
        world_fork_failed(w, next, -EAGAIN);
        assert_ptr_equal(world_find(w, "cam"), role);
        assert_next(role, "waiting", "success");
        assert_int_equal(role->restarts.attempt, attempt);
        assert_int_equal(role->restarts.n, n);
}

static void test_no_restart_in_a_shutdown(void **state) {
        TestWorld *w = *state;
        Role *role = run_and_end(w, "Restart=always", EXIT_CODE_EXITED, 1);

        role->next_deadline = 0;
        w->node->stopping = true;
        role_arm_restart(role);
        world_wait(w, role->next_run == NEXT_RUN_NONE);
        assert_ptr_equal(world_find(w, "cam"), role);
        assert_non_null(role->ended_link);
        w->node->stopping = false;
}

/* One that cannot even be made, as without a port of it. */
static void test_restart_refused(void **state) {
        TestWorld *w = *state;
        Role *role = run_and_end(w, "Restart=on-failure", EXIT_CODE_EXITED, 1);

        role->spec->ports[ROLE_PORTS_TCP] = g_array_new(false, false, sizeof(uint16_t));
        g_array_append_vals(role->spec->ports[ROLE_PORTS_TCP], &(uint16_t){ 7 }, 1);
        role->next_deadline = 0;
        role_arm_restart(role);
        world_wait(w, role->start_failed);
        assert_next(role, "waiting", "resources");
        assert_int_equal(role->restarts.attempt, 2);
        assert_non_null(role->timer);
}

/* The first run has released its release-ports, so the next one cannot have them again. */
static void test_released_ports(void **state) {
        TestWorld *w = *state;
        Role *role = run_and_end(w, "Restart=on-failure", EXIT_CODE_EXITED, 1);

        role->spec->ports[ROLE_PORTS_RELEASE] = g_array_new(false, false, sizeof(uint16_t));
        g_array_append_vals(role->spec->ports[ROLE_PORTS_RELEASE], &(uint16_t){ 7 }, 1);
        role = restart_and_run(w, role);
        assert_int_equal(role->restarts.n, 1);
        assert_int_equal(role->spec->ports[ROLE_PORTS_RELEASE]->len, 0);
}

/* -- the next process -- */

static Role *reload(TestWorld *w, Role *role) {
        g_autofree char *text = role_state_format(role);
        Role *loaded;

        node_remove_role(w->node, role);
        assert_return_code(role_state_parse(w->node, "cam", text, &loaded), 0);
        node_add_role(w->node, loaded);
        return loaded;
}

static void test_next_process(void **state) {
        TestWorld *w = *state;
        Role *role = run_and_end(w, "Restart=always", EXIT_CODE_EXITED, 1);
        const uint64_t deadline = role->next_deadline, realtime = role->next_realtime_usec;
        const RestartCount count = role->restarts;

        role = reload(w, role);
        assert_true(role_waits_for_restart(role));
        assert_null(role->ended_link);
        assert_true(role->next_deadline == deadline);
        assert_true(role->next_realtime_usec == realtime);
        assert_memory_equal(&role->restarts, &count, sizeof(count));
        w->node->recovered = false;
        node_on_keeper(w->node, NULL, 0);
        assert_non_null(role->timer);
        assert_true(role_waits_for_restart(role));
        role = restart_and_run(w, role);
        assert_int_equal(role->restarts.n, 1);
}

static Role *ended_before_the_decision(TestWorld *w) {
        Role *role = world_run(w, "cam", spec_with("Restart=on-failure"));

        world_exit_leaving(w, role, EXIT_CODE_EXITED, 1);
        return role;
}

/* The process died between the event and the file: the wait of the event goes on, and is not told again. */
static void test_event_restarting(void **state) {
        TestWorld *w = *state;
        Role *role = ended_before_the_decision(w), *loaded;
        g_autofree char *text = role_state_format(role);

        world_emptied(w, role);
        const uint64_t deadline = role->next_deadline, sequence = role->next_sequence;
        assert_true(role_waits_for_restart(role));
        node_remove_role(w->node, role);
        assert_return_code(role_state_parse(w->node, "cam", text, &loaded), 0);
        node_add_role(w->node, loaded);
        node_restore_events(w->node);
        assert_next(loaded, "waiting", "exit-code");
        assert_false(role_waits_for_restart(loaded)); /* not before it is swept */
        assert_true(loaded->next_deadline == deadline);
        assert_int_equal(loaded->restarts.attempt, 1);
        forget_calls(w);
        role_swept(loaded);
        assert_true(loaded->next_deadline == deadline);
        assert_int_equal(events_sequence(w->node->events), sequence);
        assert_null(strstr(w->calls->str, "restarting"));
        assert_non_null(loaded->timer);
}

/* A wait that a caller has cancelled does not come back from the log. */
static void test_event_is_older(void **state) {
        TestWorld *w = *state;
        Role *role = run_and_end(w, "Restart=always", EXIT_CODE_EXITED, 1);

        node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, (Waiter){});
        role = reload(w, world_find(w, "cam"));
        node_restore_events(w->node);
        assert_next(role, "none", "exit-code");
}

static void test_event_failed(void **state) {
        TestWorld *w = *state;
        Role *role = run_and_end(
                     w, "Restart=always\nStartLimitBurst=1\nStartLimitIntervalSec=1h", EXIT_CODE_EXITED, 0),
             *loaded;
        g_autofree char *text = role_state_format(role);

        role->next_deadline = 0;
        role_arm_restart(role);
        world_wait(w, role->next_run == NEXT_RUN_LIMIT_HIT);
        node_remove_role(w->node, role);
        assert_return_code(role_state_parse(w->node, "cam", text, &loaded), 0);
        node_add_role(w->node, loaded);
        node_restore_events(w->node);
        assert_next(loaded, "limit-hit", "start-limit-hit");
}

/* The start of the next run was under way. Its predecessor does not start another one. */
static void test_next_process_restarting(void **state) {
        TestWorld *w = *state;
        Role *role = restart(w, run_and_end(w, "Restart=always", EXIT_CODE_EXITED, 1));

        w->node->recovered = false;
        node_on_keeper(w->node, NULL, 0);
        assert_null(role->predecessor->timer);
        assert_false(role_waits_for_restart(role->predecessor));
        assert_true(role->automatic);
}

static void test_monitor(void **state) {
        TestWorld *w = *state;
        Role *role = run_and_end(w, "Restart=always\nOnMonitorLoss=stop", EXIT_CODE_EXITED, 1);

        monitor_configure(w->node->monitor, 1000, MONITOR_ACTION_NONE);
        assert_return_code(monitor_beat(w->node->monitor, NULL), 0);
        world_wait(w, role->next_run == NEXT_RUN_NONE);
        assert_next(role, "none", "exit-code");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, test_world_setup, test_world_teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_policies),
                TEST(test_oom),
                TEST(test_statuses),
                TEST(test_run_again),
                TEST(test_steps),
                TEST(test_spread),
                TEST(test_limit),
                TEST(test_window),
                TEST(test_remove),
                TEST(test_stop_waiting),
                TEST(test_verbs_waiting),
                TEST(test_start_fails_waiting),
                TEST(test_stopped),
                TEST(test_scope_is_stopped),
                TEST(test_timeout),
                TEST(test_signalled),
                TEST(test_stopped_in_the_sweep),
                TEST(test_shutdown),
                TEST(test_restart_fails),
                TEST(test_restart_cancelled),
                TEST(test_stop_of_a_failed_restart),
                TEST(test_cancelled_over_a_wait),
                TEST(test_start_fails_in_the_sweep),
                TEST(test_limits_put_off),
                TEST(test_interrupted),
                TEST(test_no_restart_in_a_shutdown),
                TEST(test_restart_refused),
                TEST(test_released_ports),
                TEST(test_next_process),
                TEST(test_event_restarting),
                TEST(test_event_is_older),
                TEST(test_event_failed),
                TEST(test_next_process_restarting),
                TEST(test_monitor),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
