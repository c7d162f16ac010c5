/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "test-world.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "model/beat-deadline.h"
#include "model/monitor.h"
#include "util/log.h"

#define TIMEOUT (50 * USEC_PER_MSEC)

static void arm(TestWorld *w, MonitorAction action) {
        monitor_configure(w->node->monitor, TIMEOUT, action);
        assert_return_code(monitor_beat(w->node->monitor, NULL), 0);
        forget_calls(w);
}

static bool timed_out(TestWorld *w) {
        return strstr(w->calls->str, "monitor-timed-out(50000)");
}

static RoleSpec *spec_with(const char *loss) {
        RoleSpec *spec = test_spec();

        if (loss)
                assert_return_code(role_spec_set_on_monitor_loss(spec, loss, NULL), 0);
        return spec;
}

static void test_not_armed(void **state) {
        TestWorld *w = *state;

        monitor_configure(w->node->monitor, TIMEOUT, MONITOR_ACTION_SHUTDOWN);
        assert_int_equal(monitor_timeout(w->node->monitor), TIMEOUT);
        assert_int_equal(monitor_deadline(w->node->monitor), 0);
        for (gint64 end = g_get_monotonic_time() + 3 * (gint64) TIMEOUT; g_get_monotonic_time() < end;)
                assert_return_code(sd_event_run(w->event, TIMEOUT), 0);
        assert_false(timed_out(w));
}

static void test_beats_hold_it(void **state) {
        TestWorld *w = *state;

        arm(w, MONITOR_ACTION_NONE);
        for (int held = 0; held < 5;) {
                uint64_t before = monitor_deadline(w->node->monitor);

                assert_return_code(sd_event_run(w->event, TIMEOUT / 3), 0);
                /* On a busy machine this process may beat too late. That does not count. */
                bool late = (uint64_t) g_get_monotonic_time() >= before;
                if (late)
                        forget_calls(w);
                assert_false(timed_out(w));
                assert_return_code(monitor_beat(w->node->monitor, NULL), 0);
                assert_true(monitor_deadline(w->node->monitor) > before);
                held = late ? 0 : held + 1;
        }
        world_wait(w, timed_out(w)); /* and without them it fires */
        assert_int_equal(monitor_deadline(w->node->monitor), 0);
        assert_true(w->last_sequence > 0);
}

static void on_log(void *userdata, int level, const char *text, const char *const *fields) {
        char **said = userdata;

        if (g_str_has_prefix(text, "No beat arrived for ")) {
                g_free(*said);
                *said = g_strdup(text);
        }
}

/* The action for each role, for each setting of the node and of the role, and the message in the journal. */
static void test_table(void **state) {
        static const struct {
                MonitorAction action;
                const char *loss;
                bool stopped, killed;
        } table[] = {
                { MONITOR_ACTION_NONE, NULL, false, false },
                { MONITOR_ACTION_NONE, "keep", false, false },
                { MONITOR_ACTION_NONE, "stop", true, false },
                { MONITOR_ACTION_NONE, "kill", true, true },
                { MONITOR_ACTION_STOP_ROLES, NULL, true, false },
                { MONITOR_ACTION_STOP_ROLES, "keep", false, false },
                { MONITOR_ACTION_STOP_ROLES, "stop", true, false },
                { MONITOR_ACTION_STOP_ROLES, "kill", true, true },
                { MONITOR_ACTION_SHUTDOWN, NULL, true, false },
                { MONITOR_ACTION_SHUTDOWN, "keep", false, false },
                { MONITOR_ACTION_SHUTDOWN, "stop", true, false },
                { MONITOR_ACTION_SHUTDOWN, "kill", true, true },
        };
        TestWorld *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                world_new_node(w, NULL);
                w->finished = false;
                Role *role = world_run(w, "cam", spec_with(table[i].loss));
                g_autofree char *said = NULL;

                arm(w, table[i].action);
                log_set_target(LOG_TARGET_NULL);
                log_set_max_level(LOG_WARNING);
                log_set_sink(on_log, &said);
                world_wait(w, timed_out(w));
                log_set_sink(NULL, NULL);
                log_set_max_level(LOG_EMERG);
                log_set_target(LOG_TARGET_CONSOLE);
                assert_non_null(said);
                g_autofree char *expected = g_strdup_printf(
                        "No beat arrived for 0.05 s, stopping %d roles, killing %d, keeping %d; the service %s",
                        table[i].stopped && !table[i].killed, table[i].killed, !table[i].stopped,
                        w->node->stopping ? "shuts down" : "goes on");
                assert_string_equal(said, expected);
                assert_int_equal(role->state, table[i].stopped ? ROLE_STOPPING : ROLE_RUNNING);
                if (table[i].stopped) {
                        assert_int_equal(role->cause, ROLE_CAUSE_MONITOR);
                        assert_int_equal(
                                role->stop_step, table[i].killed ? STOP_STEP_KILLED : STOP_STEP_ASKED);
                }
                /* A role that stays keeps the service running. */
                assert_int_equal(
                        w->node->stopping, table[i].action == MONITOR_ACTION_SHUTDOWN && table[i].stopped);
                world_exit(w, role, EXIT_CODE_KILLED, table[i].killed ? SIGKILL : SIGTERM);
                assert_int_equal(w->finished, w->node->stopping);
        }
}

static void test_off(void **state) {
        TestWorld *w = *state;

        arm(w, MONITOR_ACTION_SHUTDOWN);
        assert_return_code(monitor_set_timeout(w->node->monitor, 0, NULL), 0);
        assert_int_equal(monitor_deadline(w->node->monitor), 0);
        /* A beat is accepted, but has no effect. */
        assert_return_code(monitor_beat(w->node->monitor, NULL), 0);
        assert_int_equal(monitor_deadline(w->node->monitor), 0);

        assert_return_code(monitor_set_timeout(w->node->monitor, USEC_INFINITY, NULL), 0);
        assert_return_code(monitor_beat(w->node->monitor, NULL), 0);
        assert_int_equal(monitor_deadline(w->node->monitor), USEC_INFINITY);
        monitor_configure(
                /* A call has precedence over the configuration. */
                w->node->monitor, TIMEOUT, MONITOR_ACTION_SHUTDOWN);
        assert_int_equal(monitor_timeout(w->node->monitor), USEC_INFINITY);
}

/* A new timeout, from the configuration or a call, counts from the last beat; 0 disables it. */
static void test_changed(void **state) {
        TestWorld *w = *state;
        Monitor *monitor = w->node->monitor;
        uint64_t before = (uint64_t) g_get_monotonic_time();

        monitor_configure(monitor, 4 * USEC_PER_SEC, MONITOR_ACTION_SHUTDOWN);
        assert_return_code(monitor_beat(monitor, NULL), 0);
        uint64_t beat = monitor_deadline(monitor) - 4 * USEC_PER_SEC;
        assert_between(beat, before, (uint64_t) g_get_monotonic_time());
        g_usleep(20000);

        monitor_configure(monitor, 60 * USEC_PER_SEC, MONITOR_ACTION_SHUTDOWN);
        assert_int_equal(monitor_deadline(monitor), beat + 60 * USEC_PER_SEC);
        monitor_configure(monitor, 60 * USEC_PER_SEC, MONITOR_ACTION_NONE); /* nothing has changed */
        assert_int_equal(monitor_deadline(monitor), beat + 60 * USEC_PER_SEC);
        monitor_configure(monitor, USEC_INFINITY, MONITOR_ACTION_SHUTDOWN);
        assert_int_equal(monitor_deadline(monitor), USEC_INFINITY);
        monitor_configure(monitor, 2 * USEC_PER_SEC, MONITOR_ACTION_SHUTDOWN);
        assert_int_equal(monitor_deadline(monitor), beat + 2 * USEC_PER_SEC);

        /* The new timeout is shorter than the time since the last beat. The manager that sets it will send a
         * beat. */
        uint64_t now = (uint64_t) g_get_monotonic_time();
        monitor_configure(monitor, 10000, MONITOR_ACTION_SHUTDOWN);
        assert_between(monitor_deadline(monitor), now + 5000, now + USEC_PER_SEC);
        monitor_configure(monitor, 60 * USEC_PER_SEC, MONITOR_ACTION_SHUTDOWN);
        assert_int_equal(monitor_deadline(monitor), beat + 60 * USEC_PER_SEC);

        assert_return_code(monitor_set_timeout(monitor, 3600 * USEC_PER_SEC, NULL), 0);
        assert_int_equal(monitor_deadline(monitor), beat + 3600 * USEC_PER_SEC);
        monitor_configure(monitor, 0, MONITOR_ACTION_SHUTDOWN); /* the call has precedence */
        assert_int_equal(monitor_deadline(monitor), beat + 3600 * USEC_PER_SEC);

        world_new_node(w, NULL);
        monitor = w->node->monitor;
        monitor_configure(monitor, TIMEOUT, MONITOR_ACTION_SHUTDOWN);
        assert_return_code(monitor_beat(monitor, NULL), 0);
        monitor_configure(monitor, 0, MONITOR_ACTION_SHUTDOWN);
        assert_int_equal(monitor_deadline(monitor), 0);
        forget_calls(w);
        for (gint64 end = g_get_monotonic_time() + 3 * (gint64) TIMEOUT; g_get_monotonic_time() < end;)
                assert_return_code(sd_event_run(w->event, TIMEOUT), 0);
        assert_false(timed_out(w));
        monitor_configure(monitor, TIMEOUT, MONITOR_ACTION_SHUTDOWN);
        assert_int_equal(monitor_deadline(monitor), 0); /* until the next beat */
}

/* The timer expires seconds late, because the service itself was stopped. */
static void test_late(void **state) {
        TestWorld *w = *state;

        arm(w, MONITOR_ACTION_SHUTDOWN);
        g_usleep((gulong) (TIMEOUT + 1200 * USEC_PER_MSEC)); /* as with SIGSTOP or a suspended system */
        uint64_t now = (uint64_t) g_get_monotonic_time();
        assert_return_code(sd_event_run(w->event, 0), 0);
        assert_false(timed_out(w));
        assert_false(w->node->stopping);
        assert_true(monitor_deadline(w->node->monitor) >= now + BEAT_GRACE_USEC);
        /* The manager may have sent beats in the meantime, however short its timeout is. */
        monitor_configure(w->node->monitor, 2 * TIMEOUT, MONITOR_ACTION_SHUTDOWN);
        assert_true(monitor_deadline(w->node->monitor) >= now + BEAT_GRACE_USEC);
}

/* Saved with one timeout in the configuration, and resumed with another. */
static void test_changed_over_restart(void **state) {
        TestWorld *w = *state;
        g_autofree char *path = g_dir_make_tmp("test-monitor-XXXXXX", NULL);
        autofd dir = open(path, O_DIRECTORY | O_CLOEXEC);
        Monitor *monitor = NULL;

        assert_return_code(monitor_open(w->node, dir, &monitor), 0);
        monitor_configure(monitor, 40 * USEC_PER_SEC, MONITOR_ACTION_SHUTDOWN);
        assert_return_code(monitor_beat(monitor, NULL), 0);
        uint64_t beat = monitor_deadline(monitor) - 40 * USEC_PER_SEC;

        static const uint64_t timeouts[] = { 60, 20, 20, 3600 };
        for (size_t i = 0; i < ELEMENTSOF(timeouts); i++) {
                monitor = monitor_close(monitor);
                assert_return_code(monitor_open(w->node, dir, &monitor), 0);
                monitor_configure(monitor, timeouts[i] * USEC_PER_SEC, MONITOR_ACTION_SHUTDOWN);
                monitor_resume(monitor);
                assert_int_equal(monitor_deadline(monitor), beat + timeouts[i] * USEC_PER_SEC);
        }

        monitor = monitor_close(monitor);
        assert_return_code(monitor_open(w->node, dir, &monitor), 0);
        monitor_configure(monitor, 0, MONITOR_ACTION_SHUTDOWN);
        monitor_resume(monitor);
        assert_int_equal(monitor_deadline(monitor), 0);

        monitor_forget(monitor);
        assert_null(monitor_close(monitor));
        assert_return_code(g_rmdir(path), errno);
}

static void test_survives(void **state) {
        TestWorld *w = *state;
        g_autofree char *path = g_dir_make_tmp("test-monitor-XXXXXX", NULL);
        autofd dir = open(path, O_DIRECTORY | O_CLOEXEC);
        Monitor *monitor = NULL;

        assert_return_code(monitor_open(w->node, dir, &monitor), 0);
        assert_return_code(monitor_set_timeout(monitor, 3600 * USEC_PER_SEC, NULL), 0);
        assert_return_code(monitor_beat(monitor, NULL), 0);
        uint64_t deadline = monitor_deadline(monitor);
        monitor = monitor_close(monitor);

        assert_return_code(monitor_open(w->node, dir, &monitor), 0);
        monitor_resume(monitor);
        assert_int_equal(monitor_timeout(monitor), 3600 * USEC_PER_SEC);
        assert_int_equal(monitor_deadline(monitor), deadline); /* it has not changed */

        /* A deadline that has passed while the service was not running does not count. */
        assert_return_code(monitor_set_timeout(monitor, 1, NULL), 0);
        monitor = monitor_close(monitor);
        assert_return_code(monitor_open(w->node, dir, &monitor), 0);
        uint64_t now = (uint64_t) g_get_monotonic_time();
        monitor_resume(monitor);
        assert_true(monitor_deadline(monitor) >= now + BEAT_GRACE_USEC);

        monitor_forget(monitor);
        monitor = monitor_close(monitor);
        assert_return_code(monitor_open(w->node, dir, &monitor), 0);
        assert_int_equal(monitor_deadline(monitor), 0);
        assert_int_equal(monitor_timeout(monitor), MONITOR_TIMEOUT_DEFAULT_USEC);
        monitor = monitor_close(monitor);

        g_autofree char *file = g_build_filename(path, "monitor", NULL),
                        *aside = g_strconcat(file, ".damaged", NULL);
        assert_true(g_file_set_contents(file, "1 2 three\n", -1, NULL));
        assert_return_code(monitor_open(w->node, dir, &monitor), 0);
        assert_int_equal(monitor_deadline(monitor), 0);
        assert_return_code(g_unlink(aside), errno);
        assert_null(monitor_close(monitor));
        assert_return_code(g_rmdir(path), errno);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_not_armed, test_world_setup, test_world_teardown),
                cmocka_unit_test_setup_teardown(test_beats_hold_it, test_world_setup, test_world_teardown),
                cmocka_unit_test_setup_teardown(test_table, test_world_setup, test_world_teardown),
                cmocka_unit_test_setup_teardown(test_off, test_world_setup, test_world_teardown),
                cmocka_unit_test_setup_teardown(test_changed, test_world_setup, test_world_teardown),
                cmocka_unit_test_setup_teardown(
                        test_changed_over_restart, test_world_setup, test_world_teardown),
                cmocka_unit_test_setup_teardown(test_late, test_world_setup, test_world_teardown),
                cmocka_unit_test_setup_teardown(test_survives, test_world_setup, test_world_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
