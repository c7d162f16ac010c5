/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What roles are to each other: which starts begin others and wait for them, in which order a stop goes, and
 * what follows for the others when one ends. */

#include "test-world.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <sys/stat.h>

#include "base/time-util.h"
#include "model/account.h"
#include "model/auto-start.h"
#include "model/definitions.h"
#include "model/leases.h"
#include "model/monitor.h"
#include "model/role-dependencies.h"
#include "model/role-ready.h"
#include "model/role-recover.h"
#include "model/role-restart.h"
#include "model/role-state.h"
#include "util/log.h"

/* -- a world with definitions -- */

/* Pairs of a name and the lines of its role file without Command=; the list ends with NULL. */
static void define(TestWorld *w, const char *const *pairs) {
        g_autofree char *top = g_dir_make_tmp("test-dependencies-XXXXXX", NULL),
                        *roles = g_build_filename(top, "main.roles.d", NULL);
        const char *const directories[] = { top, NULL };
        const DefinitionsPlace place = { directories, "main", 0 };
        Definitions *definitions = NULL;

        assert_return_code(mkdir(roles, 0755), errno);
        for (const char *const *p = pairs; *p; p += 2) {
                g_autofree char *path = g_strdup_printf("%s/%s.role", roles, p[0]),
                                *text = g_strdup_printf("[Role]\nCommand=/x\nTimeoutStopSec=600\n%s\n", p[1]);

                assert_true(
                        g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0644, NULL));
        }
        assert_return_code(definitions_load(&place, &definitions, NULL), 0);
        node_set_definitions(w->node, definitions);
        for (const char *const *p = pairs; *p; p += 2) {
                g_autofree char *path = g_strdup_printf("%s/%s.role", roles, p[0]);

                assert_return_code(g_unlink(path), errno);
        }
        assert_return_code(g_rmdir(roles), errno);
        assert_return_code(g_rmdir(top), errno);
}
#define DEFINE(w, ...) define(w, (const char *const[]){ __VA_ARGS__, NULL })

static int start_defined(TestWorld *w, const char *name, Told *told, Fault *fault) {
        const LeaseUse use = {};

        return node_start_defined(w->node, name, &use, NULL, false, told ? told_by(told) : (Waiter){}, fault);
}

static void start(TestWorld *w, const char *name, Told *told) {
        g_auto(Fault) fault = {};

        if (start_defined(w, name, told, &fault) < 0)
                fail_msg("%s", fault.message);
}

static void expect_refused(TestWorld *w, const char *name, const char *text) {
        g_auto(Fault) fault = {};

        assert_fault(start_defined(w, name, NULL, &fault), &fault, NODE_ERROR_DEPENDENCY_FAILED, text);
        expect_calls(w, "");
        assert_null(world_find(w, name));
}

/* From the fork, which it has been asked for, to the exec. */
static Role *execute(TestWorld *w, const char *name) {
        Role *role = world_find(w, name);

        assert_non_null(role);
        assert_int_equal(role->phase, ROLE_PHASE_FORK);
        world_executed(w, role);
        assert_int_equal(role->state, ROLE_RUNNING);
        return role;
}

static void assert_awaits(TestWorld *w, const char *name, const char *other) {
        const Role *role = world_find(w, name);

        assert_non_null(role);
        assert_int_equal(role->state, ROLE_STARTING);
        assert_int_equal(role->phase, ROLE_PHASE_DEPENDENCIES);
        assert_string_equal(role->awaits, other);
}

static void assert_state(TestWorld *w, const char *name, RoleState state) {
        const Role *role = world_find(w, name);

        assert_non_null(role);
        if (role->state != state)
                fail_msg("%s is %s, not %s", name, role_state_to_string(role->state),
                        role_state_to_string(state));
}

static void stop(TestWorld *w, const char *name, RoleCause cause, Told *told) {
        node_stop_role(w->node, world_find(w, name), cause, NULL, told ? told_by(told) : (Waiter){});
}

static void end(TestWorld *w, const char *name, int status) {
        world_exit(w, world_find(w, name), EXIT_CODE_EXITED, status);
}

/* The one that was asked to stop does so. */
static void end_stopped(TestWorld *w, const char *name) {
        assert_state(w, name, ROLE_STOPPING);
        assert_int_equal(world_find(w, name)->stop_step, STOP_STEP_ASKED);
        world_exit(w, world_find(w, name), EXIT_CODE_KILLED, SIGTERM);
}

static void assert_comes_back(TestWorld *w, const char *name, const char *other) {
        const Role *role = world_find(w, name);

        assert_state(w, name, ROLE_ENDED);
        assert_true(role_waits_for_restart(role));
        assert_int_equal(role->next_run, NEXT_RUN_DEPENDENCY);
        assert_string_equal(role->follows, other);
        assert_true(role->next_realtime_usec == USEC_INFINITY);
}

static void assert_over(TestWorld *w, const char *name) {
        const Role *role = world_find(w, name);

        assert_state(w, name, ROLE_ENDED);
        assert_int_equal(role->next_run, NEXT_RUN_NONE);
        assert_null(role->follows);
}

/* -- starts -- */

/* What it wants or needs is started first, each once, and each waits until the one before is ready. */
static void test_start_order(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};

        DEFINE(w, "hub", "Requires=camera mount\nWants=log", "camera", "Wants=log", "mount", "BindsTo=log",
                "log", "Type=notify");
        start(w, "hub", &told);
        expect_calls(w, "save(log) save(camera) save(mount) save(hub) fork(log)");
        assert_awaits(w, "camera", "log");
        assert_awaits(w, "mount", "log");
        assert_awaits(w, "hub", "log");
        Role *log = execute(w, "log");
        assert_awaits(w, "hub", "log"); /* it is not ready */
        forget_calls(w);
        role_set_ready(log, now_usec(CLOCK_MONOTONIC));
        role_answer_start(log, NULL);
        expect_calls(w, "fork(camera) fork(mount)");
        assert_awaits(w, "hub", "camera");
        (void) execute(w, "mount");
        assert_awaits(w, "hub", "camera");
        forget_calls(w);
        (void) execute(w, "camera");
        assert_not_told(&told);
        (void) execute(w, "hub");
        assert_told_success(&told);
}

/* What runs is not started again. What is only after another waits for it if that starts, too. */
static void test_start_beside(void **state) {
        TestWorld *w = *state;

        DEFINE(w, "hub", "Requires=camera\nAfter=web dome", "camera", "", "web", "After=nobody", "dome", "");
        (void) world_run(w, "camera", NULL);
        forget_calls(w);
        start(w, "web", NULL);
        start(w, "hub", NULL);
        expect_calls(w, "save(web) fork(web) save(hub)");
        assert_awaits(w, "hub", "web");
        assert_null(world_find(w, "dome"));
        (void) execute(w, "web");
        (void) execute(w, "hub");
}

/* A oneshot is waited for until it has ended with success, and stays ready. */
static void test_start_oneshot(void **state) {
        TestWorld *w = *state;

        DEFINE(w, "hub", "Requires=prepare", "prepare", "Type=oneshot");
        start(w, "hub", NULL);
        (void) execute(w, "prepare");
        assert_awaits(w, "hub", "prepare");
        end(w, "prepare", 0);
        (void) execute(w, "hub");
        assert_state(w, "prepare", ROLE_ENDED);
        assert_state(w, "hub", ROLE_RUNNING);
        stop(w, "hub", ROLE_CAUSE_STOP, NULL);
        end_stopped(w, "hub");
        forget_calls(w);
        start(w, "hub", NULL);
        assert_int_equal(world_find(w, "hub")->phase, ROLE_PHASE_FORK);
        assert_state(w, "prepare", ROLE_ENDED);
}

/* One that is needed and fails fails the start, with its reason; one that is wanted does not. */
static void test_start_fails(void **state) {
        TestWorld *w = *state;
        g_auto(Told) hub = {}, web = {};

        DEFINE(w, "hub", "Requires=camera", "web", "Wants=hub\nAfter=camera", "camera", "");
        start(w, "web", &web);
        assert_awaits(w, "web", "camera");
        assert_awaits(w, "hub", "camera");
        role_wait_start(world_find(w, "hub"), told_by(&hub));
        world_fork_failed(w, world_find(w, "camera"), -EAGAIN);
        assert_told_fault(&hub, NODE_ERROR_DEPENDENCY_FAILED,
                "Role \"hub\" cannot be started, because \"camera\", on which it depends, has not: Role \"camera\"");
        assert_null(world_find(w, "hub"));
        (void) execute(w, "web");
        assert_told_success(&web);
}

/* The same after its exec, and when it ends while another one still waits for a third. */
static void test_start_fails_late(void **state) {
        TestWorld *w = *state;
        g_auto(Told) hub = {}, web = {};

        DEFINE(w, "hub", "Requires=camera", "camera", "Type=notify", "web", "Requires=mount\nBindsTo=dome",
                "mount", "Type=notify", "dome", "");
        start(w, "hub", &hub);
        (void) execute(w, "camera");
        end(w, "camera", 3);
        assert_told_fault(&hub, NODE_ERROR_DEPENDENCY_FAILED,
                "hub.role:4), whose start has failed: Role \"camera\" ended before it was ready (exit 3)");
        start(w, "web", &web);
        (void) execute(w, "dome");
        (void) execute(w, "mount");
        end(w, "dome", 4);
        assert_awaits(w, "web", "mount");
        role_set_ready(world_find(w, "mount"), now_usec(CLOCK_MONOTONIC));
        role_answer_start(world_find(w, "mount"), NULL);
        assert_told_fault(&web, NODE_ERROR_DEPENDENCY_FAILED, "Role \"web\" binds to \"dome\" (");
        assert_contains(web.message, "web.role:5), which has ended (exit 4)");
}

/* What cannot be is refused before anything begins. */
static void test_start_refused(void **state) {
        TestWorld *w = *state;
        RoleSpec *spec = test_spec();
        g_auto(Fault) cycle = {};

        DEFINE(w, "hub", "Requires=ghost", "bad", "Nice=many", "web", "After=x\nRequires=bad", "top",
                "Wants=camera\nRequires=web", "camera", "", "many", "Wants=ghost bad camera");
        forget_calls(w);
        expect_refused(w, "hub", "Role \"hub\" requires \"ghost\" (");
        expect_refused(w, "hub", "hub.role:4), which does not run and has no definition");
        expect_refused(
                w, "web", "web.role:5), which cannot be started: Role \"bad\": its definition is refused: ");
        expect_refused(w, "top", "Role \"web\" requires \"bad\"");
        assert_null(world_find(w, "camera"));

        /* What is wanted need not be. */
        start(w, "many", NULL);
        assert_awaits(w, "many", "camera");

        /* With what is starting, a caller's options can make a circle. */
        assert_return_code(
                role_spec_set_dependencies(spec, DEPENDENCY_WANTS, (char *[]){ "many", NULL }, NULL), 0);
        assert_return_code(role_spec_set_dependencies(world_find(w, "many")->spec, DEPENDENCY_AFTER,
                                   (char *[]){ "free", NULL }, NULL),
                0);
        forget_calls(w);
        assert_fault(node_start_role(w->node, "free", spec, NULL, (Waiter){}, &cycle), &cycle,
                NODE_ERROR_DEPENDENCY_FAILED,
                "Role \"free\" cannot be started, the order of its dependencies has a cycle: free -> many -> free");
        expect_calls(w, "");
        role_spec_free(spec);
}

/* A free role satisfies a dependency, too, as long as it runs. */
static void test_start_free(void **state) {
        TestWorld *w = *state;

        DEFINE(w, "hub", "Requires=ghost");
        (void) world_run(w, "ghost", NULL);
        start(w, "hub", NULL);
        (void) execute(w, "hub");
}

/* What waits for its restart is waited for; what was stopped by hand is not started by a policy. */
static void test_start_waiting(void **state) {
        TestWorld *w = *state;

        DEFINE(w, "hub", "Requires=camera\nRestart=always\nRestartSec=0", "camera",
                "Restart=always\nRestartSec=1h");
        start(w, "hub", NULL);
        (void) execute(w, "camera");
        (void) execute(w, "hub");
        end(w, "camera", 1);
        assert_state(w, "hub", ROLE_RUNNING); /* it only requires it */
        end(w, "hub", 1);
        world_wait(w, world_find(w, "hub")->state == ROLE_STARTING);
        assert_awaits(w, "hub", "camera");
        world_find(w, "camera")->next_deadline = 0;
        role_arm_restart(world_find(w, "camera"));
        world_wait(w, world_find(w, "camera")->state == ROLE_STARTING);
        (void) execute(w, "camera");
        (void) execute(w, "hub");
}

/* -- stops -- */

/* What requires, binds to or is a part of it is stopped with it, the last one first. */
static void test_stop_order(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};

        DEFINE(w, "a", "", "b", "Requires=a\nRestart=always", "c", "BindsTo=b", "d", "PartOf=a", "e",
                "Wants=a", "f", "After=a");
        for (const char *name = "abcdef"; *name; name++) {
                start(w, (char[]){ *name, '\0' }, NULL);
                (void) execute(w, (char[]){ *name, '\0' });
        }
        forget_calls(w);
        stop(w, "a", ROLE_CAUSE_STOP, &told);
        expect_calls(w, "save(c) signal-cgroup(c,15,continue) close-stdin(c) save(b) save(a) save(d)"
                        " signal-cgroup(d,15,continue) close-stdin(d)");
        assert_int_equal(world_find(w, "a")->stop_step, STOP_STEP_WAITING);
        assert_state(w, "a", ROLE_STOPPING);
        assert_int_equal(world_find(w, "a")->cause, ROLE_CAUSE_STOP);
        assert_int_equal(world_find(w, "b")->cause, ROLE_CAUSE_DEPENDENCY);
        assert_state(w, "e", ROLE_RUNNING);
        assert_state(w, "f", ROLE_RUNNING);
        end_stopped(w, "c");
        assert_int_equal(world_find(w, "a")->stop_step, STOP_STEP_WAITING);
        end_stopped(w, "b");
        assert_not_told(&told);
        end_stopped(w, "a"); /* d is not after it */
        assert_told_success(&told);
        end_stopped(w, "d");
        for (const char *name = "abcd"; *name; name++)
                assert_over(w, (char[]){ *name, '\0' });
}

/* A shutdown goes the other way round than the starts, and independent roles at once. */
static void test_shutdown_order(void **state) {
        TestWorld *w = *state;

        DEFINE(w, "a", "", "b", "After=a", "c", "After=b", "x", "");
        for (const char *name = "abcx"; *name; name++) {
                start(w, (char[]){ *name, '\0' }, NULL);
                (void) execute(w, (char[]){ *name, '\0' });
        }
        node_shutdown(w->node, "a storm", NULL);
        assert_int_equal(world_find(w, "a")->stop_step, STOP_STEP_WAITING);
        assert_int_equal(world_find(w, "b")->stop_step, STOP_STEP_WAITING);
        end_stopped(w, "x");
        end_stopped(w, "c");
        assert_int_equal(world_find(w, "a")->stop_step, STOP_STEP_WAITING);
        w->stop_extended = 0;
        end_stopped(w, "b");
        assert_true(w->stop_extended > 0);
        assert_false(w->finished);
        end_stopped(w, "a");
        assert_true(w->finished);
}

/* Kill waits for nothing, and neither does a stop for what cannot be killed. */
static void test_stop_kill(void **state) {
        TestWorld *w = *state;

        DEFINE(w, "a", "", "b", "Requires=a");
        start(w, "b", NULL);
        (void) execute(w, "a");
        Role *b = execute(w, "b");
        stop(w, "a", ROLE_CAUSE_STOP, NULL);
        assert_int_equal(world_find(w, "a")->stop_step, STOP_STEP_WAITING);
        stop(w, "b", ROLE_CAUSE_KILL, NULL);
        world_get_stuck(w, b, &b->stop_step);
        assert_int_equal(world_find(w, "a")->stop_step, STOP_STEP_ASKED);

        DEFINE(w, "c", "", "d", "Requires=c");
        start(w, "d", NULL);
        (void) execute(w, "c");
        (void) execute(w, "d");
        stop(w, "c", ROLE_CAUSE_KILL, NULL);
        assert_int_equal(world_find(w, "c")->stop_step, STOP_STEP_KILLED);
        assert_int_equal(world_find(w, "d")->stop_step, STOP_STEP_ASKED);
}

/* A start that waits is cancelled by a stop of what it needs, and one that is under way is undone first. */
static void test_stop_starting(void **state) {
        TestWorld *w = *state;
        g_auto(Told) hub = {};

        DEFINE(w, "hub", "Requires=camera", "camera", "Type=notify");
        start(w, "hub", &hub);
        (void) execute(w, "camera");
        stop(w, "camera", ROLE_CAUSE_STOP, NULL);
        assert_told_fault(&hub, NODE_ERROR_DEPENDENCY_FAILED, "The start of role \"hub\" was cancelled");
        assert_null(world_find(w, "hub"));
        end_stopped(w, "camera");
}

/* The monitor stops in order, too, and nothing comes back. */
static void test_stop_monitor(void **state) {
        TestWorld *w = *state;

        DEFINE(w, "a", "OnMonitorLoss=stop\nRestart=always", "b",
                "BindsTo=a\nRestart=always\nOnMonitorLoss=keep");
        start(w, "b", NULL);
        (void) execute(w, "a");
        (void) execute(w, "b");
        const StopRequest request = { .name = "a" };
        node_stop_roles(w->node, &request, 1, ROLE_CAUSE_MONITOR, NULL);
        end_stopped(w, "b");
        end_stopped(w, "a");
        assert_over(w, "a");
        assert_over(w, "b");
}

/* -- ends -- */

/* What is bound to a role that ends stops, and comes back with it. */
static void test_end_bound(void **state) {
        TestWorld *w = *state;

        DEFINE(w, "camera", "Restart=on-failure\nRestartSec=1h", "guider",
                "BindsTo=camera\nRestart=on-failure", "once", "BindsTo=camera", "hub", "Requires=camera",
                "top", "Requires=guider\nRestart=always");
        for (const char *const *name =
                        (const char *const[]){ "camera", "guider", "once", "hub", "top", NULL };
                *name; name++) {
                start(w, *name, NULL);
                (void) execute(w, *name);
        }
        end(w, "camera", 1);
        assert_state(w, "hub", ROLE_RUNNING);
        assert_int_equal(world_find(w, "guider")->stop_step, STOP_STEP_WAITING);
        assert_int_equal(world_find(w, "guider")->cause, ROLE_CAUSE_DEPENDENCY);
        end_stopped(w, "top");
        end_stopped(w, "guider");
        end_stopped(w, "once");
        assert_comes_back(w, "guider", "camera");
        assert_comes_back(w, "top", "guider");
        assert_state(w, "once", ROLE_ENDED);
        assert_int_equal(world_find(w, "once")->next_run, NEXT_RUN_NONE); /* its policy is "no" */

        world_find(w, "camera")->next_deadline = 0;
        role_arm_restart(world_find(w, "camera"));
        world_wait(w, world_find(w, "camera")->state == ROLE_STARTING);
        (void) execute(w, "camera");
        world_wait(w, world_find(w, "guider")->state == ROLE_STARTING);
        assert_comes_back(w, "top", "guider");
        (void) execute(w, "guider");
        world_wait(w, world_find(w, "top")->state == ROLE_STARTING);
        (void) execute(w, "top");
        assert_null(world_find(w, "top")->follows);
        assert_int_equal((int) world_find(w, "guider")->restarts.n, 1);
}

/* It is ready again before the other one is gone. */
static void test_end_bound_slow(void **state) {
        TestWorld *w = *state;

        DEFINE(w, "camera", "Restart=always\nRestartSec=0", "guider", "BindsTo=camera\nRestart=always");
        start(w, "guider", NULL);
        (void) execute(w, "camera");
        (void) execute(w, "guider");
        end(w, "camera", 1);
        world_wait(w, world_find(w, "camera")->state == ROLE_STARTING);
        (void) execute(w, "camera");
        end_stopped(w, "guider");
        world_wait(w, world_find(w, "guider")->state == ROLE_STARTING);
        (void) execute(w, "guider");
}

/* A stop by hand, of either, ends the wait. */
static void test_end_then_stop(void **state) {
        TestWorld *w = *state;

        for (unsigned i = 0; i < 3; i++) {
                DEFINE(w, "camera", "Restart=always\nRestartSec=1h", "guider",
                        "BindsTo=camera\nRestart=always");
                start(w, "guider", NULL);
                (void) execute(w, "camera");
                (void) execute(w, "guider");
                end(w, "camera", 1);
                if (i == 0) /* before its last process is gone */
                        stop(w, "guider", ROLE_CAUSE_STOP, NULL);
                end_stopped(w, "guider");
                if (i > 0) {
                        assert_comes_back(w, "guider", "camera");
                        stop(w, i == 1 ? "guider" : "camera", ROLE_CAUSE_STOP, NULL);
                }
                assert_over(w, "guider");
                stop(w, "camera", ROLE_CAUSE_STOP, NULL);
                assert_over(w, "camera");
        }
}

/* What is a part of a role restarts when that does, whatever its own policy is, and not when that ends. */
static void test_end_part(void **state) {
        TestWorld *w = *state;

        DEFINE(w, "hub", "Restart=always\nRestartSec=0", "web", "PartOf=hub", "log", "PartOf=other", "other",
                "");
        for (const char *const *name = (const char *const[]){ "hub", "web", "other", "log", NULL }; *name;
                name++) {
                start(w, *name, NULL);
                (void) execute(w, *name);
        }
        end(w, "other", 1);
        assert_state(w, "log", ROLE_RUNNING);
        end(w, "hub", 0);
        assert_state(w, "web", ROLE_RUNNING);
        world_wait(w, world_find(w, "hub")->state == ROLE_STARTING);
        end_stopped(w, "web");
        assert_comes_back(w, "web", "hub");
        (void) execute(w, "hub");
        world_wait(w, world_find(w, "web")->state == ROLE_STARTING);
        (void) execute(w, "web");
}

/* A role and its part may name each other: neither waits for what comes back with it. */
static void test_end_part_of_each_other(void **state) {
        static const char *const hubs[] = { "Wants=web", "Requires=web", "After=web" };
        TestWorld *w = *state;

        for (unsigned i = 0; i < G_N_ELEMENTS(hubs); i++) {
                g_autofree char *lines = g_strconcat(hubs[i], "\nRestart=always\nRestartSec=0", NULL);

                DEFINE(w, "hub", lines, "web", "PartOf=hub");
                start(w, "web", NULL);
                (void) execute(w, "web");
                start(w, "hub", NULL);
                (void) execute(w, "hub");
                end(w, "hub", 1);
                world_wait(w, world_find(w, "hub")->state == ROLE_STARTING);
                (void) execute(w, "hub");
                end_stopped(w, "web");
                world_wait(w, world_find(w, "web")->state == ROLE_STARTING);
                (void) execute(w, "web");

                /* It is started with the restart, and so not restarted by it. */
                end(w, "web", 0);
                end(w, "hub", 1);
                world_wait(w, world_find(w, "hub")->state == ROLE_STARTING);
                if (i < 2)
                        (void) execute(w, "web");
                (void) execute(w, "hub");
                assert_state(w, "web", i < 2 ? ROLE_RUNNING : ROLE_ENDED);
                stop(w, "hub", ROLE_CAUSE_KILL, NULL);
                world_exit(w, world_find(w, "hub"), EXIT_CODE_KILLED, SIGKILL);
                if (i < 2)
                        world_exit(w, world_find(w, "web"), EXIT_CODE_KILLED, SIGTERM);
        }
}

/* What follows a role that does not come back is not waited for, but started with it. */
static void test_end_for_good(void **state) {
        TestWorld *w = *state;
        g_auto(Told) page = {};

        DEFINE(w, "server", "Type=notify", "logger", "BindsTo=server\nRestart=always", "page",
                "Requires=logger\nType=oneshot");
        start(w, "logger", NULL);
        (void) execute(w, "server");
        role_set_ready(world_find(w, "server"), now_usec(CLOCK_MONOTONIC));
        role_answer_start(world_find(w, "server"), NULL);
        (void) execute(w, "logger");
        end(w, "server", 1);
        end_stopped(w, "logger");
        assert_comes_back(w, "logger", "server");
        start(w, "page", &page);
        assert_awaits(w, "page", "logger");
        assert_awaits(w, "logger", "server");
        (void) execute(w, "server");
        end(w, "server", 2);
        assert_told_fault(&page, NODE_ERROR_DEPENDENCY_FAILED, "Role \"page\"");
        assert_null(world_find(w, "page"));
}

/* What is only wanted is waited for until its start has failed, however often that is tried again. */
static void test_end_fails_for_ever(void **state) {
        TestWorld *w = *state;

        DEFINE(w, "camera", "Type=notify\nRestart=on-failure\nRestartSec=1h", "page", "Wants=camera");
        start(w, "page", NULL);
        (void) execute(w, "camera");
        assert_awaits(w, "page", "camera");
        end(w, "camera", 1);
        assert_true(role_waits_for_restart(world_find(w, "camera")));
        (void) execute(w, "page");
}

static void expect_needs_user(TestWorld *w) {
        g_auto(Fault) fault = {};

        assert_fault(start_defined(w, "needs", NULL, &fault), &fault, NODE_ERROR_DEPENDENCY_FAILED,
                "which is the role of a user now");
}

/* The role of a user whose name root's definitions mention is nothing to these. */
static void test_users_role(void **state) {
        TestWorld *w = *state;
        RoleSpec *spec = test_spec();
        const Caller alice = { .known = true, .uid = 1000, .pid = 1 };
        g_autoptr(GArray) groups = g_array_new(false, false, sizeof(gid_t));
        g_auto(Fault) fault = {};

        DEFINE(w, "after", "After=hers", "needs", "Requires=hers", "part", "PartOf=hers");
        const Account account = { .uid = 1000,
                .gid = 1000,
                .groups = groups,
                .name = "alice",
                .group = "alice",
                .home = "/",
                .shell = "/bin/sh" };
        role_spec_become(spec, &account);
        spec->stop_timeout_usec = 0;
        spec->stop_timeout_set = false;
        if (node_start_role(w->node, "hers", spec, &alice, (Waiter){}, &fault) < 0)
                fail_msg("%s", fault.message);
        forget_calls(w);
        start(w, "after", NULL); /* it is starting */
        (void) execute(w, "after");
        start(w, "part", NULL);
        (void) execute(w, "part");
        expect_needs_user(w);
        (void) execute(w, "hers");
        expect_needs_user(w);
        stop(w, "hers", ROLE_CAUSE_STOP, NULL);
        end_stopped(w, "hers");
        assert_state(w, "part", ROLE_RUNNING);
        assert_state(w, "after", ROLE_RUNNING);
}

/* A stop that waits is not begun by the end of the main process, which exit-type=cgroup outlives. */
static void test_stop_outlived(void **state) {
        TestWorld *w = *state;

        DEFINE(w, "a", "ExitType=cgroup", "b", "Requires=a");
        start(w, "b", NULL);
        (void) execute(w, "a");
        (void) execute(w, "b");
        stop(w, "a", ROLE_CAUSE_STOP, NULL);
        forget_calls(w);
        world_exit_leaving(w, world_find(w, "a"), EXIT_CODE_EXITED, 0);
        assert_int_equal(world_find(w, "a")->stop_step, STOP_STEP_WAITING);
        assert_null(strstr(w->calls->str, "signal"));
        end_stopped(w, "b");
        assert_int_equal(world_find(w, "a")->stop_step, STOP_STEP_ASKED);
}

/* A oneshot that has ended with success is ready until what it depends on ends, and then run again. */
static void test_end_oneshot(void **state) {
        TestWorld *w = *state;

        DEFINE(w, "server", "Restart=on-failure\nRestartSec=1h", "prepare",
                "Type=oneshot\nBindsTo=server\nPartOf=server", "client",
                "Requires=prepare\nRestart=on-failure");
        start(w, "client", NULL);
        (void) execute(w, "server");
        (void) execute(w, "prepare");
        end(w, "prepare", 0);
        (void) execute(w, "client");
        assert_true(role_is_ready(world_find(w, "prepare")));
        end(w, "server", 1);
        end_stopped(w, "client");
        assert_false(role_is_ready(world_find(w, "prepare")));
        assert_comes_back(w, "prepare", "server");
        assert_comes_back(w, "client", "prepare");

        world_find(w, "server")->next_deadline = 0;
        role_arm_restart(world_find(w, "server"));
        world_wait(w, world_find(w, "server")->state == ROLE_STARTING);
        (void) execute(w, "server");
        world_wait(w, world_find(w, "prepare")->state == ROLE_STARTING);
        (void) execute(w, "prepare");
        assert_comes_back(w, "client", "prepare");
        end(w, "prepare", 0);
        world_wait(w, world_find(w, "client")->state == ROLE_STARTING);
        (void) execute(w, "client");

        /* Stopped by hand, it is started again by hand only, and then with what it needs. */
        stop(w, "server", ROLE_CAUSE_STOP, NULL);
        end_stopped(w, "client");
        end_stopped(w, "server");
        assert_over(w, "prepare");
        assert_false(role_is_ready(world_find(w, "prepare")));
        start(w, "client", NULL);
        (void) execute(w, "server");
        assert_awaits(w, "client", "prepare");
        (void) execute(w, "prepare");
        stop(w, "client", ROLE_CAUSE_STOP, NULL);
        assert_null(world_find(w, "client")->successor);
        end(w, "prepare", 0);
        stop(w, "prepare", ROLE_CAUSE_STOP, NULL);
        assert_false(role_is_ready(world_find(w, "prepare")));
}

/* What another manager has stopped does not come back, and neither does what depends on it. */
static void test_end_external(void **state) {
        TestWorld *w = *state;

        DEFINE(w, "camera", "Restart=always", "guider", "Requires=camera\nRestart=always");
        start(w, "guider", NULL);
        (void) execute(w, "camera");
        (void) execute(w, "guider");
        role_on_external_stop(world_find(w, "camera"));
        world_exit(w, world_find(w, "camera"), EXIT_CODE_KILLED, SIGTERM);
        assert_over(w, "camera");
        end_stopped(w, "guider");
        assert_over(w, "guider");
}

/* The wait is saved, and the next process goes on with it. */
static void test_end_saved(void **state) {
        TestWorld *w = *state;
        Role *guider = NULL, *camera = NULL;

        DEFINE(w, "camera", "Restart=always\nRestartSec=1h", "guider", "BindsTo=camera\nRestart=always");
        start(w, "guider", NULL);
        (void) execute(w, "camera");
        (void) execute(w, "guider");
        end(w, "camera", 1);
        end_stopped(w, "guider");
        g_autofree char *guider_text = role_state_format(world_find(w, "guider")),
                        *camera_text = role_state_format(world_find(w, "camera"));
        world_new_node(w, NULL);
        assert_return_code(role_state_parse(w->node, "guider", guider_text, &guider), 0);
        assert_return_code(role_state_parse(w->node, "camera", camera_text, &camera), 0);
        camera->next_deadline = 0;
        node_add_role(w->node, guider);
        node_add_role(w->node, camera);
        node_on_keeper(w->node, NULL, 0);
        assert_comes_back(w, "guider", "camera");
        world_wait(w, world_find(w, "camera")->state == ROLE_STARTING);
        (void) execute(w, "camera");
        world_wait(w, world_find(w, "guider")->state == ROLE_STARTING);
}

/* A stop that waits is saved, too. */
static void test_stop_saved(void **state) {
        TestWorld *w = *state;
        Role *a = NULL;

        DEFINE(w, "a", "", "b", "Requires=a");
        start(w, "b", NULL);
        (void) execute(w, "a");
        (void) execute(w, "b");
        stop(w, "a", ROLE_CAUSE_STOP, NULL);
        g_autofree char *text = role_state_format(world_find(w, "a"));
        world_new_node(w, NULL);
        assert_return_code(role_state_parse(w->node, "a", text, &a), 0);
        assert_int_equal(a->stop_step, STOP_STEP_WAITING);
        (void) g_hash_table_add(w->populated, a);
        node_add_role(w->node, a);
        node_on_keeper_late(w->node);
        /* The other one is gone meanwhile. */
        assert_int_equal(a->stop_step, STOP_STEP_ASKED);
}

/* -- definitions -- */

static void expect_definition(TestWorld *w, const char *name, unsigned line, const char *error) {
        const Definition *d = definitions_find(w->node->definitions, name);

        assert_non_null(d);
        if (g_strcmp0(d->error, error) != 0)
                fail_msg("%s: \"%s\", not \"%s\"", name, d->error, error);
        assert_int_equal(d->error_line, line);
        assert_true(error ? !d->spec : !!d->spec);
}

/* A circle is refused, all of it; what depends on it, or only hangs on it, is not. */
static void test_definition_circle(void **state) {
        TestWorld *w = *state;

        DEFINE(w, "a", "Requires=b", "b", "Nice=1\nAfter=c", "c", "BindsTo=a", "d", "Wants=a", "e", "After=e",
                "f", "PartOf=g", "g", "PartOf=f");
        expect_definition(w, "a", 4, "the order of its dependencies has a cycle: a -> b -> c -> a");
        expect_definition(w, "b", 5, "the order of its dependencies has a cycle: a -> b -> c -> a");
        expect_definition(w, "c", 4, "the order of its dependencies has a cycle: a -> b -> c -> a");
        expect_definition(w, "d", 0, NULL);
        expect_definition(w, "e", 4, "the order of its dependencies has a cycle: e -> e");
        expect_definition(w, "f", 0, NULL);
        assert_int_equal(definitions_count_refused(w->node->definitions), 4);
        start(w, "d", NULL);
        (void) execute(w, "d");
}

static void test_names(void **state) {
        g_autoptr(RoleSpec) spec = role_spec_new();
        g_auto(Fault) fault = {};

        assert_fault(
                role_spec_set_dependencies(spec, DEPENDENCY_BINDS_TO, (char *[]){ "a", "b c", NULL }, &fault),
                &fault, NODE_ERROR_INVALID_ARGS, "Option \"binds-to\": \"b c\" is not a valid role name");
        assert_true(g_str_has_suffix(fault.message, "; \"b_c\" is"));
        assert_null(spec->dependencies[DEPENDENCY_BINDS_TO]);
}

/* Only root may make roles depend on those of others. */
static void test_user(void **state) {
        TestWorld *w = *state;
        const Caller alice = { .known = true, .uid = 1000, .pid = 1 };
        g_autoptr(RoleSpec) spec = test_spec();
        g_auto(Fault) fault = {};

        assert_return_code(
                role_spec_set_dependencies(spec, DEPENDENCY_PART_OF, (char *[]){ "a", NULL }, NULL), 0);
        assert_fault(node_check_user_start(w->node, "hers", spec, &alice, &fault), &fault,
                NODE_ERROR_ACCESS_DENIED, "Role \"hers\": Option \"part-of\": only root may use it");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, test_world_teardown)

static int setup(void **state) {
        int r = test_world_setup(state);

        log_set_max_level(LOG_EMERG);
        node_on_keeper(((TestWorld *) *state)->node, NULL, 0);
        forget_calls(*state);
        return r;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_start_order),
                TEST(test_start_beside),
                TEST(test_start_oneshot),
                TEST(test_start_fails),
                TEST(test_start_fails_late),
                TEST(test_start_refused),
                TEST(test_start_free),
                TEST(test_start_waiting),
                TEST(test_stop_order),
                TEST(test_shutdown_order),
                TEST(test_stop_kill),
                TEST(test_stop_starting),
                TEST(test_stop_monitor),
                TEST(test_end_bound),
                TEST(test_end_bound_slow),
                TEST(test_end_then_stop),
                TEST(test_end_part),
                TEST(test_end_part_of_each_other),
                TEST(test_end_for_good),
                TEST(test_end_fails_for_ever),
                TEST(test_users_role),
                TEST(test_stop_outlived),
                TEST(test_end_oneshot),
                TEST(test_end_external),
                TEST(test_end_saved),
                TEST(test_stop_saved),
                TEST(test_definition_circle),
                TEST(test_names),
                TEST(test_user),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
