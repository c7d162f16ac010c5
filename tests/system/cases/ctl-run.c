/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * architectctl run, a job as if it were local: what it reads and writes, its status, Ctrl-C, on a pipe and on
 * a terminal; and wait and send. */

#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "ctl.h"
#include "keeper.h"
#include "polkit.h"
#include "testlib.h"

/* Runs a line of the shell, which must end with this status. Returns what it has printed. */
static char *shell(int status, const char *line) {
        g_auto(CtlRun) run = ctl_run((const char *const[]){ "sh", "-c", line, NULL });

        if (run.status != status)
                fail_msg("%s: status %d, not %d\n%s%s", line, run.status, status, run.out, run.err);
        return g_steal_pointer(&run.out);
}

static void assert_nothing_left(Bus *bus) {
        g_autoptr(GVariant) reply = node_call(bus, "ListRoles", NULL), roles = NULL;
        g_autofree char *fifos = NULL;

        roles = g_variant_get_child_value(reply, 0);
        assert_int_equal(g_variant_n_children(roles), 0);
        fifos = shell(0, "ls -d /tmp/architectctl-* 2>/dev/null || :");
        assert_string_equal(fifos, "");
}

/* -- a pipe -- */

static void test_pipe(void **state) {
        Bus *bus = *state;
        const char *in = scratch("in"), *out = scratch("out");
        g_autofree char
                *hello = shell(0, "printf 'a\\nb' | architectctl run --wait -- tr a-z A-Z"),
                *errors = CTL_OUT(0, "run", "--pipe", "--", "sh", "-c", "echo to stderr >&2"),
                *none = CTL_OUT(0, "run", "-P", "cat", "/dev/null"),
                *line = g_strdup_printf(
                        "head -c 3000000 /dev/urandom >%s; architectctl run -P -- cat <%s >%s && cmp %s %s &&"
                        " cat %s | architectctl run -P -- cat | cat >%s && cmp %s %s",
                        in, in, out, in, out, in, out, in, out);

        assert_string_equal(hello, "A\nB");
        assert_string_equal(errors, "to stderr\n");
        assert_string_equal(none, "");
        g_free(shell(0, line));
        assert_nothing_left(bus);
}

static void test_status(void **state) {
        Bus *bus = *state;
        g_autofree char *missing = NULL, *usage = NULL, *exists = NULL, *two = NULL, *remote = NULL;

        g_free(CTL_OUT(3, "run", "--wait", "--", "sh", "-c", "exit 3"));
        g_free(CTL_OUT(128 + SIGKILL, "run", "--wait", "--", "sh", "-c", "kill -9 $$"));
        /* Each type waits for the end here. */
        g_free(CTL_OUT(4, "run", "--wait", "--service-type=oneshot", "--", "sh", "-c", "exit 4"));
        g_free(CTL_OUT(0, "run", "--wait", "--service-type=oneshot", "--", "true"));
        g_free(CTL_OUT(5, "run", "--wait", "--service-type=notify", "--", "sh", "-c", "exit 5"));
        missing = CTL_ERR(125, "run", "--wait", "--", "/nonexistent");
        assert_contains(missing, "/nonexistent");
        usage = CTL_ERR(125, "run", "--wait");
        remote = CTL_ERR(125, "-H", "other", "run", "-t", "--", "true");
        assert_contains(remote, "ssh -t other architectctl run -t");
        assert_contains(usage, "run needs COMMAND");
        two = CTL_ERR(125, "run", "a", "b", "--", "true");
        assert_contains(two, "\"b\" is one too many");
        assert_nothing_left(bus);
        start(bus, role_name("taken"), NULL, actor(), "pause", NULL);
        exists = CTL_ERR(125, "run", "--wait", role_name("taken"), "--", "true");
        assert_contains(exists, role_name("taken"));
}

static void test_options(void **state) {
        Bus *bus = *state;
        const char *path = scratch("log"), *gate = scratch("gate"), *never = scratch("never");
        g_autofree char *user = CTL_OUT(0, "run", "--wait", "--uid=alice", "--", "id", "-un"),
                        *output = g_strconcat("StandardOutput=file:", path, NULL), *written = NULL,
                        *again = CTL_OUT(3, "run", "--wait", "-p", "Restart=on-failure", "-p",
                                "RestartSec=10ms", "-p", "StartLimitBurst=3", "--", "sh", "-c",
                                "echo again; exit 3"),
                        *before = CTL_OUT(0, "run", "-P", "-p", "ExecStartPre=echo before", "-p",
                                "ExecStopPost=echo after", "--", "echo", "now"),
                        *kept = NULL, *here = NULL;

        assert_string_equal(user, "alice\n");
        assert_string_equal(again, "again\nagain\nagain\n");
        assert_string_equal(before, "before\nnow\nafter\n");
        g_free(CTL_OUT(0, "run", "--wait", "-p", output, "--", "echo", "there"));
        written = read_file(path);
        assert_string_equal(written, "there");
        here = shell(0, "cd /usr/lib && architectctl run -P -d -- pwd");
        assert_string_equal(here, "/usr/lib\n");
        assert_nothing_left(bus);

        /* What the main process leaves may still write before it is swept. */
        assert_return_code(mkfifo(gate, 0600), errno);
        assert_return_code(mkfifo(never, 0600), errno);
        kept = CTL_OUT(6, "run", "-P", role_name("kept"), "-p", "Remove=no", "--", "sh", "-c",
                "(trap 'echo child; exit' TERM; echo >$0; read x <>$1) & read x <$0; exit 6", gate, never);
        assert_string_equal(kept, "child\n");
        assert_state(bus, role_name("kept"), "ended");
        purge(bus, role_name("kept"));
}

/* As in a pipeline of local programs. */
static void test_reader_ends(void **state) {
        Bus *bus = *state;
        g_autofree char *head = shell(0, "architectctl run -P -- yes | head -n 1");

        assert_string_equal(head, "y\n");
        /* What cannot be written is a failure of its own, and ends the role. */
        g_free(shell(125, "architectctl run -P -- yes >/dev/full"));
        g_free(shell(125, "architectctl run -t -- yes </dev/null >/dev/full"));
        WAIT_UNTIL(count_roles(bus, "yes", "running") == 0);
        assert_nothing_left(bus);
}

static void test_background(void **state) {
        Bus *bus = *state;
        g_autofree char *err = CTL_ERR(0, "run", role_name("back"), "--", actor(), "pause"),
                        *made = CTL_ERR(0, "run", "--", actor(), "pause"),
                        *quiet = CTL_ERR(0, "run", "-q", "sleep", "infinity");

        assert_string_equal(err, "Running as role ctl-run.back.\n");
        assert_state(bus, role_name("back"), "running");
        assert_true(g_str_has_prefix(made, "Running as role actor-"));
        assert_string_equal(quiet, "");
        assert_int_equal(count_roles(bus, "sleep-", "running"), 1);
        g_free(CTL_OUT(0, "kill", "--all"));
        g_variant_unref(node_call(bus, "Purge", g_variant_new_parsed("(@as [],)")));
}

static void test_interrupt(void **state) {
        Bus *bus = *state;

        g_auto(CtlTerminal) t = CTL_ON_TERMINAL("run", "--pipe", role_name("a"), "--", actor(), "exit-on",
                "TERM", "7", "print", "ready\n", "pause");
        screen_expect(t.screen, "ready");
        screen_type(t.screen, "\003");
        assert_int_equal(ctl_terminal_wait(&t), 7);
        g_auto(CtlTerminal) k = CTL_ON_TERMINAL("run", "--pipe", role_name("b"), "--", actor(), "ignore",
                "TERM", "print", "ready\n", "pause");
        screen_expect(k.screen, "ready");
        screen_type(k.screen, "\003");
        screen_expect(k.screen, "Ctrl-C again kills it");
        screen_type(k.screen, "\003");
        assert_int_equal(ctl_terminal_wait(&k), 128 + SIGKILL);
        assert_nothing_left(bus);
}

/* A start that takes long is cancelled. */
static void test_interrupt_start(void **state) {
        Bus *bus = *state;
        g_autoptr(Hold) hold = hold_new();
        g_auto(CtlTerminal) t =
                CTL_ON_TERMINAL("run", "--pipe", role_name("held"), "--", hold_program(hold), "pause");

        (void) held_child(bus, role_name("held"));
        screen_type(t.screen, "\003");
        assert_int_equal(ctl_terminal_wait(&t), 128 + SIGINT);
        assert_nothing_left(bus);
}

/* -- a terminal -- */

static void test_pty(void **state) {
        Bus *bus = *state;

        g_auto(CtlTerminal) t = CTL_ON_TERMINAL("run", "--wait", "--", "sh", "-c",
                "test -t 0 && test -t 1 && stty size && echo $TERM && read x && echo got $x; exit 4");
        screen_expect(t.screen, "24 80");
        screen_expect(t.screen, "xterm");
        screen_type(t.screen, "word\r");
        screen_expect(t.screen, "got word");
        assert_int_equal(ctl_terminal_wait(&t), 4);
        /* A command may end before its terminal is open. */
        for (int i = 0; i < 10; i++) {
                g_auto(CtlTerminal) quick = CTL_ON_TERMINAL("run", "-t", "--", "echo", "quick");

                screen_expect(quick.screen, "quick");
                assert_int_equal(ctl_terminal_wait(&quick), 0);
        }
        /* All of it is shown, also what came before the terminal was open. */
        g_auto(CtlTerminal) all = CTL_ON_TERMINAL("run", "-t", "--", "seq", "8000");
        assert_int_equal(ctl_terminal_wait(&all), 0);
        for (int i = 1; i <= 8000; i++) {
                g_autofree char *number = g_strdup_printf("%d\r\n", i);

                screen_expect(all.screen, number);
        }
        assert_nothing_left(bus);
}

static void test_pty_ends(void **state) {
        Bus *bus = *state;
        const char *role = role_name("window");

        /* Ctrl-C is a key there. */
        g_auto(CtlTerminal) c =
                CTL_ON_TERMINAL("run", "-t", role, "--", actor(), "print", "ready\n", "pause");
        screen_expect(c.screen, "ready");
        screen_type(c.screen, "\003");
        assert_int_equal(ctl_terminal_wait(&c), 128 + SIGINT);

        g_auto(CtlTerminal) t =
                CTL_ON_TERMINAL("run", "-t", role, "--", actor(), "print", "ready\n", "pause");
        screen_expect(t.screen, "ready");
        screen_type(t.screen, "\035");
        screen_expect(t.screen, "Detached from role ctl-run.window, which runs on.");
        assert_int_equal(ctl_terminal_wait(&t), 0);
        assert_state(bus, role, "running");
        g_free(CTL_OUT(0, "stop", role));

        g_auto(CtlTerminal) w =
                CTL_ON_TERMINAL("run", "-t", role, "--", actor(), "print", "ready\n", "pause");
        screen_expect(w.screen, "ready");
        assert_return_code(kill(w.pid, SIGHUP), errno);
        assert_int_equal(ctl_terminal_wait(&w), 128 + SIGTERM);
        assert_nothing_left(bus);
}

/* -- what may happen -- */

static int wait_for(pid_t pid) {
        int status;

        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void test_service_restarts(void **state) {
        Bus *bus = *state;
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        g_autofree char *line =
                g_strdup_printf("architectctl run --wait %s -- %s say %s ready exit-on USR1 9 pause",
                        role_name("long"), actor(), fifo_path(fifo));
        pid_t pid = spawn("sh", "-c", line, NULL);

        (void) fifo_expect_pid(fifo, "ready");
        systemctl("restart", NODE_UNIT);
        node_wait_name(bus, true);
        send_signal(bus, role_name("long"), "main", SIGUSR1);
        assert_int_equal(wait_for(pid), 9);
        assert_nothing_left(bus);
}

/* -- wait -- */

static void test_wait(void **state) {
        Bus *bus = *state;
        const char *three = role_name("three"), *zero = role_name("zero"), *late = role_name("late");
        g_autofree char *none = NULL, *until = NULL;

        start(bus, three, NULL, "sh", "-c", "exit 3", NULL);
        start(bus, zero, NULL, "true", NULL);
        expect_exited(bus, three, "exited", 3, "self");
        expect_exited(bus, zero, "exited", 0, "self");
        g_free(CTL_OUT(3, "wait", three));
        g_free(CTL_OUT(0, "wait", zero));
        g_free(CTL_OUT(3, "wait", zero, three));

        start(bus, late, NULL, actor(), "exit-on", "USR1", "9", "pause", NULL);
        pid_t pid = spawn("architectctl", "wait", zero, late, NULL);
        WAIT_UNTIL(process_in_syscall(pid, SYS_ppoll));
        send_signal(bus, late, "main", SIGUSR1);
        assert_int_equal(wait_for(pid), 9);

        none = CTL_ERR(125, "wait", "ctl-run.thre");
        assert_contains(none, "Did you mean \"ctl-run.three\"?");
        until = CTL_ERR(125, "wait", "--until=dead", three);
        assert_contains(until, "there are ended, ready and running");
}

static void test_wait_until(void **state) {
        Bus *bus = *state;
        const char *ready = role_name("ready"), *never = role_name("never");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        g_autofree char *ended = NULL;

        guint32 start_ready = node_send(bus, "Start",
                start_args(ready, OPTIONS("{'type': <'notify'>}"), "sh", "-c",
                        "echo up >$0; read x; systemd-notify --ready; read x", fifo_path(fifo), NULL));
        fifo_expect(fifo, "up");
        g_free(CTL_OUT(0, "wait", "--until=running", ready));
        pid_t pid = spawn("architectctl", "wait", "--until=ready", ready, NULL);
        WAIT_UNTIL(process_in_syscall(pid, SYS_ppoll));
        send_input(bus, ready, "go");
        assert_int_equal(wait_for(pid), 0);
        g_variant_unref(bus_result(bus, start_ready));

        start_fails(bus, start_args(never, OPTIONS("{'type': <'notify'>}"), "sh", "-c", "exit 6", NULL),
                "StartFailed", NULL);
        ended = CTL_ERR(6, "wait", "--until=ready", never);
        assert_contains(ended, "\"ctl-run.never\" has ended before it was ready");
}

/* Its parent has died, so that nobody may know its status. */
static void test_lost(void **state) {
        Bus *bus = *state;
        const char *role = role_name("lost");
        g_autofree char *code = NULL;

        start(bus, role, NULL, actor(), "exit-on", "USR1", "9", "pause", NULL);
        pid_t pid = spawn("architectctl", "wait", role, NULL);
        WAIT_UNTIL(process_in_syscall(pid, SYS_ppoll));
        keeper_crash_and_wait(bus);
        send_signal(bus, role, "all", SIGUSR1);
        int status = wait_for(pid);
        code = role_get_string(bus, role, "ExitCode");
        assert_int_equal(status, g_str_equal(code, "lost") ? 124 : 9);
        assert_int_equal(CTL("wait", role).status, status);
}

/* -- send -- */

static void test_send(void **state) {
        Bus *bus = *state;
        const char *role = role_name("cat"), *path = scratch("out");
        g_autofree char *output = g_strconcat("file:", path, NULL), *text = NULL, *closed = NULL,
                        *line = NULL;

        start(bus, role, OPTIONS("{'output': <%s>}", output), "cat", NULL);
        g_free(CTL_OUT(0, "send", role, "take", "10", "frames"));
        g_free(CTL_OUT(0, "send", role, ""));
        line = g_strdup_printf("printf 'no newline' | architectctl send %s --close", role);
        g_free(shell(0, line));
        expect_exited(bus, role, "exited", 0, "self");
        text = read_file(path);
        assert_string_equal(text, "take 10 frames\n\nno newline");
        closed = CTL_ERR(3, "send", role, "more");
        assert_contains(closed, "not running");
}

/* What the role does not read yet may fill the queue of the service. Then send waits. */
static void test_send_full(void **state) {
        Bus *bus = *state;
        const char *role = role_name("slow"), *path = scratch("out"), *gate = scratch("gate");
        g_autofree char *output = g_strconcat("file:", path, NULL), *size = NULL,
                        *data = g_malloc0(4 * 1024 * 1024 + 1), *refused = NULL;
        gsize n;

        assert_return_code(mkfifo(gate, 0600), errno);
        start(bus, role, OPTIONS("{'output': <%s>}", output), "sh", "-c", "read x <$0; cat", gate, NULL);
        memset(data, 'x', 4 * 1024 * 1024);
        guint32 full = send_write_input(bus, role, data, 4 * 1024 * 1024);
        node_sync(bus);
        pid_t pid = spawn("architectctl", "send", "--close", role, "last", NULL);
        WAIT_UNTIL(process_in_syscall(pid, SYS_epoll_wait));
        g_free(run_ok("sh", "-c", "echo go >$0", gate, NULL));
        assert_int_equal(wait_for(pid), 0);
        g_variant_unref(bus_result(bus, full));
        expect_exited(bus, role, "exited", 0, "self");
        assert_true(g_file_get_contents(path, &size, &n, NULL));
        assert_int_equal(n, 4 * 1024 * 1024 + 5);
        assert_string_equal(size + n - 5, "last\n");
        refused = CTL_ERR(4, "send", "ctl-run.slwo", "x");
        assert_contains(refused, "Did you mean");
}

/* -- another user -- */

static void test_user(void **state) {
        Bus *bus = *state;
        g_auto(CtlRun) no = CTL_AS("alice", "--no-ask-password", "run", "--wait", "--", "true");

        assert_int_equal(no.status, 125);
        assert_contains(no.err, "org.architect.node.start-role");
        answer("yes");
        g_auto(CtlRun) yes = CTL_AS("alice", "run", "--wait", "--", "id", "-un");
        assert_string_equal(yes.err, "");
        assert_string_equal(yes.out, "alice\n");
        assert_int_equal(yes.status, 0);
        /* The role of another user cannot open her pipe. */
        g_auto(CtlRun) other = CTL_AS("alice", "run", "-P", "--uid=bob", "--", "true");
        assert_int_equal(other.status, 125);
        assert_contains(other.err, "use --pty");
        assert_nothing_left(bus);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_pipe),
                TEST(test_status),
                TEST(test_options),
                TEST(test_reader_ends),
                TEST(test_background),
                TEST(test_interrupt),
                TEST(test_interrupt_start),
                TEST(test_pty),
                TEST(test_pty_ends),
                TEST(test_service_restarts),
                TEST(test_wait),
                TEST(test_wait_until),
                TEST(test_lost),
                TEST(test_send),
                TEST(test_send_full),
                POLKIT_TEST(test_user),
        };

        case_begin("ctl-run");
        return cmocka_run_group_tests_name("ctl-run", tests, polkit_group_setup, polkit_group_teardown);
}
