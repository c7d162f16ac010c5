/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified, last
 *
 * systemd reloads its units, and re-executes itself, in a loop, while roles start and stop. Its journal is
 * restarted and killed, or hangs, while they print. No role is affected, and neither the service nor a role
 * waits for the journal. (dbus-broker does not connect to it again, and exits at its next message.) */

#include <sys/wait.h>
#include <unistd.h>

#include "testlib.h"

#define JOURNALD "systemd-journald.service"
#define STABLE 5
#define TOGETHER 5
#define TIMES "6"

static void loops(Bus *bus, const char *verb) {
        g_autofree char *command =
                g_strdup_printf("set -e; for ((i = 0; i < " TIMES "; i++)); do systemctl %s; done", verb);
        Census before = census_before(bus);
        pid_t pids[STABLE], loop;
        guint mark, n = 0;
        int status;

        for (guint i = 0; i < STABLE; i++) {
                start(bus, role_name_n("stable", i), NULL, actor(), "pause", NULL);
                pids[i] = role_pid(bus, role_name_n("stable", i));
        }
        mark = bus_mark(bus);
        loop = spawn("bash", "-c", command, NULL);
        while (waitpid(loop, &status, WNOHANG) == 0) {
                guint32 serials[TOGETHER];

                for (guint i = 0; i < TOGETHER; i++)
                        serials[i] = node_send(bus, "Start",
                                start_args(role_name_n("r", n + i), NULL, actor(), "pause", NULL));
                for (guint i = 0; i < TOGETHER; i++) {
                        const char *role = role_name_n("r", n + i);
                        g_autofree char *scope = role_scope(role), *cgroup = NULL;

                        g_variant_unref(bus_result(bus, serials[i]));
                        cgroup = process_cgroup(role_pid(bus, role));
                        assert_true(g_str_has_suffix(cgroup, scope));
                }
                for (guint i = 0; i < TOGETHER; i++)
                        serials[i] = node_send(bus, "Stop", g_variant_new("(s)", role_name_n("r", n + i)));
                for (guint i = 0; i < TOGETHER; i++) {
                        g_variant_unref(bus_result(bus, serials[i]));
                        expect_exited(bus, role_name_n("r", n + i), "killed", SIGTERM, "stop");
                        purge(bus, role_name_n("r", n + i));
                }
                n += TOGETHER;
        }
        assert_int_equal(status, 0);
        assert_true(n > 0);
        node_sync(bus);
        assert_int_equal(bus_count_since(bus, mark, "RoleStarted", NULL), n);
        assert_int_equal(bus_count_since(bus, mark, "RoleExited", NULL), n);
        for (guint i = 0; i < STABLE; i++) {
                g_autofree char *scope = role_scope(role_name_n("stable", i)), *cgroup = NULL;

                assert_poll(bus, role_name_n("stable", i), "running");
                assert_int_equal(role_pid(bus, role_name_n("stable", i)), pids[i]);
                cgroup = process_cgroup(pids[i]);
                assert_true(g_str_has_suffix(cgroup, scope));
                kill_role(bus, role_name_n("stable", i));
                purge(bus, role_name_n("stable", i));
        }
        assert_census(bus, &before);
        print_message("  %u starts and stops\n", n);
}

static void test_daemon_reload(void **state) {
        loops(*state, "daemon-reload");
}

static void test_daemon_reexec(void **state) {
        loops(*state, "daemon-reexec");
}

/* -- the journal -- */

/* systemd would treat this number of starts as a failing unit. */
static void journald_forgive(void) {
        systemctl("reset-failed", JOURNALD);
}

static void journald_restart(Bus *bus) {
        journald_forgive();
        systemctl("restart", JOURNALD);
}

static pid_t journald_pid(Bus *bus) {
        g_autoptr(GVariant) value = unit_get(bus, JOURNALD, "Service", "MainPID");
        return (pid_t) g_variant_get_uint32(value);
}

static void journald_crash(Bus *bus) {
        pid_t pid = unit_main_pid(bus, JOURNALD);

        journald_forgive();
        assert_int_equal(kill(pid, SIGKILL), 0);
        WAIT_UNTIL(journald_pid(bus) != 0 && journald_pid(bus) != pid);
        systemctl("start", JOURNALD); /* until it is up */
}

static void says(Bus *bus, const char *role, Fifo *fifo, const char *text) {
        send_input(bus, role, text);
        fifo_expect_pid(fifo, "echo");
}

static void assert_said(const char *since, const char *option, const char *role, const char *text, guint n) {
        g_autofree char *said = journal(since, option, role, NULL);
        guint found = 0;

        for (const char *p = said; (p = strstr(p, text)); p++)
                found++;
        if (found != n)
                fail_msg("'%s' should be %u times in the journal, not %u: %s", text, n, found, said);
}

static void prints_over(Bus *bus, void (*again)(Bus *bus)) {
        const char *role = role_name("prints"), *next = role_name("next");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        g_autofree char *since = journal_from_now();
        pid_t pid, node = node_pid(bus);

        start(bus, role, NULL, actor(), "echo", fifo_path(fifo), NULL);
        pid = role_pid(bus, role);
        for (guint i = 0; i < 3; i++) {
                g_autofree char *before = g_strdup_printf("before %u", i),
                                *error = g_strdup_printf("!after %u", i),
                                *name = g_strdup_printf("status=%u (cause: self)", 10 + i),
                                *exit = g_strdup_printf("%u", 10 + i);

                says(bus, role, fifo, before);
                assert_said(since, "-t", role, before, 1);
                again(bus);
                says(bus, role, fifo, error);
                assert_said(since, "-t", role, before, 1);
                assert_said(since, "-t", role, error + 1, 1);

                /* A role that starts now, and the report of its exit. */
                start(bus, next, NULL, actor(), "print", before, "exit", exit, NULL);
                expect_exited(bus, next, "exited", 10 + (int) i, "self");
                assert_said(since, "-t", next, before, 1);
                assert_said(since, "-u", NODE_UNIT, name, 1);
        }
        assert_int_equal(role_pid(bus, role), pid);
        assert_int_equal(node_pid(bus), node);
        close_input(bus, role);
        expect_exited(bus, role, "exited", 0, "self");
}

static void test_journald_restart(void **state) {
        prints_over(*state, journald_restart);
}

static void test_journald_crash(void **state) {
        prints_over(*state, journald_crash);
}

/* The journal is stopped, so that nothing reads the output any more, and started again. A role gets EPIPE and
 * runs on, one without ignore-sigpipe ends by SIGPIPE. */
static void test_journald_stopped(void **state) {
        Bus *bus = *state;
        const char *ignores = role_name("ignores"), *dies = role_name("dies");
        const char *script = "while read line; do echo \"$line\"; echo $? $$ >\"$0\"; done";
        g_autoptr(Fifo) fifo = fifo_new("fifo");

        start(bus, ignores, NULL, "sh", "-c", script, fifo_path(fifo), NULL);
        start(bus, dies, OPTIONS("{'ignore-sigpipe': <false>}"), "sh", "-c", script, fifo_path(fifo), NULL);
        send_input(bus, ignores, "one");
        fifo_expect_pid(fifo, "0");

        journald_forgive();
        g_free(run_ok("systemctl", "stop", JOURNALD, "systemd-journald.socket",
                "systemd-journald-dev-log.socket", "systemd-journald-audit.socket", NULL));
        /* Newer units keep the descriptors of their stopped journal; older versions do not know the word. */
        (void) run(NULL, NULL, "systemctl", "clean", "--what=fdstore", JOURNALD, NULL);
        send_input(bus, ignores, "two");
        send_input(bus, dies, "two");
        fifo_expect_pid(fifo, "1");
        expect_exited(bus, dies, "killed", SIGPIPE, "self");
        systemctl("start", JOURNALD);
        assert_poll(bus, ignores, "running");
        close_input(bus, ignores);
        expect_exited(bus, ignores, "exited", 0, "self");
}

/* journald runs but reads nothing. Messages of the service and output of its roles wait or are lost, but they
 * do not block. */
static void test_journald_hangs(void **state) {
        Bus *bus = *state;
        const char *role = role_name("r");
        g_autofree char *since = journal_from_now(), *said = NULL;
        pid_t journald = unit_main_pid(bus, JOURNALD);

        g_variant_unref(node_call(bus, "SetLogLevel", g_variant_new("(s)", "debug")));
        assert_int_equal(kill(journald, SIGSTOP), 0);
        WAIT_UNTIL(process_state(journald) == 'T');
        for (guint i = 0; i < 150; i++) {
                start(bus, role, OPTIONS("{'stdin': <'null'>}"), actor(), "exit", "0", NULL);
                expect_exited(bus, role, "exited", 0, "self");
        }
        assert_int_equal(process_state(journald), 'T');
        assert_int_equal(kill(journald, SIGCONT), 0);
        g_variant_unref(node_call(bus, "SetLogLevel", g_variant_new("(s)", "info")));
        start(bus, role, NULL, actor(), "print", "it flows again", "exit", "11", NULL);
        expect_exited(bus, role, "exited", 11, "self");
        assert_said(since, "-t", role, "it flows again", 1);
        assert_said(since, "-u", NODE_UNIT, "status=11 (cause: self)", 1);
        said = journal(since, "-u", NODE_UNIT, NULL);
        assert_contains(said, "messages before this one are lost");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_daemon_reload),
                TEST(test_daemon_reexec),
                TEST(test_journald_restart),
                TEST(test_journald_crash),
                TEST(test_journald_stopped),
                TEST(test_journald_hangs),
        };
        return run_case("systemd-loops", tests);
}
