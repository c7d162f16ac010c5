/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a Start waits for after the exec of its command, and what its caller is told. */

#include "model/role-ready.h"

#include <signal.h>

#include "base/time-util.h"
#include "model/role-deadline.h"
#include "model/role-notify.h"
#include "model/role-recover.h"
#include "model/role-restart.h"
#include "model/role-state.h"
#include "model/role-stop.h"
#include "model/settings.h"
#include "test-world.h"
#include "model/role-main-pid.h"
#include "base/cgroup-util.h"
#include "util/log.h"

static RoleSpec *oneshot(uint64_t timeout_usec) {
        RoleSpec *spec = test_spec();

        spec->type = ROLE_TYPE_ONESHOT;
        spec->timeout_start_set = timeout_usec > 0;
        spec->timeout_start_usec = timeout_usec;
        return spec;
}

/* A role whose command has been executed. */
static Role *executed(TestWorld *w, RoleSpec *spec, Told *told) {
        Role *role = world_start(w, "cam", spec, told);

        world_executed(w, role);
        forget_calls(w);
        return role;
}

static void test_exec(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};

        Role *role = world_start(w, "cam", NULL, &told);
        assert_false(role_is_ready(role));
        world_forked(w, role);
        world_scope_made(w, role);
        role_on_gate_closed(role);
        assert_told_success(&told);
        assert_true(role_is_ready(role));
        node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, (Waiter){});
        assert_true(role_is_ready(role));
        world_exit(w, role, EXIT_CODE_EXITED, 0);
        assert_false(role_is_ready(role));
}

static void test_oneshot(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};

        Role *role = executed(w, oneshot(0), &told);
        assert_not_told(&told);
        assert_int_equal(role->state, ROLE_RUNNING);
        assert_int_equal(role->started_sequence, 1);
        assert_false(role_is_ready(role));
        assert_null(role->timer);               /* by default it may take any time */
        assert_int_equal(w->node->n_starts, 0); /* it does not keep others from starting */

        /* The reply does not wait for what it has left. */
        world_exit_leaving(w, role, EXIT_CODE_EXITED, 0);
        assert_told_success(&told);
        assert_true(role_is_ready(role));
        assert_int_equal(role->cause, ROLE_CAUSE_SELF);
        world_emptied(w, role);
        assert_true(role_is_ready(role));
}

/* With exit-type=cgroup its end is that of its last process. */
static void test_oneshot_cgroup(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};
        RoleSpec *spec = oneshot(0);

        spec->exit_type = EXIT_TYPE_CGROUP;
        Role *role = executed(w, spec, &told);
        world_exit_leaving(w, role, EXIT_CODE_EXITED, 0);
        assert_not_told(&told);
        world_emptied(w, role);
        assert_told_success(&told);
}

/* The message says how it ended, and comes when nothing is left. */
static void test_failed(void **state) {
        static const struct {
                ExitCode code;
                int status;
                const char *text;
        } cases[] = {
                { EXIT_CODE_EXITED, 3, "Role \"cam\" failed (exit 3)" },
                { EXIT_CODE_KILLED, SIGSEGV,
                        "Role \"cam\" failed (killed by signal 11, Segmentation fault; cause self)" },
                { EXIT_CODE_DUMPED, SIGABRT, "killed by signal 6" },
                { EXIT_CODE_KILLED, SIGKILL, "cause external" },
                { EXIT_CODE_LOST, -1, "Role \"cam\" failed (its exit status is lost)" },
        };
        TestWorld *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                g_auto(Told) told = {};
                Role *role = executed(w, oneshot(0), &told);

                world_exit_leaving(w, role, cases[i].code, cases[i].status);
                assert_not_told(&told);
                assert_int_equal(role->state, ROLE_ENDED);
                world_emptied(w, role);
                assert_told_fault(&told, NODE_ERROR_START_FAILED, cases[i].text);
                assert_ptr_equal(world_find(w, "cam"), role); /* it stays as ended */
                assert_false(role_is_ready(role));
                assert_null(role->failure.message);
        }
}

static void test_purged(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {}, good = {};
        RoleSpec *spec = oneshot(0), *good_spec = oneshot(0);

        spec->remove = good_spec->remove = true;
        world_exit(w, executed(w, spec, &told), EXIT_CODE_EXITED, 1);
        assert_told_fault(&told, NODE_ERROR_START_FAILED, "exit 1");
        assert_null(world_find(w, "cam"));
        world_exit(w, executed(w, good_spec, &good), EXIT_CODE_EXITED, 0);
        assert_told_success(&good);
        assert_null(world_find(w, "cam"));
}

/* A program that handles the stop signal exits with 0, and the start has failed all the same. */
static void test_cancelled(void **state) {
        TestWorld *w = *state;

        for (int kill = 0; kill <= 1; kill++) {
                g_auto(Told) told = {}, stopped = {};
                Role *role = executed(w, oneshot(3600 * USEC_PER_SEC), &told);

                node_stop_role(
                        w->node, role, kill ? ROLE_CAUSE_KILL : ROLE_CAUSE_STOP, NULL, told_by(&stopped));
                world_exit_leaving(w, role, EXIT_CODE_EXITED, 0);
                assert_not_told(&told);
                world_emptied(w, role);
                assert_told_fault(
                        &told, NODE_ERROR_START_CANCELLED, kill ? "cancelled by Kill" : "cancelled by Stop");
                assert_told_success(&stopped);
                assert_false(role_is_ready(role));
                assert_int_equal(role->cause, kill ? ROLE_CAUSE_KILL : ROLE_CAUSE_STOP);
        }
}

static void test_timeout(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};

        Role *role = executed(w, oneshot(5 * USEC_PER_MSEC), &told);
        assert_non_null(role->timer);
        world_wait(w, role->state == ROLE_STOPPING);
        expect_calls(w, "save(cam) signal-cgroup(cam,15,continue) close-stdin(cam)");
        assert_not_told(&told);
        world_exit(w, role, EXIT_CODE_KILLED, SIGTERM);
        assert_told_fault(&told, NODE_ERROR_START_TIMED_OUT,
                "Role \"cam\" was stopped: its start has not ended within 5 ms");
        assert_int_equal(role->state, ROLE_ENDED);
        assert_int_equal(role->cause, ROLE_CAUSE_TIMEOUT);
}

/* The processes survive SIGKILL, so the caller is told of both. */
static void test_stuck(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};

        Role *role = executed(w, oneshot(0), &told);
        node_stop_role(w->node, role, ROLE_CAUSE_KILL, NULL, (Waiter){});
        world_get_stuck(w, role, &role->stop_step);
        assert_told_fault(&told, NODE_ERROR_START_CANCELLED, "cancelled by Kill. Role \"cam\" does not stop");
        world_exit(w, role, EXIT_CODE_KILLED, SIGKILL);
        assert_int_equal(told.n, 1);
}

/* The timeout does not act on a role that has ended in time. */
static void test_no_timeout_after_the_end(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};

        Role *role = executed(w, oneshot(20 * USEC_PER_MSEC), &told);
        world_exit_leaving(w, role, EXIT_CODE_EXITED, 0);
        assert_told_success(&told);
        role->stop_deadline = role_deadline_in(40 * USEC_PER_MSEC);
        world_wait(w, role_deadline_in(0) > role->stop_deadline);
        assert_int_equal(role->state, ROLE_ENDED);
        assert_int_equal(role->cause, ROLE_CAUSE_SELF);
        world_emptied(w, role);
}

static Role *next_life(TestWorld *w, Role *role) {
        g_autofree char *text = role_state_format(role);
        Role *next = NULL;

        g_hash_table_remove_all(w->populated);
        g_hash_table_remove_all(w->scopes);
        w->connected = false;
        world_new_node(w, NULL);
        assert_return_code(role_state_parse(w->node, "cam", text, &next), 0);
        assert_non_null(next);
        (void) g_hash_table_add(w->populated, next);
        node_add_role(w->node, next);
        w->node->next_child = next->child + 1;
        return next;
}

static void list_child(TestWorld *w, Role *role) {
        ListedChild listed = {
                .role = role->name,
                .child = role->child,
                .report = CHILD_RUNNING,
                .pid = role->main_pid,
                .start_time = role->main_start_time,
                .execed = true,
                .pidfd = some_fd(),
                .gate_fd = -EBADF,
                .stdin_fd = some_fd(),
                .terminal_fd = -EBADF,
        };

        w->connected = true;
        node_on_child(w->node, &listed);
        node_on_keeper(w->node, NULL, 0);
}

/* Its caller has received an error. The deadline is the one of before. */
static void test_restart(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};

        Role *role = executed(w, oneshot(3600 * USEC_PER_SEC), &told);
        uint64_t deadline = role->start_deadline;
        assert_true(deadline > 0 && deadline <= role_deadline_in(3600 * USEC_PER_SEC));
        role = next_life(w, role);
        assert_int_equal(told.n, 1);
        assert_true(told.failed);
        assert_false(role_is_ready(role));
        assert_true(role->start_deadline == deadline);
        list_child(w, role);
        assert_non_null(role->timer);
        world_exit(w, role, EXIT_CODE_EXITED, 0);
        assert_true(role_is_ready(role));

        /* It has passed while the service was away. */
        g_auto(Told) late_told = {};
        role = executed(w, oneshot(3600 * USEC_PER_SEC), &late_told);
        role->start_deadline = 1;
        role = next_life(w, role);
        list_child(w, role);
        assert_int_equal(role->state, ROLE_RUNNING);
        world_wait(w, role->state == ROLE_STOPPING);
        world_exit(w, role, EXIT_CODE_KILLED, SIGTERM);
        assert_int_equal(role->cause, ROLE_CAUSE_TIMEOUT);
}

static void test_shutdown(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};

        Role *role = executed(w, oneshot(0), &told);
        node_shutdown(w->node, "test", NULL);
        world_exit(w, role, EXIT_CODE_KILLED, SIGTERM);
        assert_told_fault(&told, NODE_ERROR_START_CANCELLED, "cancelled by the shutdown");
        assert_true(w->finished);
}

/* -- notify -- */

static RoleSpec *notifying(void) {
        RoleSpec *spec = test_spec();

        spec->type = ROLE_TYPE_NOTIFY;
        return spec;
}

static void notify(Role *role, NotifyKind kind, uint64_t number, uint64_t value, const char *text) {
        role_on_notified(role, &(RoleNotification){ .kind = kind,
                                       .number = number,
                                       .monotonic_usec = now_usec(CLOCK_MONOTONIC),
                                       .value = value,
                                       .text = text });
}

static void test_notify(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};

        Role *role = executed(w, notifying(), &told);
        assert_true(role->start_deadline > role_deadline_in(80 * USEC_PER_SEC)); /* as for systemd */
        assert_true(role->start_deadline <= role_deadline_in(90 * USEC_PER_SEC));
        assert_non_null(role->timer);
        notify(role, NOTIFY_ERRNO, 1, 7, NULL);
        notify(role, NOTIFY_STATUS, 2, 0, "warming up");
        expect_calls(w, "");
        /* Both are saved before the keeper forgets them. */
        world_wait(w, !role->notified_due);
        expect_calls(w, "save(cam) saved(cam,2)");
        assert_string_equal(role->status_text, "warming up");
        assert_int_equal(role->status_errno, 7);
        notify(role, NOTIFY_STOPPING, 3, 0, NULL);
        assert_not_told(&told);
        assert_false(role_is_ready(role));
        forget_calls(w);
        notify(role, NOTIFY_READY, 4, 0, NULL);
        expect_calls(w, "save(cam) saved(cam,4)");
        assert_told_success(&told);
        assert_true(role_is_ready(role));
        assert_null(role->timer);

        /* One that the keeper passes again because it was not told in time. */
        notify(role, NOTIFY_STATUS, 1, 0, "old");
        world_wait(w, !role->notified_due);
        expect_calls(w, "saved(cam,4)");
        assert_string_equal(role->status_text, "warming up");
        notify(role, NOTIFY_ERRNO, 5, 2, NULL);
        assert_int_equal(role->status_errno, 2);
        world_wait(w, !role->notified_due);
        world_exit_leaving(w, role, EXIT_CODE_EXITED, 0);
        assert_false(role_is_ready(role));
        forget_calls(w);
        notify(role, NOTIFY_STATUS, 6, 0, "of what it has left");
        world_wait(w, !role->notified_due);
        expect_calls(w, "saved(cam,6)");
        assert_string_equal(role->status_text, "warming up");
        world_emptied(w, role);
}

static void on_log(void *userdata, int level, const char *text, const char *const *fields) {
        g_string_append_printf(userdata, "%s\n", text);
}

/* However often it says so, the journal does once. */
static void test_notices(void **state) {
        TestWorld *w = *state;
        g_autoptr(GString) said = g_string_new(NULL);
        Role *role = executed(w, notifying(), NULL);
        uint64_t number = 0;

        log_set_target(LOG_TARGET_NULL);
        log_set_max_level(LOG_INFO);
        log_set_sink(on_log, said);
        for (int i = 0; i < 3; i++) {
                notify(role, NOTIFY_RELOADING, ++number, 0, NULL);
                notify(role, NOTIFY_STOPPING, ++number, 0, NULL);
                notify(role, NOTIFY_MAINPID, ++number, (uint64_t) role->main_pid, NULL);
                notify(role, NOTIFY_MAINPID, ++number, 70000, NULL);
        }
        log_set_sink(NULL, NULL);
        log_set_target(LOG_TARGET_CONSOLE);
        g_auto(GStrv) lines = g_strsplit(said->str, "\n", -1);
        assert_int_equal(g_strv_length(lines), 4);
        assert_contains(lines[0], "It is reloading its configuration");
        assert_contains(lines[1], "It is stopping");
        assert_contains(lines[2], "Refusing MAINPID=70000");
        world_exit(w, role, EXIT_CODE_EXITED, 0);
}

/* With exit-type=cgroup a process of its scope may be the main one, for MainPID and signals. */
static void test_main_pid(void **state) {
        TestWorld *w = *state;
        RoleSpec *spec = notifying();
        pid_t other = fork_pausing(), pid;
        g_auto(Told) told = {};

        spec->exit_type = EXIT_TYPE_CGROUP;
        Role *role = executed(w, spec, NULL);
        pid = role->main_pid;
        notify(role, NOTIFY_MAINPID, 1, (uint64_t) other, NULL); /* not in its scope */
        assert_int_equal(role_main_pid(role), pid);
        g_clear_pointer(&role->cgroup, g_free);
        assert_return_code(cgroup_of_pid(getpid(), &role->cgroup), 0);
        notify(role, NOTIFY_MAINPID, 2, (uint64_t) other, NULL);
        assert_int_equal(role_main_pid(role), other);

        role = next_life(w, role);
        list_child(w, role);
        assert_int_equal(role_main_pid(role), other);
        forget_calls(w);
        assert_return_code(node_signal_role(w->node, role, false, SIGUSR1, NULL, told_by(&told), NULL), 0);
        g_autofree char *call = g_strdup_printf("signal-process(cam,%d,%d)", (int) other, SIGUSR1);
        expect_calls(w, call);
        assert_int_equal(role->last_signal, 0); /* whatever comes of it, the role has not died of it */

        /* When it has ended, the main process is that of the command again. */
        assert_return_code(kill(other, SIGKILL), errno);
        assert_int_equal(waitpid(other, NULL, 0), other);
        world_wait(w, role_main_pid(role) == pid);
        world_answer(w, NULL);
        world_exit(w, role, EXIT_CODE_EXITED, 0);
}

/* The keeper is faster than the gate. */
static void test_notify_early(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};

        Role *role = world_start(w, "cam", notifying(), &told);
        world_forked(w, role);
        world_scope_made(w, role);
        forget_calls(w);
        notify(role, NOTIFY_READY, 1, 0, NULL);
        notify(role, NOTIFY_STATUS, 2, 0, "here");
        expect_calls(w, ""); /* nothing is saved, so the keeper keeps it */
        assert_not_told(&told);
        role_on_gate_closed(role);
        expect_calls(w, "save(cam) started(cam) saved(cam,2)");
        assert_told_success(&told);
        assert_true(role_is_ready(role));
        assert_string_equal(role->status_text, "here");
}

/* With another type READY=1 means nothing. */
static void test_notify_of_others(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};
        RoleSpec *spec = oneshot(0);

        spec->notify_access = NOTIFY_ACCESS_MAIN;
        Role *role = executed(w, spec, &told);
        notify(role, NOTIFY_READY, 1, 0, NULL);
        assert_not_told(&told);
        assert_false(role_is_ready(role));
        world_exit(w, role, EXIT_CODE_EXITED, 0);
        assert_told_success(&told);
}

static void test_notify_ended(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};

        /* Also with 0, as it was never ready. */
        Role *role = executed(w, notifying(), &told);
        world_exit(w, role, EXIT_CODE_EXITED, 0);
        assert_told_fault(&told, NODE_ERROR_START_FAILED, "Role \"cam\" ended before it was ready (exit 0)");
        assert_false(role_is_ready(role));
}

/* Before the start has timed out, the keeper is asked whether READY=1 is there already. */
static void test_notify_timeout(void **state) {
        TestWorld *w = *state;
        g_auto(Told) late = {}, in_time = {};
        RoleSpec *spec = notifying(), *other = notifying();

        spec->timeout_start_set = other->timeout_start_set = true;
        spec->timeout_start_usec = other->timeout_start_usec = 5 * USEC_PER_MSEC;
        Role *role = executed(w, spec, &in_time);
        world_wait(w, !role->timer);
        expect_calls(w, "sync(cam)");
        assert_int_equal(role->state, ROLE_RUNNING);
        notify(role, NOTIFY_READY, 1, 0, NULL);
        role_on_notified_synced(role, 0);
        assert_told_success(&in_time);
        assert_int_equal(role->state, ROLE_RUNNING);
        world_exit(w, role, EXIT_CODE_EXITED, 0);

        role = executed(w, other, &late);
        world_wait(w, !role->timer);
        forget_calls(w);
        role_on_notified_synced(role, 0);
        expect_calls(w, "save(cam) signal-cgroup(cam,15,continue) close-stdin(cam)");
        world_exit(w, role, EXIT_CODE_EXITED, 0);
        assert_told_fault(&late, NODE_ERROR_START_TIMED_OUT, "has not ended within 5 ms");
        assert_int_equal(role->cause, ROLE_CAUSE_TIMEOUT);
}

/* As long as it says that it needs more time. */
static void test_extend(void **state) {
        TestWorld *w = *state;
        RoleSpec *spec = notifying();
        g_auto(Told) told = {};

        spec->timeout_start_set = true;
        spec->timeout_start_usec = 3600 * USEC_PER_SEC;
        spec->stop_timeout_usec = 10 * USEC_PER_SEC;
        Role *role = executed(w, spec, &told);
        uint64_t deadline = role->start_deadline;
        notify(role, NOTIFY_EXTEND_TIMEOUT, 1, USEC_PER_SEC, NULL); /* it has more */
        assert_true(role->start_deadline == deadline);
        notify(role, NOTIFY_EXTEND_TIMEOUT, 2, 7200 * USEC_PER_SEC, NULL);
        assert_true(role->start_deadline > deadline + 3000 * USEC_PER_SEC);

        node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, (Waiter){});
        deadline = role->stop_deadline;
        notify(role, NOTIFY_EXTEND_TIMEOUT, 3, USEC_PER_SEC, NULL);
        assert_true(role->stop_deadline == deadline);
        notify(role, NOTIFY_EXTEND_TIMEOUT, 4, 100 * USEC_PER_SEC, NULL);
        assert_true(role->stop_deadline > deadline + 80 * USEC_PER_SEC);
        world_exit(w, role, EXIT_CODE_KILLED, SIGTERM);
        assert_told_fault(&told, NODE_ERROR_START_CANCELLED, "Stop");
}

/* A role of root may extend its stop, and with it that of the service, but not for ever. That of a user gets
 * no more than he could have asked for. */
static void test_extend_stop(void **state) {
        TestWorld *w = *state;
        RoleSpec *spec = notifying();

        spec->stop_timeout_usec = 2 * USEC_PER_SEC;
        Role *role = executed(w, spec, NULL);
        node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, (Waiter){});
        uint64_t began = role->stop_deadline - 2 * USEC_PER_SEC;
        notify(role, NOTIFY_EXTEND_TIMEOUT, 1, USEC_INFINITY, NULL);
        assert_true(role->stop_deadline == began + 2 * USEC_PER_SEC);
        notify(role, NOTIFY_EXTEND_TIMEOUT, 2, 60 * USEC_PER_SEC, NULL);
        assert_true(role->stop_deadline >= began + 60 * USEC_PER_SEC);
        assert_true(w->stop_extended == 0);
        node_shutdown(w->node, "", NULL);
        notify(role, NOTIFY_EXTEND_TIMEOUT, 3, 90 * USEC_PER_SEC, NULL);
        assert_true(role->stop_deadline >= began + 90 * USEC_PER_SEC);
        assert_true(w->stop_extended == role->stop_deadline);

        char name[] = "alice", home[] = "/", shell[] = "/bin/sh";
        Account account = { .uid = 1000,
                .groups = g_array_new(false, false, sizeof(gid_t)),
                .name = name,
                .group = name,
                .home = home,
                .shell = shell };
        role_spec_become(role->spec, &account);
        g_array_unref(account.groups);
        role->stop_deadline = began + 2 * USEC_PER_SEC;
        w->node->settings->default_stop_timeout_usec = 7 * USEC_PER_SEC;
        for (int i = 0; i < 2; i++) {
                notify(role, NOTIFY_EXTEND_TIMEOUT, 4, i == 0 ? USEC_INFINITY : 90 * USEC_PER_SEC, NULL);
                assert_true(role->stop_deadline == began + 7 * USEC_PER_SEC);
                role = next_life(w, role); /* the same after a restart of the service */
                w->node->settings->default_stop_timeout_usec = 7 * USEC_PER_SEC;
                role->stop_deadline = began + 2 * USEC_PER_SEC;
                role->notified = 3;
        }
        list_child(w, role);
        world_exit(w, role, EXIT_CODE_KILLED, SIGTERM);
}

static void test_old_keeper(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};

        w->fork_result = -EPROTONOSUPPORT;
        (void) world_start(w, "cam", notifying(), &told);
        assert_told_fault(&told, NODE_ERROR_NOT_SUPPORTED, "the keeper that runs is too old");
        assert_nothing_left(w, "cam");
}

/* -- watchdog -- */

static RoleSpec *watched(uint64_t usec) {
        RoleSpec *spec = test_spec();

        spec->watchdog_usec = usec;
        return spec;
}

static void test_watchdog(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};

        Role *role = executed(w, watched(20 * USEC_PER_MSEC), &told);
        assert_told_success(&told);
        assert_true(role->watchdog_ping > 0);
        /* It has sent something that the keeper has not passed yet. */
        world_wait(w, !role->timer);
        expect_calls(w, "sync(cam)");
        notify(role, NOTIFY_WATCHDOG, 1, 0, NULL);
        role_on_notified_synced(role, 0);
        expect_calls(w, ""); /* that is not saved */
        assert_int_equal(role->state, ROLE_RUNNING);
        assert_non_null(role->timer);

        world_wait(w, !role->timer);
        expect_calls(w, "sync(cam)");
        role_on_notified_synced(role, -EAGAIN); /* the keeper has to be asked again */
        assert_int_equal(role->state, ROLE_RUNNING);
        world_wait(w, !role->timer);
        expect_calls(w, "sync(cam)");
        role_on_notified_synced(role, 0);
        expect_calls(w, "save(cam) signal-main(cam,6) signal-main(cam,18) close-stdin(cam)");
        assert_int_equal(role->state, ROLE_STOPPING);
        assert_int_equal(role->stop_step, STOP_STEP_ASKED); /* SIGKILL follows */
        world_exit(w, role, EXIT_CODE_DUMPED, SIGABRT);
        assert_int_equal(role->cause, ROLE_CAUSE_WATCHDOG);
}

/* On a terminal, too, its signal alone is sent, for the core. Those that are left get both. */
static void test_watchdog_terminal(void **state) {
        TestWorld *w = *state;
        RoleSpec *spec = watched(3600 * USEC_PER_SEC);

        spec->stdin_kind = ROLE_STDIN_PTY;
        Role *role = executed(w, spec, NULL);
        forget_calls(w);
        notify(role, NOTIFY_WATCHDOG_TRIGGER, 1, 0, NULL);
        expect_calls(w, "save(cam) signal-main(cam,6) signal-main(cam,18)");
        world_exit_leaving(w, role, EXIT_CODE_DUMPED, SIGABRT);
        assert_contains(w->calls->str, "signal-cgroup(cam,15,continue) signal-cgroup(cam,1)");
        world_emptied(w, role);
}

/* It begins when the role is ready. */
static void test_watchdog_of_notify(void **state) {
        TestWorld *w = *state;
        RoleSpec *spec = watched(3600 * USEC_PER_SEC);

        spec->type = ROLE_TYPE_NOTIFY;
        spec->watchdog_signal = SIGUSR1;
        Role *role = executed(w, spec, NULL);
        notify(role, NOTIFY_WATCHDOG, 1, 0, NULL);
        assert_true(role->watchdog_ping == 0);
        notify(role, NOTIFY_WATCHDOG_TRIGGER, 2, 0, NULL);
        assert_int_equal(role->state, ROLE_RUNNING);
        notify(role, NOTIFY_READY, 3, 0, NULL);
        assert_true(role->watchdog_ping > 0);
        forget_calls(w);
        notify(role, NOTIFY_WATCHDOG_TRIGGER, 4, 0, NULL);
        expect_calls(w, "save(cam) signal-main(cam,10) signal-main(cam,18) close-stdin(cam)");
        world_wait(w, !role->notified_due);
        expect_calls(w, "save(cam) saved(cam,4)");
        world_exit(w, role, EXIT_CODE_KILLED, SIGUSR1);
        assert_int_equal(role->cause, ROLE_CAUSE_WATCHDOG);
}

/* A role that cannot run, or whose messages nobody could have read, has missed nothing. */
static void test_watchdog_waits(void **state) {
        TestWorld *w = *state;

        Role *role = executed(w, watched(5 * USEC_PER_MSEC), NULL);
        (void) g_hash_table_add(w->frozen, role);
        world_wait(w, !role->timer);
        role_on_notified_synced(role, 0);
        assert_int_equal(role->state, ROLE_RUNNING);
        assert_non_null(role->timer);
        (void) g_hash_table_remove(w->frozen, role);

        w->sync_result = -ENOTCONN;
        world_wait(w, !role->timer);
        assert_int_equal(role->state, ROLE_RUNNING);
        /* The next keeper has the child, and says what has come. */
        node_on_keeper_lost(w->node);
        assert_null(role->timer);
        w->sync_result = 0;
        role->child_exists = true;
        forget_calls(w);
        node_on_keeper(w->node, NULL, 0);
        assert_non_null(role->timer);
        world_wait(w, !role->timer);
        assert_contains(w->calls->str, "sync(cam)");
        notify(role, NOTIFY_WATCHDOG, 1, 0, NULL);
        role_on_notified_synced(role, -ENOTCONN);
        assert_int_equal(role->state, ROLE_RUNNING);

        /* The next one has lost its socket. */
        role_on_notified_synced(role, -ENOTSOCK);
        assert_int_equal(role->state, ROLE_RUNNING);
        assert_true(role->watchdog_ping == 0);
        assert_null(role->timer);
        world_exit(w, role, EXIT_CODE_EXITED, 0);
}

/* After a thaw it has all of its time again, whatever it had left before. */
static void test_watchdog_thawed(void **state) {
        TestWorld *w = *state;

        /* Shorter than any machine has been up. */
        const uint64_t period = 30 * USEC_PER_SEC;
        Role *role = executed(w, watched(period), NULL);
        for (int i = 0; i < 3; i++) {
                (void) g_hash_table_add(w->frozen, role);
                if (i == 2) { /* frozen by the time that the service begins */
                        role = next_life(w, role);
                        (void) g_hash_table_add(w->frozen, role);
                        list_child(w, role);
                } else
                        role_on_cgroup_changed(role);
                (void) g_hash_table_remove(w->frozen, role);
                uint64_t thawed = now_usec(CLOCK_MONOTONIC);
                role->watchdog_ping = thawed - period; /* it was frozen for so long */
                if (i == 0)
                        role_on_cgroup_changed(role);
                else
                        role_on_notified_synced(role, 0); /* the deadline is handled first */
                assert_int_equal(role->state, ROLE_RUNNING);
                assert_true(role->watchdog_ping >= thawed);
                assert_non_null(role->timer);

                /* What does not change that is no reason. */
                uint64_t ping = role->watchdog_ping;
                role_on_cgroup_changed(role);
                assert_true(role->watchdog_ping == ping);
        }
        role->watchdog_ping -= period;
        role_on_notified_synced(role, 0);
        assert_int_equal(role->state, ROLE_STOPPING);
        world_exit(w, role, EXIT_CODE_DUMPED, SIGABRT);
}

/* The next process takes the deadline from the keeper, which has the last message. */
static void test_watchdog_restart(void **state) {
        TestWorld *w = *state;

        Role *role = executed(w, watched(200 * USEC_PER_MSEC), NULL);
        notify(role, NOTIFY_STATUS, 7, 0, "up");
        uint64_t ping = role->watchdog_ping;
        role = next_life(w, role);
        assert_true(role->watchdog_ping == ping);
        assert_int_equal(role->notified, 7);
        assert_string_equal(role->status_text, "up");
        assert_null(role->timer);
        list_child(w, role);
        assert_non_null(role->timer);
        notify(role, NOTIFY_WATCHDOG, 3, 0, NULL); /* an older number, as it came before */
        assert_true(role->watchdog_ping > ping);
        world_wait(w, !role->timer);
        role_on_notified_synced(role, 0);
        assert_int_equal(role->state, ROLE_STOPPING);
        world_exit(w, role, EXIT_CODE_KILLED, SIGABRT);
        assert_int_equal(role->cause, ROLE_CAUSE_WATCHDOG);
}

/* -- the restart policy -- */

static bool waits_after(
        TestWorld *w, RoleSpec *spec, RestartPolicy policy, RoleCause cause, RoleResult result) {
        spec->restart = policy;
        Role *role = executed(w, spec, NULL);
        if (cause == ROLE_CAUSE_WATCHDOG)
                notify(role, NOTIFY_WATCHDOG_TRIGGER, 1, 0, NULL);
        if (cause == ROLE_CAUSE_TIMEOUT) {
                world_wait(w, !role->timer);
                role_on_notified_synced(role, 0);
        }
        world_exit(w, role, EXIT_CODE_EXITED, 0); /* whatever it makes of the signal */
        role = world_find(w, "cam");
        assert_int_equal(role->cause, cause);
        assert_string_equal(role_result_to_string(role_result(role)), role_result_to_string(result));
        bool waits = role_waits_for_restart(role);
        node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, (Waiter){});
        node_purge_role(w->node, world_find(w, "cam"), NULL);
        return waits;
}

/* The table under Restart= in systemd.service(5). */
static void test_restart_policy(void **state) {
        TestWorld *w = *state;

        for (int i = 0; i < _RESTART_POLICY_MAX; i++) {
                const RestartPolicy p = (RestartPolicy) i;
                bool always = p == RESTART_ALWAYS, failure = p == RESTART_ON_FAILURE,
                     abnormal = p == RESTART_ON_ABNORMAL, watchdog = p == RESTART_ON_WATCHDOG;
                RoleSpec *late = notifying();

                late->timeout_start_set = true;
                late->timeout_start_usec = 1;
                assert_int_equal(
                        waits_after(w, watched(3600 * USEC_PER_SEC), p, ROLE_CAUSE_WATCHDOG, RESULT_WATCHDOG),
                        always || failure || abnormal || watchdog);
                assert_int_equal(waits_after(w, late, p, ROLE_CAUSE_TIMEOUT, RESULT_TIMEOUT),
                        always || failure || abnormal);
                assert_int_equal(waits_after(w, notifying(), p, ROLE_CAUSE_SELF, RESULT_PROTOCOL),
                        always || failure || abnormal);
        }
}

/* Who stops a role that is being stopped for its watchdog has the last word. */
static void test_restart_stopped(void **state) {
        TestWorld *w = *state;
        RoleSpec *spec = watched(3600 * USEC_PER_SEC);

        spec->restart = RESTART_ALWAYS;
        Role *role = executed(w, spec, NULL);
        notify(role, NOTIFY_WATCHDOG_TRIGGER, 1, 0, NULL);
        node_stop_role(w->node, role, ROLE_CAUSE_STOP, NULL, (Waiter){});
        world_exit(w, role, EXIT_CODE_KILLED, SIGABRT);
        assert_false(role_waits_for_restart(role));
        assert_int_equal(role->cause, ROLE_CAUSE_WATCHDOG);
}

/* What counts as a success for the policy does for the caller. */
static void test_success_status(void **state) {
        TestWorld *w = *state;
        g_auto(Told) told = {};
        RoleSpec *spec = oneshot(0);

        spec->success_exit_status = g_strsplit("3", " ", -1);
        world_exit(w, executed(w, spec, &told), EXIT_CODE_EXITED, 3);
        assert_told_success(&told);
}

#define TEST_IN_WORLD(test) cmocka_unit_test_setup_teardown(test, test_world_setup, test_world_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST_IN_WORLD(test_exec),
                TEST_IN_WORLD(test_oneshot),
                TEST_IN_WORLD(test_oneshot_cgroup),
                TEST_IN_WORLD(test_failed),
                TEST_IN_WORLD(test_purged),
                TEST_IN_WORLD(test_cancelled),
                TEST_IN_WORLD(test_timeout),
                TEST_IN_WORLD(test_stuck),
                TEST_IN_WORLD(test_no_timeout_after_the_end),
                TEST_IN_WORLD(test_restart),
                TEST_IN_WORLD(test_shutdown),
                TEST_IN_WORLD(test_notify),
                TEST_IN_WORLD(test_notices),
                TEST_IN_WORLD(test_main_pid),
                TEST_IN_WORLD(test_notify_early),
                TEST_IN_WORLD(test_notify_of_others),
                TEST_IN_WORLD(test_notify_ended),
                TEST_IN_WORLD(test_notify_timeout),
                TEST_IN_WORLD(test_extend),
                TEST_IN_WORLD(test_extend_stop),
                TEST_IN_WORLD(test_old_keeper),
                TEST_IN_WORLD(test_watchdog),
                TEST_IN_WORLD(test_watchdog_terminal),
                TEST_IN_WORLD(test_watchdog_of_notify),
                TEST_IN_WORLD(test_watchdog_waits),
                TEST_IN_WORLD(test_watchdog_thawed),
                TEST_IN_WORLD(test_watchdog_restart),
                TEST_IN_WORLD(test_restart_policy),
                TEST_IN_WORLD(test_restart_stopped),
                TEST_IN_WORLD(test_success_status),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
