/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * architectctl monitor and logs: each event once, over restarts and crashes of the service; what the roles
 * themselves and the service have written, and nothing that others pretend to be. */

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl.h"
#include "replay.h"
#include "testlib.h"

#define MANY 350U

static char *since_option(guint64 seq) {
        return g_strdup_printf("--since=%" G_GUINT64_FORMAT, seq);
}

/* Starts architectctl with these arguments; its lines, of stdout and stderr, go to the pipe. */
static pid_t follow(Fifo *fifo, const char *arguments) {
        g_autofree char *line = g_strdup_printf("exec architectctl %s >%s 2>&1", arguments, fifo_path(fifo));

        return spawn("sh", "-c", line, NULL);
}

static void end(pid_t pid, int signo) {
        int status;

        assert_return_code(kill(pid, signo), errno);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
}

/* The next line is this event in JSON. */
static void expect_event(Fifo *fifo, guint64 seq, const char *signal, const char *role) {
        g_autofree char *line = fifo_line(fifo),
                        *number = g_strdup_printf("{\"seq\":%" G_GUINT64_FORMAT ",", seq),
                        *what = g_strdup_printf("\"signal\":\"%s\",\"role\":\"%s\",", signal, role);

        if (!g_str_has_prefix(line, number) || !strstr(line, what))
                fail_msg("%s is not event %" G_GUINT64_FORMAT ", %s of %s", line, seq, signal, role);
}

static void run_once(Bus *bus, const char *role) {
        start(bus, role, NULL, actor(), "exit", "7", NULL);
        wait_exited(bus, role);
}

static void test_since(void **state) {
        Bus *bus = *state;
        const char *role = role_name("cam");
        g_autofree char *epoch = event_epoch(bus), *since = since_option(event_sequence(bus));
        guint64 seq = event_sequence(bus);

        run_once(bus, role);
        run_once(bus, role_name("dome"));
        g_autofree char *all = CTL_OUT(0, "monitor", since, "-n", "4"),
                        *some = CTL_OUT(0, "monitor", since, "--count=2", "ctl-watch.d*"),
                        *json = CTL_OUT(0, "-j", "monitor", since, "-n", "4"),
                        *pretty = CTL_OUT(0, "--json=pretty", "monitor", since, "-n1");
        g_auto(GStrv) lines = g_strsplit(all, "\n", -1), objects = g_strsplit(json, "\n", -1);

        assert_int_equal(g_strv_length(lines), 5);
        assert_contains(lines[0], "RoleStarted");
        assert_contains(lines[0], ", user root");
        assert_contains(lines[1], "RoleExited      ctl-watch.cam    exit 7, cause self");
        assert_contains(lines[3], "ctl-watch.dome");
        assert_contains_not(some, role);
        assert_contains(some, "exit 7");

        assert_int_equal(g_strv_length(objects), 5);
        for (guint i = 0; i < 4; i++) {
                g_autofree char *head = g_strdup_printf(
                        "{\"seq\":%" G_GUINT64_FORMAT ",\"epoch\":\"%s\",\"realtime-usec\":", seq + 1 + i,
                        epoch);

                assert_true(g_str_has_prefix(objects[i], head));
                assert_true(g_str_has_suffix(objects[i], "}}"));
        }
        assert_contains(objects[1], "\"code\":\"exited\",\"status\":7,");
        assert_true(g_str_has_prefix(pretty, "{\n\t\"seq\": "));
}

/* More than the service returns at once. */
static void test_pages(void **state) {
        Bus *bus = *state;
        const guint64 seq = event_sequence(bus);
        guint32 serials[50];
        g_autofree char *since = since_option(seq), *n = g_strdup_printf("%u", 3 * MANY);

        for (guint i = 0; i < MANY; i += G_N_ELEMENTS(serials)) {
                for (guint j = 0; j < G_N_ELEMENTS(serials); j++)
                        serials[j] = node_send(bus, "Start",
                                start_args(role_name_n("r", i + j), OPTIONS("{'remove': <true>}"), "true",
                                        NULL));
                for (guint j = 0; j < G_N_ELEMENTS(serials); j++)
                        g_variant_unref(bus_result(bus, serials[j]));
        }
        g_autofree char *out = CTL_OUT(0, "-j", "monitor", since, "-n", n);
        g_auto(GStrv) lines = g_strsplit(g_strchomp(out), "\n", -1);
        assert_int_equal(g_strv_length(lines), 3 * MANY);
        for (guint i = 0; i < 3 * MANY; i++) {
                g_autofree char *head = g_strdup_printf("{\"seq\":%" G_GUINT64_FORMAT ",", seq + 1 + i);

                assert_true(g_str_has_prefix(lines[i], head));
        }
}

static void test_restarts(void **state) {
        Bus *bus = *state;
        const char *role = role_name("cam");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        guint64 seq = event_sequence(bus);
        g_autofree char *arguments = g_strdup_printf("-qj monitor --since=%" G_GUINT64_FORMAT, seq);

        run_once(bus, role);
        pid_t pid = follow(fifo, arguments);
        expect_event(fifo, ++seq, "RoleStarted", role);
        expect_event(fifo, ++seq, "RoleExited", role);
        run_once(bus, role);
        expect_event(fifo, ++seq, "RoleStarted", role);
        expect_event(fifo, ++seq, "RoleExited", role);

        /* The role ends while there is no service. */
        start(bus, role, NULL, actor(), "pause", NULL);
        expect_event(fifo, ++seq, "RoleStarted", role);
        pid_t main_pid = role_pid(bus, role);
        g_free(run_ok("systemctl", "kill", "--signal=STOP", NODE_UNIT, NULL));
        assert_return_code(kill(main_pid, SIGKILL), errno);
        node_crash(bus);
        expect_event(fifo, ++seq, "RoleExited", role);
        node_restart(bus);
        run_once(bus, role);
        expect_event(fifo, ++seq, "RoleStarted", role);
        expect_event(fifo, ++seq, "RoleExited", role);
        end(pid, SIGTERM);
        assert_false(fifo_has_line(fifo));
}

/* Reads up to a line that contains this. The events have the numbers after seq; returns the last one. */
static guint64 read_up_to(Fifo *fifo, guint64 seq, const char *text) {
        for (;;) {
                g_autofree char *line = fifo_line(fifo);

                if (line[0] == '{')
                        assert_int_equal(g_ascii_strtoull(line + strlen("{\"seq\":"), NULL, 10), ++seq);
                if (strstr(line, text))
                        return seq;
        }
}

/* Without --since it begins now; the end of the service is told, and does not start it again. */
static void test_now(void **state) {
        Bus *bus = *state;
        const char *role = role_name("cam");
        g_autoptr(Fifo) fifo = fifo_new("fifo");

        run_once(bus, role);
        const guint64 before = event_sequence(bus);
        pid_t pid = follow(fifo, "--json=short monitor");
        WAIT_UNTIL((run_once(bus, role), fifo_has_line(fifo)));
        g_autofree char *line = fifo_line(fifo);
        guint64 seq = g_ascii_strtoull(line + strlen("{\"seq\":"), NULL, 10);
        assert_true(seq > before);
        systemctl("enable", NODE_UNIT); /* a call would start it */
        systemctl("stop", NODE_UNIT);
        seq = read_up_to(fifo, seq, "The service has ended.");
        assert_false(node_has_name(bus));
        systemctl("disable", NODE_UNIT);
        systemctl("start", NODE_UNIT);
        node_wait_name(bus, true);
        run_once(bus, role_name("dome"));
        seq = read_up_to(fifo, seq, "\"signal\":\"RoleExited\",\"role\":\"ctl-watch.dome\"");
        assert_int_equal(seq, event_sequence(bus));
        end(pid, SIGINT);
}

/* The log of the events is gone, but not their numbers. */
static void test_lost(void **state) {
        Bus *bus = *state;
        const guint64 seq = event_sequence(bus);
        g_autofree char *since = since_option(seq);

        run_once(bus, role_name("cam"));
        g_autofree char *expected = g_strdup_printf(
                "the events %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT " are lost", seq + 1, seq + 2);
        g_free(run_ok("systemctl", "kill", "--signal=STOP", NODE_UNIT, NULL));
        g_free(run_ok("find", "/run/architect-node/main/event-log", "-type", "f", "-delete", NULL));
        node_crash(bus);
        run_once(bus, role_name("dome"));
        g_auto(CtlRun) monitor = CTL("monitor", since, "-n", "1");
        assert_int_equal(monitor.status, 0);
        assert_contains(monitor.out, "RoleStarted     ctl-watch.dome");
        assert_contains(monitor.err, expected);
}

static void test_on_terminal(void **state) {
        Bus *bus = *state;
        g_autofree char *since = since_option(event_sequence(bus));

        g_auto(CtlTerminal) t = CTL_ON_TERMINAL("monitor", since);
        run_once(bus, role_name("cam"));
        screen_expect(t.screen, "RoleStarted     ctl-watch.cam");
        screen_expect(t.screen, "exit 7, cause self");
        screen_type(t.screen, "\003");
        assert_int_equal(ctl_terminal_wait(&t), 0);
}

static void test_monitor_errors(void **state) {
        Bus *bus = *state;
        run_once(bus, role_name("cam"));
        g_autofree char *epoch = CTL_ERR(2, "monitor", "--epoch=1"),
                        *text = CTL_ERR(2, "monitor", "--since=x"), *none = CTL_ERR(2, "monitor", "-n", "0"),
                        *lost = CTL_ERR(
                                0, "monitor", "--since=1", "--epoch=0123456789abcdef0123456789abcdef", "-n1");
        g_autofree char *future = since_option(event_sequence(bus) + 1), *err = CTL_ERR(2, "monitor", future);

        assert_contains(epoch, "give both");
        assert_contains(text, "--since=x is not the number of an event");
        assert_contains(none, "-n 0 is not a number of events");
        assert_contains(lost, "the service has lost its state: events after 1 may be lost");
        assert_contains(err, "has not happened");
}

/* -- logs -- */

static void sync_journal(Bus *bus) {
        node_sync(bus);
        g_free(run_ok("journalctl", "--sync", NULL));
}

/* The journal looks for the unit of a process, which must live until it has. */
static bool was_said(const char *since, const char *field, const char *text) {
        g_autofree char *said = journal(since, field, NULL);

        return strstr(said, text);
}

static void test_logs(void **state) {
        Bus *bus = *state;
        const char *cam = role_name("cam"), *dome = role_name("dome"), *console = role_name("console");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        g_autofree char *now = journal_from_now(), *forged = NULL, *go = NULL, *at_end = NULL;

        go = g_strdup_printf("echo >%s", fifo_path(fifo));
        at_end = g_strdup_printf("echo at the end; read -r line <%s", fifo_path(fifo));
        start(bus, cam, NULL, "sh", "-c", "echo cam writes; read -r line", NULL);
        start(bus, dome, NULL, "sh", "-c", "echo dome writes >&2; read -r line; exit 3", NULL);
        start(bus, console, OPTIONS("{'stdin': <'pty'>, 'exec-stop-post': <[['sh', '-c', %s]]>}", at_end),
                "sh", "-c", "printf '\\033[1mbold\\n'; read -r line", NULL);
        WAIT_UNTIL(was_said(now, "_SYSTEMD_UNIT=architect-main-ctl-watch.cam.scope", "cam writes"));
        WAIT_UNTIL(was_said(now, "_SYSTEMD_UNIT=architect-main-ctl-watch.dome.scope", "dome writes"));
        close_input(bus, cam);
        close_input(bus, dome);
        kill_role(bus, console);
        wait_exited(bus, cam);
        wait_exited(bus, dome);
        wait_exited(bus, console);
        WAIT_UNTIL(was_said(now, "_SYSTEMD_UNIT=architect-main-_post-ctl-watch.console.scope", "at the end"));
        g_free(run_ok("sh", "-c", go, NULL));
        /* Every user can write these, and they are no messages of the service or of the role. */
        forged = g_strdup_printf("printf 'MESSAGE=forged\\nARCHITECT_ROLE=%s\\nARCHITECT_INSTANCE=main\\n' |"
                                 " logger --journald; echo forged | systemd-cat -t %s",
                cam, cam);
        assert_int_equal(run_as("alice", NULL, NULL, "sh", "-c", forged, NULL), 0);
        sync_journal(bus);
        g_autofree char *seen = journal(now, "-t", cam, NULL);
        assert_contains(seen, "forged");

        g_autofree char *one = CTL_OUT(0, "logs", now, "-o", "cat", cam),
                        *two = CTL_OUT(0, "logs", now, "--output=cat", cam, dome),
                        *last = CTL_OUT(0, "logs", now, "-o", "cat", "-n", "1", dome),
                        *all = CTL_OUT(0, "logs", now, "-o", "cat"),
                        *json = CTL_OUT(0, "-j", "logs", now, dome),
                        *terminal = CTL_OUT(0, "logs", now, console),
                        *none = CTL_OUT(0, "logs", "-q", "--since=tomorrow", cam);
        assert_contains(one, "cam writes\n");
        assert_contains(one, "ctl-watch.cam: Started (main PID");
        assert_contains(one, "ctl-watch.cam: Main process exited, code=exited, status=1");
        assert_contains_not(one, "dome");
        assert_contains_not(one, "forged");
        assert_contains(two, "cam writes\n");
        assert_contains(two, "dome writes\n");
        assert_contains(two, "ctl-watch.dome: Main process exited, code=exited, status=3");
        g_auto(GStrv) last_lines = g_strsplit(last, "\n", -1);
        assert_int_equal(g_strv_length(last_lines), 2);
        assert_contains(all, "cam writes\n");
        assert_contains(all, "dome writes\n");
        assert_contains(all, "ctl-watch.dome: Started (main PID");
        assert_contains_not(all, "forged");
        assert_true(g_str_has_prefix(json, "{\""));
        assert_contains(json, "\"MESSAGE\":\"dome writes\"");
        assert_contains(terminal, "bold");
        assert_contains(terminal, "at the end");
        assert_contains_not(terminal, "blob data");
        assert_string_equal(none, "");
}

static void test_follow(void **state) {
        Bus *bus = *state;
        const char *role = role_name("follow");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        g_autofree char *now = journal_from_now(),
                        *arguments = g_strdup_printf("logs -f -o cat %s %s", now, role);
        int status;

        start(bus, role, NULL, "sh", "-c", "while read -r line; do echo \"got $line\"; done", NULL);
        pid_t pid = follow(fifo, arguments);
        g_autofree char *started = fifo_line(fifo);
        assert_contains(started, "Started (main PID");
        send_input(bus, role, "one");
        fifo_expect(fifo, "got one");
        send_input(bus, role, "two");
        fifo_expect(fifo, "got two");
        assert_return_code(kill(pid, SIGTERM), errno);
        assert_int_equal(waitpid(pid, &status, 0), pid);

        g_auto(CtlTerminal) t = CTL_ON_TERMINAL("--no-pager", "logs", "-n2", "-o", "cat", role);
        screen_expect(t.screen, "got one\r\ngot two");
        assert_int_equal(ctl_terminal_wait(&t), 0);
}

static void test_logs_errors(void **state) {
        Bus *bus = *state;

        start(bus, role_name("camera"), NULL, actor(), "pause", NULL);
        g_autofree char *near = CTL_ERR(0, "logs", "ctl-watch.camrea"), *pattern = CTL_ERR(2, "logs", "cam*"),
                        *host = CTL_ERR(1, "-H", "hill.invalid", "logs", "cam"),
                        *lines = CTL_ERR(2, "logs", "-n", "x"),
                        *both = CTL_ERR(2, "--user", "-M", "box", "logs");
        assert_contains(
                near, "There is no role \"ctl-watch.camrea\" now. Did you mean \"ctl-watch.camera\"?");
        assert_contains(pattern, "\"cam*\" is not the name of a role");
        assert_contains(host, "cannot connect to the system bus of hill.invalid: ");
        assert_contains(lines, "-n x is not a number of lines");
        assert_contains(both, "--user and --machine=");

        /* It is not started only to be asked, as a call would. */
        systemctl("enable", NODE_UNIT);
        systemctl("stop", NODE_UNIT);
        g_autofree char *out = CTL_OUT(0, "logs", "-o", "cat", "-n", "20", role_name("camera"));
        assert_contains(out, "ctl-watch.camera: Main process exited");
        assert_false(node_has_name(bus));
        systemctl("disable", NODE_UNIT);
        systemctl("start", NODE_UNIT);
        node_wait_name(bus, true);
}

/* A service of a user, whose units have other fields. */
static void test_logs_of_user(void **state) {
        g_autofree char *xdg = NULL, *out = NULL, *all = NULL, *uid = run_ok("id", "-u", "alice", NULL),
                        *now = journal_from_now();
        const char *role = role_name("mine");

        xdg = g_strdup_printf("XDG_RUNTIME_DIR=/run/user/%s", g_strchomp(uid));
        assert_int_equal(
                run_as("alice", NULL, NULL, "env", xdg, "systemctl", "--user", "start", NODE_UNIT, NULL), 0);
        {
                g_autoptr(Bus) user = bus_new_session("alice");

                node_wait_name(user, true);
                start(user, role, NULL, "sh", "-c", "echo mine writes; read -r line", NULL);
                WAIT_UNTIL(was_said(
                        now, "_SYSTEMD_USER_UNIT=architect-main-ctl-watch.mine.scope", "mine writes"));
                stop(user, role);
                sync_journal(user);
        }
        assert_int_equal(run_as("alice", &out, NULL, "env", xdg, "architectctl", "--user", "logs", "-o",
                                 "cat", role, NULL),
                0);
        assert_int_equal(
                run_as("alice", &all, NULL, "env", xdg, "architectctl", "--user", "logs", "-o", "cat", NULL),
                0);
        assert_contains(out, "mine writes\n");
        assert_contains(out, "ctl-watch.mine: Started (main PID");
        assert_contains(all, "mine writes\n");
        assert_int_equal(
                run_as("alice", NULL, NULL, "env", xdg, "systemctl", "--user", "stop", NODE_UNIT, NULL), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_since),
                TEST(test_pages),
                TEST(test_restarts),
                TEST(test_now),
                TEST(test_lost),
                TEST(test_on_terminal),
                TEST(test_monitor_errors),
                TEST(test_logs),
                TEST(test_follow),
                TEST(test_logs_errors),
                TEST(test_logs_of_user),
        };
        return run_case("ctl-watch", tests);
}
