/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * architectctl check, as a monitoring system calls it, and architectctl metrics. */

#include <sys/stat.h>
#include <unistd.h>

#include "ctl.h"
#include "testlib.h"

#define OK 0
#define WARNING 1
#define CRITICAL 2
#define UNKNOWN 3

static void test_check(void **state) {
        Bus *bus = *state;

        reload_definitions(bus);
        g_autofree char *nothing = CTL_OUT(OK, "check");
        assert_string_equal(nothing,
                "ARCHITECT OK - 0 roles running | roles=0 running=0 failed=0 restarting=0 ended=0\n");
        start(bus, role_name("a"), OPTIONS("{'role-groups': <['night']>}"), actor(), "pause", NULL);
        start(bus, role_name("done"), OPTIONS("{'type': <'oneshot'>, 'role-groups': <['night']>}"), "true",
                NULL);
        start(bus, role_name("stopped"), NULL, actor(), "pause", NULL);
        kill_role(bus, role_name("stopped"));

        /* What somebody has ended is no fault, but whoever names it wants it to run. */
        g_autofree char *all = CTL_OUT(OK, "check"), *named = CTL_OUT(OK, "check", role_name("a")),
                        *group = CTL_OUT(OK, "check", "@night"),
                        *stopped = CTL_OUT(CRITICAL, "check", role_name("a"), role_name("stopped")),
                        *missing = CTL_OUT(CRITICAL, "check", "ctl-check.x"),
                        *no_group = CTL_OUT(CRITICAL, "check", "@x"), *json = CTL_OUT(OK, "-j", "check");
        assert_string_equal(
                all, "ARCHITECT OK - 2 roles running | roles=3 running=2 failed=0 restarting=0 ended=1\n");
        assert_string_equal(
                named, "ARCHITECT OK - 1 role running | roles=1 running=1 failed=0 restarting=0 ended=0\n");
        assert_contains(group, "OK - 2 roles running");
        assert_string_equal(stopped,
                "ARCHITECT CRITICAL - ctl-check.stopped has ended (SIGKILL, kill) | roles=2 running=1 failed=0 "
                "restarting=0 ended=1\n");
        assert_contains(missing, "ARCHITECT CRITICAL - there is no role ctl-check.x | ");
        assert_contains(no_group, "ARCHITECT CRITICAL - there is no role @x | ");
        assert_string_equal(json,
                "{\"status\":\"OK\",\"text\":\"2 roles running\",\"roles\":3,\"running\":2,\"failed\":0,"
                "\"restarting\":0,\"ended\":1}\n");
        g_auto(CtlTerminal) t = CTL_ON_TERMINAL("check");
        screen_expect(t.screen, "ARCHITECT OK - 2 roles running");
        assert_int_equal(ctl_terminal_wait(&t), OK);
}

static void test_failures(void **state) {
        Bus *bus = *state;

        start(bus, role_name("again"),
                OPTIONS("{'restart': <'always'>, 'restart-usec': <uint64 3600000000>}"), actor(), "exit", "1",
                NULL);
        (void) bus_wait(bus, "RoleRestarting", role_name("again"));
        g_autofree char *again = CTL_OUT(WARNING, "check");
        assert_string_equal(again,
                "ARCHITECT WARNING - ctl-check.again waits for its restart (exit 1) | roles=1 running=0 failed=0 "
                "restarting=1 ended=0\n");

        start(bus, role_name("fails"), NULL, actor(), "exit", "3", NULL);
        (void) expect_exited(bus, role_name("fails"), "exited", 3, "self");
        start(bus, role_name("gives-up"),
                OPTIONS("{'restart': <'always'>, 'restart-usec': <uint64 0>, 'start-limit-burst': <uint32 1>}"),
                actor(), "exit", "0", NULL);
        (void) bus_wait(bus, "RoleFailed", role_name("gives-up"));
        g_autofree char *fails = CTL_OUT(CRITICAL, "check");
        /* The worst first. */
        assert_string_equal(fails,
                "ARCHITECT CRITICAL - ctl-check.fails failed (exit-code, exit 3), ctl-check.gives-up failed "
                "(start-limit-hit, exit 0), ctl-check.again waits for its restart (exit 1) | roles=3 running=0 "
                "failed=2 restarting=1 ended=0\n");
}

/* Defined, and not there. */
static void test_defined(void **state) {
        Bus *bus = *state;
        g_autofree char *wrong = role_file(role_name("wrong"));

        define(role_name("wrong"), "Nice=much\n");
        reload_definitions(bus);
        /* That is no matter of another role. */
        start(bus, role_name("a"), NULL, actor(), "pause", NULL);
        g_autofree char *warning = CTL_OUT(WARNING, "check"), *other = CTL_OUT(OK, "check", role_name("a"));
        assert_contains(other, "OK - 1 role running");
        assert_contains(warning, "ARCHITECT WARNING - The definitions of these roles are refused");
        assert_return_code(unlink(wrong), errno);
        define(role_name("dome"), "RoleGroups=night\n");
        reload_definitions(bus);
        g_autofree char *all = CTL_OUT(OK, "check"), *group = CTL_OUT(CRITICAL, "check", "@night");
        assert_contains(all, "OK - 1 role running");
        assert_contains(group, "CRITICAL - ctl-check.dome was not started | ");
        start_defined(bus, role_name("dome"), NULL);
        g_free(g_steal_pointer(&group));
        group = CTL_OUT(OK, "check", "@night");
        assert_contains(group, "OK - 1 role running");
}

static void set_timeout(Bus *bus, guint64 usec) {
        g_variant_unref(node_call(bus, "SetMonitorTimeout", g_variant_new("(t)", usec)));
}

/* Whether check warns of the next beat. If it has been missed meanwhile, the monitor is armed again. */
static bool warns_of_beat(Bus *bus) {
        g_auto(CtlRun) check = CTL("check");

        if (bus_find(bus, "MonitorTimedOut", NULL))
                g_variant_unref(node_call(bus, "Beat", NULL));
        return check.status == WARNING && strstr(check.out, "ARCHITECT WARNING - the beat is ");
}

static void test_monitor(void **state) {
        Bus *bus = *state;

        node_configure(bus, "MonitorAction=none\n");
        set_timeout(bus, 8 * G_USEC_PER_SEC);
        g_variant_unref(node_call(bus, "Beat", NULL));
        g_autofree char *metrics = CTL_OUT(0, "metrics"), *status = CTL_OUT(0, "status");
        assert_contains(metrics, "architect_monitor_timeout_seconds{architect_instance=\"main\"} 8.000000\n");
        assert_contains(
                metrics, "architect_monitor_deadline_timestamp_seconds{architect_instance=\"main\"} ");
        assert_contains(status, "Monitor: next beat due in ");
        assert_contains(status, " (limit 8s)\n");
        /* In the last quarter of the time. */
        WAIT_UNTIL(warns_of_beat(bus));
        g_variant_unref(node_call(bus, "Beat", NULL));
        g_free(CTL_OUT(OK, "check"));
        set_timeout(bus, 0);
        g_autofree char *off = CTL_OUT(0, "status");
        assert_contains(off, "Monitor: off\n");
        node_configure(bus, NULL);
}

/* A plug-in says what keeps it from asking, in one line and by its status. */
static void test_unknown(void **state) {
        Bus *bus = *state;
        g_autofree char *option = CTL_OUT(UNKNOWN, "check", "--warning=3"), *bus_out = NULL,
                        *gone = CTL_OUT(CRITICAL, "--instance=other", "check");

        assert_string_equal(option, "ARCHITECT UNKNOWN - the options are wrong\n");
        assert_contains(gone, "ARCHITECT CRITICAL - the service does not answer: ");
        assert_int_equal(run(&bus_out, NULL, "env", "DBUS_SESSION_BUS_ADDRESS=unix:path=/nowhere",
                                 "architectctl", "--user", "check", NULL),
                UNKNOWN);
        assert_string_equal(bus_out, "ARCHITECT UNKNOWN - there is no connection\n");
        /* It ends before the monitoring system loses its patience. */
        const pid_t pid = node_pid(bus);
        assert_return_code(kill(pid, SIGSTOP), errno);
        g_auto(CtlRun) hangs = CTL("--timeout=300ms", "check");
        assert_return_code(kill(pid, SIGCONT), errno);
        assert_int_equal(hangs.status, CRITICAL);
        assert_contains(hangs.out, "ARCHITECT CRITICAL - the service does not answer: ");
        /* It does not start what was stopped, as a call would. */
        systemctl("enable", NODE_UNIT);
        systemctl("stop", NODE_UNIT);
        g_autofree char *stopped = CTL_OUT(CRITICAL, "check");
        assert_contains(stopped, "ARCHITECT CRITICAL - the service does not answer: ");
        assert_false(node_has_name(bus));
        systemctl("disable", NODE_UNIT);
        systemctl("start", NODE_UNIT);
        node_wait_name(bus, true);
}

/* -- metrics -- */

/* Every line is of the format, and each family is in one piece. */
static void assert_open_metrics(const char *text) {
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        g_autoptr(GRegex) sample = g_regex_new(
                "^[a-z_]+\\{[a-z_]+=\"([^\"\\\\\\n]|\\\\[\"\\\\n])*\"(,[a-z_]+=\"([^\"\\\\\\n]|\\\\[\"\\\\n])*\")*\\} "
                "-?[0-9]+(\\.[0-9]+)?$",
                0, 0, NULL);
        const guint n = g_strv_length(lines);
        g_autofree char *family = NULL;

        assert_string_equal(lines[n - 1], "");
        assert_string_equal(lines[n - 2], "# EOF");
        for (guint i = 0; i < n - 2; i++) {
                if (g_str_has_prefix(lines[i], "# TYPE ")) {
                        g_auto(GStrv) words = g_strsplit(lines[i], " ", -1);

                        assert_int_equal(g_strv_length(words), 4);
                        assert_true(g_str_equal(words[3], "gauge") || g_str_equal(words[3], "counter"));
                        g_free(family);
                        family = g_strconcat(
                                words[2], g_str_equal(words[3], "counter") ? "_total{" : "{", NULL);
                } else if (lines[i][0] != '#') {
                        if (!g_regex_match(sample, lines[i], 0, NULL) || !family ||
                                !g_str_has_prefix(lines[i], family))
                                fail_msg("not a sample of its family: %s", lines[i]);
                }
        }
}

static void test_metrics(void **state) {
        Bus *bus = *state;
        const char *directory = scratch("textfile");
        g_autofree char *path = g_build_filename(directory, "architect.prom", NULL);
        struct stat st;

        start(bus, role_name("a"), NULL, actor(), "pause", NULL);
        start(bus, role_name("ends"), NULL, actor(), "exit", "3", NULL);
        (void) expect_exited(bus, role_name("ends"), "exited", 3, "self");

        g_autofree char *out = CTL_OUT(0, "metrics"), *usage = CTL_ERR(2, "metrics", "x"),
                        *nowhere = CTL_ERR(1, "metrics", "--output=/nowhere/x.prom"), *file = NULL,
                        *start_time = NULL;
        assert_open_metrics(out);
        assert_contains(out, "architect_build_info{architect_instance=\"main\",version=\"");
        assert_contains(out, "architect_role_running{architect_instance=\"main\",role=\"ctl-check.a\"} 1\n");
        assert_contains(
                out, "architect_role_running{architect_instance=\"main\",role=\"ctl-check.ends\"} 0\n");
        assert_contains(
                out, "architect_role_failed{architect_instance=\"main\",role=\"ctl-check.ends\"} 1\n");
        assert_contains(out,
                "architect_role_exit_status{architect_instance=\"main\",role=\"ctl-check.ends\",code=\"exited\"} 3\n");
        assert_contains(
                out, "architect_role_restarts_total{architect_instance=\"main\",role=\"ctl-check.a\"} 0\n");
        const guint64 usec = role_get_u64(bus, role_name("a"), "StartTimestamp");
        start_time = g_strdup_printf(
                "architect_role_start_time_seconds{architect_instance=\"main\",role=\"ctl-check.a\"} "
                "%" G_GUINT64_FORMAT ".%06" G_GUINT64_FORMAT "\n",
                usec / G_USEC_PER_SEC, usec % G_USEC_PER_SEC);
        assert_contains(out, start_time);
        assert_contains(usage, "takes no argument");
        assert_contains(nowhere, "cannot write the metrics: ");

        /* Replaced as a whole, and readable for the collector, which is another user. */
        write_file(path, "old\n");
        g_autofree char *quiet = CTL_OUT(0, "metrics", "--output", path);
        assert_string_equal(quiet, "");
        file = run_ok("cat", path, NULL);
        assert_open_metrics(file);
        assert_return_code(stat(path, &st), errno);
        assert_int_equal(st.st_mode & 07777, 0644);
        g_autofree char *names = run_ok("ls", "-A", directory, NULL);
        assert_string_equal(names, "architect.prom\n");
        g_auto(CtlTerminal) t = CTL_ON_TERMINAL("metrics");
        screen_expect(t.screen, "# EOF");
        assert_int_equal(ctl_terminal_wait(&t), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_check),
                TEST(test_failures),
                DEFINED_TEST(test_defined),
                TEST(test_monitor),
                TEST(test_unknown),
                TEST(test_metrics),
        };
        return run_case("ctl-check", tests);
}
