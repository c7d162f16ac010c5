/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * The signals of a stop need no PID 1, and reach processes that cgroup.kill and KillUnit do not: one whose
 * main thread has ended, and those in threaded cgroups. */

#include <glib/gstdio.h>
#include <unistd.h>

#include "testlib.h"

/* A stop that has to wait for its timeout is no success here. */
#define LONG_TIMEOUT "{'stop-timeout-usec': <@t 300000000>}"

static int thaw_systemd(void **state) {
        systemd_freeze(false);
        return case_teardown(state);
}

/* PID 1 does not run. */
static void test_without_systemd(void **state) {
        Bus *bus = *state;
        const char *sleeps = role_name("sleeps"), *leaves = role_name("leaves"), *deaf = role_name("deaf"),
                   *killed = role_name("killed"), *main_only = role_name("main");
        g_autoptr(Fifo) ready = fifo_new("ready"), fifo = fifo_new("fifo");
        int left;

        start(bus, sleeps, OPTIONS(LONG_TIMEOUT), "/bin/sleep", "900", NULL);
        start(bus, leaves, OPTIONS(LONG_TIMEOUT), actor(), "daemon{", "say", fifo_path(ready), "left",
                "pause", "}", "tell-on", "USR1", fifo_path(fifo), "signalled", "pause", NULL);
        left = process_open(fifo_expect_pid(ready, "left"));
        start(bus, deaf, OPTIONS("{'stop-timeout-usec': <@t 100000>}"), actor(), "ignore", "TERM", "say",
                fifo_path(ready), "deaf", "pause", NULL);
        fifo_expect_pid(ready, "deaf");
        start(bus, killed, NULL, actor(), "pause", NULL);
        start(bus, main_only, OPTIONS("{'stop-timeout-usec': <@t 300000000>, 'stop-to': <'main'>}"), actor(),
                "pause", NULL);

        systemd_freeze(true);
        stop(bus, sleeps);
        expect_exited(bus, sleeps, "killed", SIGTERM, "stop");
        send_signal(bus, leaves, "all", SIGUSR1);
        fifo_expect_pid(fifo, "signalled");
        stop(bus, leaves);
        expect_exited(bus, leaves, "killed", SIGTERM, "stop");
        process_wait_dead(left);
        close(left);
        stop(bus, deaf);
        expect_exited(bus, deaf, "killed", SIGKILL, "stop");
        kill_role(bus, killed);
        expect_exited(bus, killed, "killed", SIGKILL, "kill");
        stop(bus, main_only);
        expect_exited(bus, main_only, "killed", SIGTERM, "stop");
        systemd_freeze(false);
}

static void start_without_main_thread(Bus *bus, const char *role, GVariant *options, Fifo *ready) {
        pid_t pid;

        start(bus, role, options, actor(), "exit-on", "USR1", "3", "thread", "say", fifo_path(ready), "up",
                "pause", NULL);
        pid = fifo_expect_pid(ready, "up");
        assert_int_equal(pid, role_pid(bus, role));
        WAIT_UNTIL(process_state(pid) == 'Z');
        assert_poll(bus, role, "running");
}

/* Its main process shows as a zombie, although it lives. */
static void test_main_thread(void **state) {
        Bus *bus = *state;
        const char *role = role_name("t");
        g_autoptr(Fifo) ready = fifo_new("ready");

        start_without_main_thread(bus, role, OPTIONS(LONG_TIMEOUT), ready);
        stop(bus, role);
        expect_exited(bus, role, "killed", SIGTERM, "stop");

        for (int i = 0; i < 2; i++) {
                gint64 before;

                start_without_main_thread(bus, role, NULL, ready);
                before = g_get_monotonic_time();
                kill_role(bus, role);
                expect_exited(bus, role, "killed", SIGKILL, "kill");
                /* Not before SIGKILL was repeated. Five seconds later Kill fails. */
                assert_true(g_get_monotonic_time() - before < 4 * G_USEC_PER_SEC);
        }

        start_without_main_thread(bus, role, NULL, ready);
        send_signal(bus, role, "all", SIGUSR1);
        expect_exited(bus, role, "exited", 3, "self");
}

/* The same for a process that the main process has left, and for a stop whose timeout has expired. */
static void test_main_thread_of_leftover(void **state) {
        Bus *bus = *state;
        const char *role = role_name("l");
        g_autoptr(Fifo) ready = fifo_new("ready");
        g_autofree char *cgroup = NULL;
        pid_t pid;

        start(bus, role, OPTIONS("{'stop-timeout-usec': <@t 100000>}"), actor(), "fork{", "ignore", "TERM",
                "thread", "say", fifo_path(ready), "up", "pause", "}", "pause", NULL);
        pid = fifo_expect_pid(ready, "up");
        cgroup = role_cgroup(bus, role);
        WAIT_UNTIL(process_state(pid) == 'Z');
        assert_true(cgroup_is_populated(cgroup));
        stop(bus, role);
        expect_exited(bus, role, "killed", SIGTERM, "stop");
        assert_false(cgroup_is_populated(cgroup));
}

static void cgroup_write(const char *path, const char *text) {
        g_free(run_ok("/bin/sh", "-c", "echo \"$2\" >\"$1\"", "sh", path, text, NULL));
}

/* Neither PID 1 nor the keeper can list a threaded cgroup, but its processes are listed in the scope. */
static void test_threaded(void **state) {
        Bus *bus = *state;
        const char *role = role_name("d");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        g_autofree char *cgroup = NULL, *directory = NULL, *type = NULL, *threads = NULL, *pid = NULL;

        start(bus, role, OPTIONS(LONG_TIMEOUT), actor(), "tell-on", "USR1", fifo_path(fifo), "signalled",
                "pause", NULL);
        cgroup = role_cgroup(bus, role);
        directory = cgroup_file(cgroup, "threads");
        type = g_build_filename(directory, "cgroup.type", NULL);
        threads = g_build_filename(directory, "cgroup.threads", NULL);
        pid = g_strdup_printf("%d", role_pid(bus, role));
        assert_return_code(g_mkdir(directory, 0755), errno);
        cgroup_write(type, "threaded");
        cgroup_write(threads, pid);

        send_signal(bus, role, "all", SIGUSR1);
        fifo_expect_pid(fifo, "signalled");
        stop(bus, role);
        expect_exited(bus, role, "killed", SIGTERM, "stop");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_without_systemd, case_setup, thaw_systemd),
                TEST(test_main_thread),
                TEST(test_main_thread_of_leftover),
                TEST(test_threaded),
        };
        return run_case("stop-signals", tests);
}
