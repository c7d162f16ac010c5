/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The steps from Start to running, and the way back from each. Whatever fails, at whatever step, nothing
 * remains of the start, the previous role exists again, and the caller gets one reply. */

#include "base/time-util.h"
#include "model/event-details.h"
#include "model/node-setup.h"
#include "model/role-notify.h"
#include "model/role-ready.h"
#include "model/role-recover.h"
#include "model/role-start.h"
#include "model/role.h"
#include "model/settings.h"
#include "test-world.h"

#include <inttypes.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "model/products.h"

static void test_success(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};

        Role *role = world_start(w, "cam", NULL, &told);
        assert_int_equal(role->state, ROLE_STARTING);
        assert_int_equal(role->phase, ROLE_PHASE_FORK);
        assert_false(sd_id128_is_null(role->invocation));
        assert_int_equal(w->node->n_starts, 1);
        assert_int_equal(w->node->n_not_ended, 1);
        expect_calls(w, "save(cam) fork(cam)");

        world_forked(w, role);
        expect_calls(w, "scope(cam)");
        /* The role is saved before, because the command may run after the launch. */
        world_scope_made(w, role);
        expect_calls(w, "save(cam) launch(cam)");
        assert_not_told(&told);

        role_on_gate_closed(role);
        /* The signal is sent before the reply, and the role is saved before both, so that a crash in between
         * gives the same result. */
        expect_calls(w, "save(cam) started(cam)");
        assert_told_success(&told);
        assert_int_equal(role->state, ROLE_RUNNING);
        assert_int_equal(role->started_sequence, 1);
        assert_true(role->start_realtime_usec > 0);
        assert_true(role->start_monotonic_usec > 0);
        assert_true(role->gate_fd < 0);
        assert_non_null(role->input);
        assert_int_equal(w->node->n_starts, 0);
}

static void test_no_pipe(void **state) {
        TestWorld *w = *state;
        RoleSpec *spec = test_spec();

        assert_return_code(role_spec_set_stdin(spec, "null", NULL), 0);
        assert_null(world_run(w, "cam", spec)->input);
}

static void test_refused(void **state) {
        TestWorld *w = *state;
        static const char *const names[][2] = { { "", "letter or digit" }, { "-a", "digit; \"a\" is" },
                { ".a", "digit; \"a\" is" }, { "a/b", "digit; \"a_b\" is" },
                { "ZWO CCD", "; \"ZWO_CCD\" is" }, { "a\n", "digit; \"a\" is" },
                { "\xc3\xa4", "letter or digit" } };
        g_autoptr(RoleSpec) spec = test_spec(), big = test_spec();
        g_autofree char *longest = g_strnfill(64, 'a'), *too_long = g_strnfill(65, 'a'),
                        *much = g_strnfill(ROLE_COMMAND_SIZE_MAX, 'x');
        g_auto(Told) told = {};

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                g_auto(Fault) fault = {};
                assert_fault(node_start_role(w->node, names[i][0], spec, NULL, told_by(&told), &fault),
                        &fault, NODE_ERROR_INVALID_ROLE_NAME, "1 to 64 characters");
                assert_true(g_str_has_suffix(fault.message, names[i][1]));
        }
        g_auto(Fault) name_fault = {}, size_fault = {}, stopping_fault = {};
        assert_fault(node_start_role(w->node, too_long, spec, NULL, told_by(&told), &name_fault), &name_fault,
                NODE_ERROR_INVALID_ROLE_NAME, "not a valid role name");
        assert_return_code(role_spec_add_environment(big, "A", much, NULL), 0);
        assert_fault(node_start_role(w->node, "cam", big, NULL, told_by(&told), &size_fault), &size_fault,
                NODE_ERROR_INVALID_ARGS, "more than 1048576");
        expect_calls(w, "");

        assert_non_null(world_start(w, longest, NULL, NULL));
        node_shutdown(w->node, "", NULL);
        assert_fault(node_start_role(w->node, "cam", spec, NULL, told_by(&told), &stopping_fault),
                &stopping_fault, NODE_ERROR_SHUTTING_DOWN, "shutting down");
        assert_not_told(&told);
        world_fork_failed(w, world_find(w, longest), -EIO);
}

/* -- how long it takes -- */

#define STEP_USEC (10 * USEC_PER_SEC)

/* As if the step that is under way had begun that much earlier. */
static void let_pass(Role *role) {
        role->start_times.since -= STEP_USEC;
}

static void assert_step(const Role *role, StartStep step, uint64_t usec) {
        const StartTimes *times = &role->start_times;

        if (!start_times_have(times, step))
                fail_msg("%s is missing", start_step_to_string(step));
        if (times->usec[step] < usec || times->usec[step] >= usec + STEP_USEC)
                fail_msg("%s is %" PRIu64, start_step_to_string(step), times->usec[step]);
}

static uint64_t steps_until_exec(const Role *role) {
        uint64_t sum = 0;

        for (StartStep i = 0; i < START_STEP_READY; i++)
                sum += role->start_times.usec[i];
        return sum;
}

/* Every step has its time, and together they are the time from the call to the command. */
static void test_every_step(void **state) {
        TestWorld *w = *state;
        RoleSpec *spec = test_spec();

        Role *before = world_run(w, "cam", NULL);
        world_exit_leaving(w, before, EXIT_CODE_EXITED, 0);
        Role *lamp = world_start(w, "lamp", NULL, NULL);
        spec->type = ROLE_TYPE_NOTIFY;
        assert_return_code(
                role_spec_set_dependencies(spec, DEPENDENCY_AFTER, (char *[]){ "lamp", NULL }, NULL), 0);
        const uint64_t earliest = now_usec(CLOCK_MONOTONIC);
        Role *role = world_start(w, "cam", spec, NULL);
        const uint64_t latest = now_usec(CLOCK_MONOTONIC);
        assert_int_equal(role->phase, ROLE_PHASE_DEPENDENCIES);
        let_pass(role);
        world_executed(w, lamp);
        assert_int_equal(role->phase, ROLE_PHASE_SWEEP);
        let_pass(role);
        world_emptied(w, before);
        assert_int_equal(role->phase, ROLE_PHASE_FORK);
        let_pass(role);
        world_forked(w, role);
        let_pass(role);
        world_scope_made(w, role);
        let_pass(role);
        role_on_setup_times(role, 1, STEP_USEC + 2);
        let_pass(role);
        (void) g_hash_table_add(w->populated, role);
        role_on_gate_closed(role);

        assert_step(role, START_STEP_QUEUE, 0);
        assert_step(role, START_STEP_DEPENDENCIES, STEP_USEC);
        assert_step(role, START_STEP_SWEEP, STEP_USEC);
        assert_step(role, START_STEP_FORK, STEP_USEC);
        assert_step(role, START_STEP_SCOPE, STEP_USEC);
        assert_int_equal(role->start_times.usec[START_STEP_PRODUCTS], 1);
        /* It cannot be longer than what it is a part of. */
        assert_in_range(role->start_times.usec[START_STEP_HOOKS], STEP_USEC - 1, STEP_USEC + 2);
        assert_step(role, START_STEP_EXEC, STEP_USEC);
        assert_false(start_times_have(&role->start_times, START_STEP_READY));
        assert_in_range(steps_until_exec(role), role->start_monotonic_usec - latest + 6 * STEP_USEC,
                role->start_monotonic_usec - earliest + 6 * STEP_USEC);

        role_on_notified(role, &(RoleNotification){ .kind = NOTIFY_READY,
                                       .number = 1,
                                       .monotonic_usec = role->start_monotonic_usec + 7 });
        assert_int_equal(role->start_times.usec[START_STEP_READY], 7);
        assert_int_equal(role->start_times.since, 0);
}

/* What does not happen has no time. */
static void test_no_steps(void **state) {
        static const unsigned always = 1U << START_STEP_QUEUE | 1U << START_STEP_FORK |
                                       1U << START_STEP_SCOPE | 1U << START_STEP_EXEC;
        TestWorld *w = *state;

        Role *role = world_run(w, "exec", NULL);
        assert_int_equal(role->start_times.known, always);
        for (int status = 0; status < 2; status++) {
                RoleSpec *spec = test_spec();

                spec->type = ROLE_TYPE_ONESHOT;
                role = world_start(w, status == 0 ? "good" : "bad", spec, NULL);
                world_executed(w, role);
                assert_int_equal(role->start_times.known, always);
                role->start_monotonic_usec = test_exit(EXIT_CODE_EXITED, 0).monotonic_usec - 5;
                world_exit(w, role, EXIT_CODE_EXITED, status);
                assert_int_equal(
                        role->start_times.known, always | (status == 0 ? 1U << START_STEP_READY : 0));
                assert_int_equal(role->start_times.usec[START_STEP_READY], status == 0 ? 5 : 0);
        }

        /* Of what an older version has started nothing is known, and the rest alone says nothing. */
        RoleSpec *spec = test_spec();
        spec->type = ROLE_TYPE_NOTIFY;
        role = world_start(w, "older", spec, NULL);
        role->start_times = (StartTimes){};
        world_executed(w, role);
        role_on_notified(role, &(RoleNotification){ .kind = NOTIFY_READY, .number = 1, .monotonic_usec = 1 });
        assert_true(role_is_ready(role));
        assert_int_equal(role->start_times.known, 0);
}

/* The user of a start without the option, and of one with it; what tells it. */
static void test_user(void **state) {
        static const struct {
                const char *default_user, *option, *user, *told;
                bool require;
        } cases[] = {
                { NULL, NULL, NULL, NULL, false },
                { NULL, "daemon", "daemon", "daemon", false },
                { "obs", NULL, "obs", "obs", false },
                { "obs", "daemon", "daemon", "daemon", false },
                { NULL, "root", "root", "root", true },
                { "obs", "daemon", "daemon", "daemon", true },
        };
        TestWorld *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Settings *settings = settings_new();
                RoleSpec *spec = test_spec();
                g_autofree char *name = g_strdup_printf("cam%zu", i);
                const char *told = cases[i].told ?: g_get_user_name(), *user;

                settings->default_user = g_strdup(cases[i].default_user);
                settings->require_user = cases[i].require;
                node_set_settings(w->node, settings);
                if (cases[i].option)
                        assert_return_code(role_spec_set_user(spec, cases[i].option, NULL), 0);
                Role *role = world_run(w, name, spec);
                assert_true(g_strcmp0(role->spec->user, cases[i].user) == 0);
                g_autoptr(GVariant) details = g_variant_ref_sink(event_details_started(role));
                assert_true(g_variant_lookup(details, "user", "&s", &user));
                assert_string_equal(user, told);
        }

        static const char *const defaults[] = { NULL, "obs" };
        for (size_t i = 0; i < ELEMENTSOF(defaults); i++) {
                Settings *settings = settings_new();
                g_autoptr(RoleSpec) spec = test_spec();
                g_auto(Told) nobody_told = {};
                g_auto(Fault) fault = {};

                settings->default_user = g_strdup(defaults[i]);
                settings->require_user = true;
                node_set_settings(w->node, settings);
                assert_fault(node_start_role(w->node, "none", spec, NULL, told_by(&nobody_told), &fault),
                        &fault, NODE_ERROR_INVALID_ARGS,
                        "Role \"none\": The option \"user\" is missing, which RequireUser=");
                assert_not_told(&nobody_told);
                assert_null(world_find(w, "none"));
        }
}

/* Each way in which a start fails, and the phase in which it does. */
typedef struct Failure {
        const char *label;
        RolePhase phase; /* how far it gets */
        void (*go_wrong)(TestWorld *w, Role *role);
        NodeError error;
        const char *text;
} Failure;

static void undo_scope(TestWorld *w, Role *role) {
        if (g_hash_table_contains(w->scopes, role) || role->scope_pending)
                world_scope_removed(w, role);
}

static void dies(TestWorld *w, Role *role, ExitCode code, int status, bool execed) {
        RoleExit exit = test_exit(code, status);

        role_on_exited(role, &exit, execed);
}

static void killed_by_us(TestWorld *w, Role *role) {
        expect_calls(w, "signal-main(cam,9)");
        dies(w, role, EXIT_CODE_KILLED, SIGKILL, false);
}

static void fail_fork_answer(TestWorld *w, Role *role) {
        world_fork_failed(w, role, -EAGAIN);
}

static void fail_scope_answer(TestWorld *w, Role *role) {
        world_scope_failed(w, role);
        killed_by_us(w, role);
        expect_calls(w, "reap(cam) remove(cam)");
        undo_scope(w, role);
}

static void fail_dies_before_scope(TestWorld *w, Role *role) {
        dies(w, role, EXIT_CODE_KILLED, SIGSEGV, false);
        /* The request was sent, so systemd may still create the scope. */
        expect_calls(w, "");
        world_scope_made(w, role);
        expect_calls(w, "reap(cam) remove(cam)");
        undo_scope(w, role);
}

static void fail_dies_then_scope_fails(TestWorld *w, Role *role) {
        dies(w, role, EXIT_CODE_EXITED, 1, false);
        world_scope_failed(w, role);
        expect_calls(w, "reap(cam) remove(cam)");
        undo_scope(w, role);
}

static void fail_report_exec(TestWorld *w, Role *role) {
        role_on_gate_report(role, LAUNCH_STAGE_EXEC, -ENOENT, false, "/no/such: No such file or directory");
        expect_calls(w, "signal-main(cam,9)");
        role_on_gate_closed(role);
        expect_calls(w, "");
        dies(w, role, EXIT_CODE_EXITED, 203, false);
        expect_calls(w, "reap(cam) remove(cam)");
        undo_scope(w, role);
}

static void fail_report_setup(TestWorld *w, Role *role) {
        /* A warning alone is not a failure. */
        role_on_gate_report(role, LAUNCH_STAGE_EXEC, -EPERM, true, "cannot do this, going on");
        assert_null(role->failure.message);
        role_on_gate_report(role, (LaunchStage) 0, -ENOENT, false, "no such user \"nobody2\"");
        /* A later report does not replace the reason. */
        role_on_gate_report(role, LAUNCH_STAGE_EXEC, -EIO, false, "later");
        killed_by_us(w, role);
        expect_calls(w, "reap(cam) remove(cam)");
        undo_scope(w, role);
}

static void fail_start_pre_late(TestWorld *w, Role *role) {
        role_on_gate_report(role, LAUNCH_STAGE_START_PRE, -EIO, true, "\"x\" failed, ignoring");
        assert_null(role->failure.message);
        role_on_gate_report(role, LAUNCH_STAGE_START_PRE, -ETIMEDOUT, false, "\"x\" was killed");
        killed_by_us(w, role);
        expect_calls(w, "reap(cam) remove(cam)");
        undo_scope(w, role);
}

static void fail_start_pre(TestWorld *w, Role *role) {
        role_on_gate_report(role, LAUNCH_STAGE_START_PRE, -EIO, false, "\"x\" failed");
        killed_by_us(w, role);
        expect_calls(w, "reap(cam) remove(cam)");
        undo_scope(w, role);
}

static void fail_killed_gate_first(TestWorld *w, Role *role) {
        /* This process has passed an exec; a child that only forked has not. */
        pid_t pid = fork_pausing();
        role->main_pid = pid;
        role->main_start_time = start_time_of(pid);

        role_on_gate_closed(role);
        assert_int_equal(role->state, ROLE_STARTING);
        expect_calls(w, "");
        assert_return_code(kill(pid, SIGKILL), errno);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        dies(w, role, EXIT_CODE_KILLED, SIGKILL, false);
        expect_calls(w, "reap(cam) remove(cam)");
        undo_scope(w, role);
}

static void fail_killed_exit_first(TestWorld *w, Role *role) {
        dies(w, role, EXIT_CODE_DUMPED, SIGABRT, false);
        expect_calls(w, ""); /* the gate may still contain a report */
        role_on_gate_closed(role);
        expect_calls(w, "reap(cam) remove(cam)");
        undo_scope(w, role);
}

static void fail_exits_in_setup(TestWorld *w, Role *role) {
        dies(w, role, EXIT_CODE_EXITED, 7, false);
        role_on_gate_closed(role);
        expect_calls(w, "reap(cam) remove(cam)");
        undo_scope(w, role);
}

static void fail_lost_in_setup(TestWorld *w, Role *role) {
        dies(w, role, EXIT_CODE_LOST, -1, false);
        role_on_gate_closed(role);
        expect_calls(w, "reap(cam) remove(cam)");
        undo_scope(w, role);
}

static void fail_report_after_exit(TestWorld *w, Role *role) {
        dies(w, role, EXIT_CODE_EXITED, 203, false);
        role_on_gate_report(role, LAUNCH_STAGE_EXEC, -EACCES, false, "permission denied");
        expect_calls(w, "reap(cam) remove(cam)");
        undo_scope(w, role);
}

/* NSS modules may fork, too. Processes that the set-up has left are killed before the unit is removed. */
static void fail_leaves_processes(TestWorld *w, Role *role) {
        (void) g_hash_table_add(w->populated, role);
        role_on_gate_report(role, LAUNCH_STAGE_EXEC, -ENOENT, false, "no such file");
        killed_by_us(w, role);
        expect_calls(w, "reap(cam) signal-cgroup(cam,9,each) watch(cam)");
        role_on_cgroup_changed(role); /* not yet */
        expect_calls(w, "signal-cgroup(cam,9,each) watch(cam)");
        (void) g_hash_table_remove(w->populated, role);
        role_on_cgroup_changed(role);
        expect_calls(w, "remove(cam)");
        undo_scope(w, role);
}

static void fail_unit_cannot_be_removed(TestWorld *w, Role *role) {
        w->remove_result = -ECANCELED;
        (void) g_hash_table_remove(w->scopes, role);
        role_on_gate_report(role, LAUNCH_STAGE_EXEC, -ENOENT, false, "no such file");
        expect_calls(w, "signal-main(cam,9)");
        dies(w, role, EXIT_CODE_KILLED, SIGKILL, false);
        w->remove_result = 0;
}

static void cancel_queued(TestWorld *w, Role *role) {
        node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, (Waiter){});
}

static void cancel_fork(TestWorld *w, Role *role) {
        node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, (Waiter){});
        expect_calls(w, "");
        world_forked(w, role);
        killed_by_us(w, role);
        assert_null(strstr(w->calls->str, "scope(cam)")); /* none was requested, so none is to be removed */
        assert_null(strstr(w->calls->str, "remove(cam)"));
}

/* The keeper dies with the child that it has made, after it has said so. */
static void cancel_fork_and_lose_keeper(TestWorld *w, Role *role) {
        const RoleExit lost = { .code = EXIT_CODE_LOST, .status = -1 };

        node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, (Waiter){});
        world_forked(w, role);
        w->connected = false;
        node_on_keeper_lost(w->node);
        expect_calls(w, "signal-main(cam,9) watch-main(cam)");
        (void) g_hash_table_remove(w->children, GUINT_TO_POINTER((guint) role->child));
        role_on_exited(role, &lost, false);
        w->connected = true;
}

static void cancel_fork_that_fails(TestWorld *w, Role *role) {
        node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, (Waiter){});
        world_fork_failed(w, role, -EAGAIN);
}

static void cancel_scope(TestWorld *w, Role *role) {
        node_stop_role(w->node, role, ROLE_CAUSE_KILL, NULL, (Waiter){});
        expect_calls(w, "signal-main(cam,9)");
        node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, (Waiter){}); /* it joins the first one */
        expect_calls(w, "");
        world_scope_made(w, role);
        expect_calls(w, ""); /* there is no launch, so the command never runs */
        dies(w, role, EXIT_CODE_KILLED, SIGKILL, false);
        expect_calls(w, "reap(cam) remove(cam)");
        undo_scope(w, role);
}

static void cancel_scope_after_death(TestWorld *w, Role *role) {
        node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, (Waiter){});
        killed_by_us(w, role);
        expect_calls(w, "");
        world_scope_failed(w, role);
        expect_calls(w, "reap(cam) remove(cam)");
        undo_scope(w, role);
}

static void cancel_open(TestWorld *w, Role *role) {
        node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, (Waiter){});
        expect_calls(w, "signal-main(cam,9)");
        /* Perhaps the child has reached its exec, but that has no effect any more. */
        role_on_gate_closed(role);
        assert_int_equal(role->state, ROLE_STARTING);
        dies(w, role, EXIT_CODE_KILLED, SIGKILL, true);
        expect_calls(w, "reap(cam) remove(cam)");
        undo_scope(w, role);
}

static RoleSpec *spec_with_product(void) {
        RoleSpec *spec = test_spec();

        assert_return_code(role_spec_set_product(spec, "base", NULL), 0);
        return spec;
}

static Role *start_with_product(TestWorld *w, Told *told) {
        Role *role = world_start(w, "cam", spec_with_product(), told);

        world_forked(w, role);
        world_scope_made(w, role);
        (void) g_hash_table_add(w->populated, role);
        forget_calls(w);
        return role;
}

/* EUPS releases its lock at SIGTERM, so a product set-up gets SIGTERM first; SIGKILL follows 200 ms later. */
static void test_cancel_product(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};
        Role *role = start_with_product(w, &told);
        gint64 begin = g_get_monotonic_time();

        node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, (Waiter){});
        expect_calls(w, "signal-cgroup(cam,15)");
        dies(w, role, EXIT_CODE_KILLED, SIGTERM, false);
        expect_calls(w, "reap(cam) watch(cam)");
        world_wait(w, strstr(w->calls->str, "signal-cgroup(cam,9,each)"));
        assert_true(g_get_monotonic_time() - begin >= (gint64) ROLE_PRODUCT_TERM_USEC);
        expect_calls(w, "signal-cgroup(cam,9,each) watch(cam)");
        (void) g_hash_table_remove(w->populated, role);
        role_on_cgroup_changed(role);
        world_scope_removed(w, role);
        assert_told_fault(&told, NODE_ERROR_START_CANCELLED, "cancelled by Stop");
        assert_nothing_left(w, "cam");
}

/* A child that ignores SIGTERM, and one whose set-up ends at once. */
static void test_cancel_product_deaf(void **state) {
        TestWorld *w = *state;

        for (int deaf = 0; deaf < 2; deaf++) {
                g_auto(Told) told = {};
                Role *role = start_with_product(w, &told);

                node_stop_role(w->node, role, ROLE_CAUSE_KILL, NULL, (Waiter){});
                expect_calls(w, "signal-cgroup(cam,15)");
                if (deaf) {
                        world_wait(w, w->calls->len > 0);
                        expect_calls(w, "signal-main(cam,9)");
                }
                (void) g_hash_table_remove(w->populated, role);
                dies(w, role, EXIT_CODE_KILLED, deaf ? SIGKILL : SIGTERM, false);
                expect_calls(w, "reap(cam) remove(cam)");
                world_scope_removed(w, role);
                assert_told_fault(&told, NODE_ERROR_START_CANCELLED, "cancelled by Kill");
                assert_nothing_left(w, "cam");
                forget_calls(w);
        }
}

/* The child ends a set-up that takes too long and reports it. The node ends it only if the child does not. */
static void test_product_timeout(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {}, plain_told = {};

        w->node->settings->setup_timeout_usec = 20 * USEC_PER_MSEC;
        Role *role = start_with_product(w, &told);
        Role *plain = world_start(w, "plain", NULL, &plain_told);
        world_forked(w, plain);
        world_scope_made(w, plain);
        forget_calls(w);

        world_wait(w, plain->failure.message);
        assert_null(role->failure.message);
        expect_calls(w, "signal-main(plain,9)");
        dies(w, plain, EXIT_CODE_KILLED, SIGKILL, false);
        world_scope_removed(w, plain);
        forget_calls(w);
        world_wait(w, role->failure.message);
        expect_calls(w, "signal-cgroup(cam,15)");
        (void) g_hash_table_remove(w->populated, role);
        dies(w, role, EXIT_CODE_KILLED, SIGTERM, false);
        world_scope_removed(w, role);
        assert_told_fault(&told, NODE_ERROR_SETUP_FAILED, "did not reach the command");
}

/* The provider of the configuration is used, unless the start names one. A refused start leaves nothing. */
static void test_product_provider(void **state) {
        TestWorld *w = *state;
        g_auto(Fault) fault = {};
        g_auto(Told) told = {};
        g_autoptr(RoleSpec) bad = spec_with_product();

        w->node->settings->product_provider = PRODUCT_PROVIDER_LMOD;
        assert_int_equal(start_with_product(w, NULL)->spec->provider, PRODUCT_PROVIDER_LMOD);
        RoleSpec *own = spec_with_product();
        assert_return_code(role_spec_set_provider(own, "modules", NULL), 0);
        assert_int_equal(world_start(w, "own", own, NULL)->spec->provider, PRODUCT_PROVIDER_MODULES);

        assert_return_code(role_spec_set_setup_args(bad, (char *[]){ "-k", NULL }, NULL), 0);
        assert_fault(node_start_role(w->node, "bad", bad, NULL, told_by(&told), &fault), &fault,
                NODE_ERROR_INVALID_ARGS, "Role \"bad\": Option \"setup-args\": the provider lmod takes none");
        assert_null(g_hash_table_lookup(w->node->roles, "bad"));
}

static const Failure failures[] = {
        { "fork refused", ROLE_PHASE_FORK, fail_fork_answer, NODE_ERROR_SETUP_FAILED,
                "cannot fork: Resource temporarily" },
        { "scope refused", ROLE_PHASE_SCOPE, fail_scope_answer, NODE_ERROR_SCOPE_FAILED, "systemd says no" },
        { "dies before its scope", ROLE_PHASE_SCOPE, fail_dies_before_scope, NODE_ERROR_SETUP_FAILED,
                "killed by signal 11" },
        { "dies, then scope refused", ROLE_PHASE_SCOPE, fail_dies_then_scope_fails, NODE_ERROR_SETUP_FAILED,
                "(exit 1)" },
        { "exec fails", ROLE_PHASE_OPEN, fail_report_exec, NODE_ERROR_EXEC_FAILED,
                "failed to start (exec): /no/such: No such file" },
        { "set-up fails", ROLE_PHASE_OPEN, fail_report_setup, NODE_ERROR_SETUP_FAILED,
                "no such user \"nobody2\"" },
        { "a command before it fails", ROLE_PHASE_OPEN, fail_start_pre, NODE_ERROR_SETUP_FAILED,
                "failed to start (start-pre): \"x\" failed" },
        { "a command before it takes too long", ROLE_PHASE_OPEN, fail_start_pre_late,
                NODE_ERROR_START_TIMED_OUT, "(start-pre): \"x\" was killed" },
        { "killed in set-up, gate first", ROLE_PHASE_OPEN, fail_killed_gate_first, NODE_ERROR_SETUP_FAILED,
                "killed by signal 9 (Killed) during its set-up" },
        { "killed in set-up, exit first", ROLE_PHASE_OPEN, fail_killed_exit_first, NODE_ERROR_SETUP_FAILED,
                "killed by signal 6" },
        { "exits in set-up", ROLE_PHASE_OPEN, fail_exits_in_setup, NODE_ERROR_SETUP_FAILED,
                "ended during its set-up (exit 7)" },
        { "lost in set-up", ROLE_PHASE_OPEN, fail_lost_in_setup, NODE_ERROR_SETUP_FAILED,
                "ended during its set-up" },
        { "report read after the exit", ROLE_PHASE_OPEN, fail_report_after_exit, NODE_ERROR_EXEC_FAILED,
                "permission denied" },
        { "set-up leaves processes", ROLE_PHASE_OPEN, fail_leaves_processes, NODE_ERROR_EXEC_FAILED,
                "no such file" },
        { "unit stays", ROLE_PHASE_OPEN, fail_unit_cannot_be_removed, NODE_ERROR_EXEC_FAILED,
                "no such file" },
        { "cancelled in the queue", ROLE_PHASE_QUEUED, cancel_queued, NODE_ERROR_START_CANCELLED,
                "cancelled by Stop" },
        { "cancelled while forking", ROLE_PHASE_FORK, cancel_fork, NODE_ERROR_START_CANCELLED,
                "cancelled by Stop" },
        { "cancelled while forking, and the keeper dies", ROLE_PHASE_FORK, cancel_fork_and_lose_keeper,
                NODE_ERROR_START_CANCELLED, "cancelled by Stop" },
        { "cancelled before fork fails", ROLE_PHASE_FORK, cancel_fork_that_fails, NODE_ERROR_START_CANCELLED,
                "cancelled by Stop" },
        { "cancelled while its scope is made", ROLE_PHASE_SCOPE, cancel_scope, NODE_ERROR_START_CANCELLED,
                "cancelled by Kill" },
        { "cancelled, dead, and its scope fails", ROLE_PHASE_SCOPE, cancel_scope_after_death,
                NODE_ERROR_START_CANCELLED, "cancelled by Stop" },
        { "cancelled at the gate", ROLE_PHASE_OPEN, cancel_open, NODE_ERROR_START_CANCELLED,
                "cancelled by Stop" },
};

static void advance(TestWorld *w, Role *role, RolePhase phase) {
        if (phase > ROLE_PHASE_FORK)
                world_forked(w, role);
        if (phase > ROLE_PHASE_SCOPE)
                world_scope_made(w, role);
        assert_int_equal(role->phase, phase);
        forget_calls(w);
}

static void fail_it(const Failure *failure, bool predecessor) {
        g_auto(Told) start = {}, stop = {};
        void *state;

        test_world_setup(&state);
        TestWorld *w = state;
        Role *old = predecessor ? world_run_and_exit(w, "cam", NULL) : NULL;
        uint64_t sequence = events_sequence(w->node->events);
        w->connected = failure->phase != ROLE_PHASE_QUEUED;

        Role *role = world_start(w, "cam", NULL, &start);
        advance(w, role, failure->phase);
        bool cancels = failure->error == NODE_ERROR_START_CANCELLED;
        if (cancels)
                role_wait_stop(role, told_by(&stop)); /* of a caller that requested a stop before */
        failure->go_wrong(w, role);

        assert_told_fault(&start, failure->error, failure->text);
        assert_contains(start.message, "\"cam\"");
        if (cancels)
                assert_told_success(&stop);

        /* No signals are sent. */
        assert_null(strstr(w->calls->str, "started("));
        assert_null(strstr(w->calls->str, "exited("));
        assert_int_equal(events_sequence(w->node->events), sequence);
        if (predecessor) {
                assert_ptr_equal(world_find(w, "cam"), old);
                assert_null(old->successor);
                assert_int_equal(old->state, ROLE_ENDED);
                assert_int_equal(g_queue_get_length(w->node->ended), 1);
                assert_contains(w->calls->str, "bring-back(cam)");
                assert_null(strstr(w->calls->str, "removed("));
                assert_null(strstr(w->calls->str, "forget("));
                g_auto(GStrv) purged = NULL;
                assert_return_code(node_purge(w->node, NULL, NULL, NULL, &purged, NULL), 0);
                assert_int_equal(g_strv_length(purged), 1);
        } else
                assert_contains(w->calls->str, "forget(cam) removed(cam)");
        assert_nothing_left(w, "cam");

        /* The name is free. */
        w->connected = true;
        (void) world_run(w, "cam", NULL);
        test_world_teardown(&state);
}

static void test_failure(void **state) {
        const Failure *failure = *state;

        fail_it(failure, false);
        fail_it(failure, true);
}

/* Requests that fail before they are sent. */
static void test_requests_fail(void **state) {
        TestWorld *w = *state;
        struct {
                int *result;
                unsigned saves_left;
                NodeError error;
                const char *text;
        } cases[] = {
                { &w->save_result, 0, NODE_ERROR_IO_ERROR, "its state cannot be saved: No space left" },
                { &w->save_result, 1, NODE_ERROR_IO_ERROR, "its state cannot be saved: No space left" },
                { &w->fork_result, 0, NODE_ERROR_KEEPER_UNAVAILABLE, "cannot be started" },
                { &w->scope_result, 0, NODE_ERROR_SCOPE_FAILED, "cannot ask systemd for a scope" },
                { &w->launch_result, 0, NODE_ERROR_SETUP_FAILED, "cannot send its launch request" },
        };

        for (size_t i = 0; i < 2 * ELEMENTSOF(cases); i++) {
                const bool again = i % 2 == 1; /* the name of an ended role */
                g_auto(Told) told = {};

                Role *before = again ? world_run_and_exit(w, "cam", NULL) : NULL;
                *cases[i / 2].result = -ENOSPC;
                w->saves_left = cases[i / 2].saves_left;
                Role *role = world_start(w, "cam", NULL, &told);
                if (role && role != before) {
                        world_forked(w, role);
                        if (role->scope_pending)
                                world_scope_made(w, role);
                        dies(w, role, EXIT_CODE_KILLED, SIGKILL, false);
                        role = world_find(w, "cam");
                        if (role && role != before)
                                world_scope_removed(w, role);
                }
                *cases[i / 2].result = 0;
                w->saves_left = 0;
                assert_told_fault(&told, cases[i / 2].error, cases[i / 2].text);
                if (again) {
                        assert_ptr_equal(world_find(w, "cam"), before);
                        assert_int_equal(g_queue_get_length(w->node->ended), 1);
                        node_purge_role(w->node, before, NULL);
                }
                assert_nothing_left(w, "cam");
        }
}

/* The gate closes before and after the exit of a command that was executed. */
static void test_exit_before_gate(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};

        Role *role = world_start(w, "cam", NULL, &told);
        advance(w, role, ROLE_PHASE_OPEN);
        dies(w, role, EXIT_CODE_EXITED, 0, true);
        assert_not_told(&told);
        expect_calls(w, "");
        role_on_gate_closed(role);
        expect_calls(w, "save(cam) started(cam) exited(cam) save(cam) reap(cam)");
        assert_told_success(&told);
        assert_int_equal(role->state, ROLE_ENDED);
        assert_true(role->started_sequence < role->exited_sequence);
}

static void test_exit_after_gate(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};

        Role *role = world_start(w, "cam", NULL, &told);
        advance(w, role, ROLE_PHASE_OPEN);
        role_on_gate_closed(role);
        expect_calls(w, "save(cam) started(cam)");
        assert_told_success(&told);
        dies(w, role, EXIT_CODE_EXITED, 0, true);
        expect_calls(w, "exited(cam) save(cam) reap(cam)");
        /* Reported again after a reconnection; this has no effect. */
        dies(w, role, EXIT_CODE_KILLED, SIGKILL, true);
        expect_calls(w, "");
        assert_int_equal(role->exit.code, EXIT_CODE_EXITED);
}

/* The gate closed with the exec, the process died at once, and its exit record contains that it had passed
 * its exec. */
static void test_gate_then_exit_of_execed(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};

        Role *role = world_start(w, "cam", NULL, &told);
        advance(w, role, ROLE_PHASE_OPEN);
        role->main_start_time++; /* the PID belongs to another process, so /proc does not describe the role */
        role_on_gate_closed(role);
        assert_not_told(&told);
        dies(w, role, EXIT_CODE_EXITED, 5, true);
        assert_told_success(&told);
        assert_int_equal(role->state, ROLE_ENDED);
        assert_int_equal(role->exit.status, 5);
        expect_calls(w, "save(cam) started(cam) exited(cam) save(cam) reap(cam)");
}

static void test_successor_takes_over(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};

        Role *old = world_run_and_exit(w, "cam", NULL);
        sd_id128_t invocation = old->invocation;
        forget_calls(w);
        Role *role = world_start(w, "cam", NULL, &told);
        assert_ptr_equal(role->predecessor, old);
        assert_int_equal(g_queue_get_length(w->node->ended), 0);
        expect_calls(w, "set-aside(cam) save(cam) fork(cam)");
        advance(w, role, ROLE_PHASE_OPEN);
        role_on_gate_closed(role);
        expect_calls(w, "save(cam) started(cam) drop-previous(cam)");
        assert_told_success(&told);
        assert_null(role->predecessor);
        assert_false(sd_id128_equal(role->invocation, invocation));
        assert_int_equal(g_hash_table_size(w->node->roles), 1);
        assert_int_equal(w->node->n_not_ended, 1);
}

static void test_waits_for_sweep(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {}, stopped = {};

        Role *old = world_run(w, "cam", NULL);
        world_exit_leaving(w, old, EXIT_CODE_EXITED, 0);
        node_stop_role(w->node, old, ROLE_CAUSE_STOP, NULL, told_by(&stopped));
        forget_calls(w);

        Role *role = world_start(w, "cam", NULL, &told);
        assert_int_equal(role->phase, ROLE_PHASE_SWEEP);
        expect_calls(w, "set-aside(cam) save(cam)");
        assert_not_told(&stopped);

        world_emptied(w, old);
        assert_told_success(&stopped);
        assert_int_equal(role->phase, ROLE_PHASE_FORK);
        expect_calls(w, "save(cam) fork(cam)");
        assert_not_told(&told);
        advance(w, role, ROLE_PHASE_OPEN);
        role_on_gate_closed(role);
        assert_told_success(&told);
        assert_int_equal(g_queue_get_length(w->node->ended), 0);
}

/* The start is cancelled while it waits. The old run exists again, and its sweep continues. The start
 * completes at once, but the stop waits until no process of that name is left. */
static void test_cancelled_while_it_waits_for_sweep(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {}, stopped = {}, earlier = {};

        Role *old = world_run(w, "cam", NULL);
        world_exit_leaving(w, old, EXIT_CODE_EXITED, 0);
        node_stop_role(w->node, old, ROLE_CAUSE_STOP, NULL, told_by(&earlier));
        Role *role = world_start(w, "cam", NULL, &told);
        assert_int_equal(role->phase, ROLE_PHASE_SWEEP);
        node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, told_by(&stopped));
        assert_told_fault(&told, NODE_ERROR_START_CANCELLED, "cancelled by Stop");
        assert_not_told(&stopped);
        assert_not_told(&earlier);
        assert_ptr_equal(world_find(w, "cam"), old);
        assert_int_equal(old->stop_step, STOP_STEP_ASKED); /* it has the rest of its time */
        assert_int_equal(w->node->n_starts, 0);
        assert_int_equal(g_queue_get_length(w->node->ended), 0);
        world_emptied(w, old);
        assert_told_success(&stopped);
        assert_told_success(&earlier);
        assert_true(old->swept);
        assert_int_equal(g_queue_get_length(w->node->ended), 1);
}

/* The same while the start is queued. Kill applies to the processes that the old run has left. */
static void test_killed_while_predecessor_is_swept(void **state) {
        TestWorld *w = *state;

        for (int queued = 0; queued < 2; queued++) {
                g_auto(Told) told = {}, killed = {};

                Role *old = world_run(w, "cam", NULL);
                world_exit_leaving(w, old, EXIT_CODE_EXITED, 0);
                w->connected = !queued;
                Role *role = world_start(w, "cam", NULL, &told);
                assert_int_equal(role->phase, queued ? ROLE_PHASE_QUEUED : ROLE_PHASE_SWEEP);
                forget_calls(w);
                node_stop_role(w->node, role, ROLE_CAUSE_KILL, NULL, told_by(&killed));
                assert_told_fault(&told, NODE_ERROR_START_CANCELLED, "cancelled by Kill");
                assert_not_told(&killed);
                expect_calls(w, queued ? "bring-back(cam) save(cam) freeze-and-kill(cam)"
                                       : "bring-back(cam) save(cam) signal-cgroup(cam,9)");
                assert_int_equal(old->stop_step, STOP_STEP_KILLED);
                world_emptied(w, old);
                assert_told_success(&killed);
                node_purge_role(w->node, old, NULL);
                w->connected = true;
                assert_nothing_left(w, "cam");
        }
}

/* A process of the old run survives SIGKILL. The start tries again, and a stop of the start reports it. */
static void test_cancelled_while_predecessor_is_stuck(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {}, stopped = {};

        Role *old = world_run(w, "cam", NULL);
        world_exit_leaving(w, old, EXIT_CODE_EXITED, 0);
        node_stop_role(w->node, old, ROLE_CAUSE_KILL, NULL, (Waiter){});
        old->stop_deadline = 0; /* the 5 s pass at once in this test */
        world_wait(w, old->stop_step == STOP_STEP_STUCK);
        forget_calls(w);
        Role *role = world_start(w, "cam", NULL, &told);
        expect_calls(w, "set-aside(cam) save(cam) save(cam) signal-cgroup(cam,9)");
        node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, told_by(&stopped));
        expect_calls(w, "bring-back(cam)");
        assert_not_told(&stopped);
        old->stop_deadline = 0;
        world_wait(w, old->stop_step == STOP_STEP_STUCK);
        assert_told_fault(&stopped, NODE_ERROR_STOP_TIMED_OUT, "4711");
        world_emptied(w, old);
        assert_true(old->swept);
}

/* A shutdown cancels the start, and is complete when the old run has been swept. */
static void test_shutdown_while_predecessor_is_swept(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};

        Role *old = world_run(w, "cam", NULL);
        world_exit_leaving(w, old, EXIT_CODE_EXITED, 0);
        (void) world_start(w, "cam", NULL, &told);
        node_shutdown(w->node, "", NULL);
        assert_told_fault(&told, NODE_ERROR_START_CANCELLED, "cancelled by the shutdown");
        assert_false(w->finished);
        world_emptied(w, old);
        assert_true(w->finished);
        assert_int_equal(w->finished_status, 0);
}

/* The start fails after the sweep that it waited for. Its predecessor is an ordinary ended role, and exists
 * once. */
static void test_fails_after_sweep(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};

        Role *old = world_run(w, "cam", NULL);
        world_exit_leaving(w, old, EXIT_CODE_EXITED, 0);
        (void) world_start(w, "cam", NULL, &told);
        w->fork_result = -ENOSPC;
        world_emptied(w, old);
        w->fork_result = 0;
        assert_told_fault(&told, NODE_ERROR_KEEPER_UNAVAILABLE, "cannot be started");
        assert_ptr_equal(world_find(w, "cam"), old);
        assert_int_equal(g_queue_get_length(w->node->ended), 1);
}

/* A run that was to be removed at its end was restored instead. It is removed now. */
static void test_removed_after_failed_successor(void **state) {
        TestWorld *w = *state;
        RoleSpec *spec = test_spec();
        g_auto(Told) told = {};

        spec->remove = true;
        Role *old = world_run(w, "cam", spec);
        world_exit_leaving(w, old, EXIT_CODE_EXITED, 0);
        Role *role = world_start(w, "cam", NULL, &told);
        world_emptied(w, old);
        assert_int_equal(role->phase, ROLE_PHASE_FORK);
        world_fork_failed(w, role, -EAGAIN);
        assert_told_fault(&told, NODE_ERROR_SETUP_FAILED, "cannot fork");
        assert_contains(w->calls->str, "purged(cam)");
        assert_nothing_left(w, "cam");
        assert_int_equal(g_queue_get_length(w->node->ended), 0);
}

/* The slice of all roles is frozen, so the child is not put there. */
static void test_frozen_above(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};

        w->frozen_above = "architect.slice";
        Role *role = world_start(w, "cam", NULL, &told);
        forget_calls(w);
        world_forked(w, role);
        killed_by_us(w, role);
        expect_calls(w, "reap(cam) forget(cam) removed(cam)");
        assert_told_fault(&told, NODE_ERROR_ROLE_FROZEN, "Role \"cam\" cannot be started: architect.slice");
        assert_nothing_left(w, "cam");
        w->frozen_above = NULL;
}

/* The set-up has a timeout, and a pending start has one timer. */
static void test_setup_timer(void **state) {
        TestWorld *w = *state;
        uint64_t now = (uint64_t) g_get_monotonic_time(), usec;

        Role *role = world_start(w, "cam", NULL, NULL);
        assert_non_null(role->timer);
        assert_return_code(sd_event_source_get_time(role->timer, &usec), 0);
        assert_between(usec, now + ROLE_SETUP_TIMEOUT_USEC, now + 2 * ROLE_SETUP_TIMEOUT_USEC);
        world_forked(w, role);
        world_scope_made(w, role);
        assert_non_null(role->timer);

        /* The timer expires early in this test. */
        assert_return_code(sd_event_source_set_time(role->timer, 1), 0);
        forget_calls(w);
        world_wait(w, role->failure.message);
        assert_contains(role->failure.message, "did not reach the command within 20 s");
        assert_int_equal(role->undo_step, STOP_STEP_KILLED);
        killed_by_us(w, role);
        world_scope_removed(w, role);
        assert_nothing_left(w, "cam");

        assert_null(world_run(w, "cam", NULL)->timer);
}

/* The commands before that of the role have their time beside the set-up. If the start is cancelled
 * meanwhile, they get SIGTERM first. */
static void test_start_pre(void **state) {
        static const struct {
                bool set;
                uint64_t timeout_usec, expected_usec;
        } cases[] = {
                { false, 0, 90 * USEC_PER_SEC },
                { true, 5 * USEC_PER_SEC, 5 * USEC_PER_SEC },
                { true, 0, USEC_INFINITY },
                { true, USEC_INFINITY, USEC_INFINITY },
        };
        TestWorld *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                g_auto(Told) told = {}, stop = {};
                RoleSpec *spec = test_spec();
                uint64_t usec, now = (uint64_t) g_get_monotonic_time();

                assert_return_code(role_spec_add_command(&spec->exec_start_pre, "exec-start-pre",
                                           (char *[]){ "x", NULL }, NULL),
                        0);
                spec->timeout_start_set = cases[i].set;
                spec->timeout_start_usec = cases[i].timeout_usec;
                Role *role = world_start(w, "cam", spec, &told);
                world_forked(w, role);
                world_scope_made(w, role);
                if (cases[i].expected_usec == USEC_INFINITY)
                        assert_null(role->timer);
                else {
                        assert_return_code(sd_event_source_get_time(role->timer, &usec), 0);
                        now += ROLE_SETUP_TIMEOUT_USEC + cases[i].expected_usec;
                        assert_between(usec, now, now + 2 * ROLE_SETUP_TIMEOUT_USEC);
                }
                forget_calls(w);
                node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, told_by(&stop));
                expect_calls(w, "signal-cgroup(cam,15)");
                assert_int_equal(role->undo_step, STOP_STEP_ASKED);
                dies(w, role, EXIT_CODE_KILLED, SIGTERM, false);
                world_scope_removed(w, role);
                assert_told_fault(&told, NODE_ERROR_START_CANCELLED, "cancelled by Stop");
                assert_told_success(&stop);
                assert_nothing_left(w, "cam");
        }
}

/* The set-up hangs in the kernel. Start fails 5 s after SIGKILL, and so does each Stop. */
static void test_setup_is_stuck(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {}, stopped = {}, again = {};
        g_auto(Fault) fault = {};

        Role *role = world_start(w, "cam", NULL, &told);
        advance(w, role, ROLE_PHASE_OPEN);
        assert_return_code(sd_event_source_set_time(role->timer, 1), 0);
        world_wait(w, role->failure.message);
        assert_int_equal(role->undo_step, STOP_STEP_KILLED);
        assert_int_equal(w->node->n_starts, 1);
        forget_calls(w);
        node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, told_by(&stopped));
        expect_calls(w, ""); /* it joins */
        assert_not_told(&told);
        world_get_stuck(w, role, &role->undo_step);
        assert_told_fault(&told, NODE_ERROR_SETUP_FAILED,
                "within 20 s. Role \"cam\" does not stop: 5 s after SIGKILL these processes are left: 4711");
        assert_told_fault(&stopped, NODE_ERROR_STOP_TIMED_OUT, "4711");
        assert_int_equal(role->state, ROLE_STARTING);
        assert_int_equal(w->node->n_starts, 0); /* it delays no other start */
        g_autoptr(RoleSpec) refused = test_spec();
        int r = node_start_role(w->node, "cam", refused, NULL, (Waiter){}, &fault);
        assert_fault(r, &fault, NODE_ERROR_ROLE_EXISTS, "its failed start");

        /* Another attempt for the next caller. */
        forget_calls(w);
        node_stop_role(w->node, role, ROLE_CAUSE_KILL, NULL, told_by(&again));
        assert_int_equal(role->undo_step, STOP_STEP_KILLED);
        expect_calls(w, "signal-main(cam,9)");
        assert_int_equal(w->node->n_starts, 0);
        world_get_stuck(w, role, &role->undo_step);
        assert_told_fault(&again, NODE_ERROR_STOP_TIMED_OUT, "4711");
        assert_int_equal(told.n, 1);

        /* At last. */
        dies(w, role, EXIT_CODE_KILLED, SIGKILL, false);
        world_scope_removed(w, role);
        assert_nothing_left(w, "cam");
}

/* The child has ended, but what it has left in its set-up hangs. A shutdown does not wait for ever. */
static void test_rest_of_setup_is_stuck(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};

        Role *role = world_start(w, "cam", NULL, &told);
        advance(w, role, ROLE_PHASE_OPEN);
        node_shutdown(w->node, "", NULL);
        (void) g_hash_table_add(w->populated, role);
        forget_calls(w);
        dies(w, role, EXIT_CODE_KILLED, SIGKILL, false);
        world_get_stuck(w, role, &role->undo_step);
        assert_told_fault(&told, NODE_ERROR_START_CANCELLED, "4711");
        assert_true(w->finished);
        assert_int_not_equal(w->finished_status, 0);
        (void) g_hash_table_remove(w->populated, role);
        role_on_cgroup_changed(role);
        world_scope_removed(w, role);
        assert_nothing_left(w, "cam");
}

/* A process of the old run survives SIGKILL. The start that waits for it fails, and the next one tries
 * again. */
static void test_predecessor_gets_stuck(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {}, again = {};

        Role *old = world_run(w, "cam", NULL);
        world_exit_leaving(w, old, EXIT_CODE_EXITED, 0);
        (void) world_start(w, "cam", NULL, &told);
        assert_return_code(sd_event_source_set_time(old->timer, 1), 0); /* its stop timeout */
        world_wait(w, old->stop_step == STOP_STEP_KILLED);
        assert_not_told(&told);
        old->stop_deadline = 0;
        world_wait(w, old->stop_step == STOP_STEP_STUCK);
        assert_told_fault(&told, NODE_ERROR_SETUP_FAILED,
                "Role \"cam\" cannot be started, its previous run is not gone: Role \"cam\" does not stop");
        assert_ptr_equal(world_find(w, "cam"), old);

        Role *role = world_start(w, "cam", NULL, &again);
        assert_int_equal(role->phase, ROLE_PHASE_SWEEP);
        assert_int_equal(old->stop_step, STOP_STEP_KILLED);
        world_emptied(w, old);
        assert_int_equal(role->phase, ROLE_PHASE_FORK);
        world_fork_failed(w, role, -EIO);
        assert_int_equal(again.n, 1);
}

static void test_keeper_is_silent(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};

        Role *role = world_start(w, "cam", NULL, &told);
        assert_return_code(sd_event_source_set_time(role->timer, 1), 0);
        world_wait(w, role->failure.message);
        assert_int_equal(role->failure.error, NODE_ERROR_KEEPER_UNAVAILABLE);
        assert_contains(role->failure.message, "the keeper did not answer within 20 s");
        world_fork_failed(w, role, -EIO);
        assert_told_fault(&told, NODE_ERROR_KEEPER_UNAVAILABLE, "did not answer");
        assert_nothing_left(w, "cam");
}

/* A slow systemd does not make a start fail. */
static void test_scope_has_time(void **state) {
        TestWorld *w = *state;

        Role *role = world_start(w, "cam", NULL, NULL);
        world_forked(w, role);
        assert_return_code(sd_event_source_set_time(role->timer, 1), 0);
        world_wait(w, !role->timer);
        assert_null(role->failure.message);
        world_scope_made(w, role);
        role_on_gate_closed(role);
        assert_int_equal(role->state, ROLE_RUNNING);
}

static void test_caller_is_kept(void **state) {
        TestWorld *w = *state;
        Caller caller = { .known = true, .uid = 1000, .pid = 77, .unit = "session-1.scope" };

        assert_return_code(node_start_role(w->node, "cam", test_spec(), &caller, (Waiter){}, NULL), 0);
        Role *role = world_find(w, "cam");
        assert_true(role->owner.known);
        assert_int_equal(role->owner.uid, 1000);
        assert_string_equal(role->owner.unit, "session-1.scope");
        assert_ptr_not_equal(role->owner.unit, caller.unit);
        world_fork_failed(w, role, -EIO);
}

typedef struct Depth {
        uintptr_t outermost, innermost;
        unsigned n;
} Depth;

static void on_failed(void *userdata, const Fault *fault) {
        Depth *depth = userdata;

        assert_int_equal(fault->error, NODE_ERROR_KEEPER_UNAVAILABLE);
        depth->innermost = MIN(depth->innermost, (uintptr_t) __builtin_frame_address(0));
        depth->n++;
}

/* Each failure frees its slot for the next start. They fail in a loop, not by recursion. */
static void test_many_fail_at_once(void **state) {
        TestWorld *w = *state;
        const unsigned n = 16000;
        Depth depth = { .outermost = (uintptr_t) __builtin_frame_address(0), .innermost = UINTPTR_MAX };

        w->connected = false;
        for (unsigned i = 0; i < n; i++) {
                g_autofree char *name = g_strdup_printf("r%u", i);

                assert_return_code(node_start_role(w->node, name, test_spec(), NULL,
                                           (Waiter){ on_failed, &depth }, NULL),
                        0);
        }
        assert_int_equal(g_queue_get_length(w->node->start_queue), n);
        w->connected = true;
        w->fork_result = -EIO;
        node_pump_starts(w->node);
        assert_int_equal(depth.n, n);
        assert_between(depth.outermost - depth.innermost, 0, 16384);
        assert_nothing_left(w, "r0");
        assert_int_equal(g_hash_table_size(w->node->roles), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, test_world_setup, test_world_teardown)

int main(void) {
        const struct CMUnitTest fixed[] = {
                TEST(test_success),
                TEST(test_no_pipe),
                TEST(test_refused),
                TEST(test_every_step),
                TEST(test_no_steps),
                TEST(test_user),
                TEST(test_requests_fail),
                TEST(test_exit_before_gate),
                TEST(test_exit_after_gate),
                TEST(test_gate_then_exit_of_execed),
                TEST(test_successor_takes_over),
                TEST(test_waits_for_sweep),
                TEST(test_cancelled_while_it_waits_for_sweep),
                TEST(test_killed_while_predecessor_is_swept),
                TEST(test_cancelled_while_predecessor_is_stuck),
                TEST(test_predecessor_gets_stuck),
                TEST(test_setup_is_stuck),
                TEST(test_frozen_above),
                TEST(test_rest_of_setup_is_stuck),
                TEST(test_shutdown_while_predecessor_is_swept),
                TEST(test_fails_after_sweep),
                TEST(test_removed_after_failed_successor),
                TEST(test_setup_timer),
                TEST(test_start_pre),
                TEST(test_keeper_is_silent),
                TEST(test_scope_has_time),
                TEST(test_caller_is_kept),
                TEST(test_many_fail_at_once),
                TEST(test_cancel_product),
                TEST(test_cancel_product_deaf),
                TEST(test_product_timeout),
                TEST(test_product_provider),
        };
        struct CMUnitTest tests[ELEMENTSOF(fixed) + ELEMENTSOF(failures)];

        memcpy(tests, fixed, sizeof(fixed));
        for (size_t i = 0; i < ELEMENTSOF(failures); i++)
                tests[ELEMENTSOF(fixed) + i] = (struct CMUnitTest){ .name = failures[i].label,
                        .test_func = test_failure,
                        .initial_state = (void *) &failures[i] };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
