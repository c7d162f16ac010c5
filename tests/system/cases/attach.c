/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * architectctl attach, on a terminal of the test. It shows output and sends input, passes on the size of the
 * terminal, detaches at its key, restores its own terminal however it ends, and reports errors. */

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <utmp.h>
#include <unistd.h>

#include "testlib.h"

/* Replies to each line; to "size" with that of the terminal and an end marker, so that a reply is
 * complete. */
#define ANSWERS \
        "stty -echo; echo ready; " \
        "while read -r line; do [ \"$line\" != size ] || echo \"size $(stty size).\"; echo \"got $line\"; done"

/* architectctl with these arguments on a terminal of its own. */
typedef struct Attached {
        Screen *screen; /* on the master */
        /* Also open in the test, so that the settings can be read when architectctl has ended. */
        int slave;
        struct termios settings;
        pid_t pid;
} Attached;

static Attached attach_output(int fd, int output_fd, const char *const *args) {
        const struct winsize size = { .ws_row = 33, .ws_col = 99 };
        Attached a = {};
        int master;

        assert_int_equal(openpty(&master, &a.slave, NULL, NULL, &size), 0);
        assert_int_equal(tcgetattr(a.slave, &a.settings), 0);
        a.screen = screen_new(master);
        a.pid = fork();
        if (a.pid == 0) {
                if (login_tty(dup(a.slave)) == 0) {
                        if (fd >= 0)
                                (void) dup2(fd, 99);
                        if (output_fd >= 0)
                                (void) dup2(output_fd, STDOUT_FILENO);
                        (void) execvp("architectctl", (char *const *) args);
                }
                _exit(127);
        }
        return a;
}

static Attached attach_fd(int fd, const char *const *args) {
        return attach_output(fd, -1, args);
}

static Attached attach(const char *role) {
        const char *const args[] = { "architectctl", "attach", role, NULL };

        return attach_fd(-1, args);
}

static bool has_ended(pid_t pid) {
        siginfo_t info = {};

        assert_int_equal(waitid(P_PID, (id_t) pid, &info, WEXITED | WNOHANG | WNOWAIT), 0);
        return info.si_pid == pid;
}

/* architectctl must end with this status, and its terminal must be restored. */
static void expect_end(Attached *a, int status) {
        struct termios now;
        int wait_status;

        WAIT_UNTIL(has_ended(a->pid));
        assert_int_equal(waitpid(a->pid, &wait_status, 0), a->pid);
        assert_true(WIFEXITED(wait_status));
        assert_int_equal(WEXITSTATUS(wait_status), status);
        assert_int_equal(tcgetattr(a->slave, &now), 0);
        assert_int_equal(now.c_lflag, a->settings.c_lflag);
        assert_int_equal(now.c_iflag, a->settings.c_iflag);
        assert_int_equal(now.c_oflag, a->settings.c_oflag);
        assert_int_equal(close(a->slave), 0);
        g_clear_pointer(&a->screen, screen_free);
}

static void start_role(Bus *bus, const char *role) {
        g_autoptr(Screen) screen = NULL;

        start(bus, role, OPTIONS("{'stdin': <'pty'>}"), "bash", "-c", ANSWERS, NULL);
        screen = screen_open(bus, role, NULL);
        screen_expect(screen, "ready\r\n");
}

/* The size of the role's terminal follows soon, without an event. (terminal.c tests that the role gets its
 * SIGWINCH.) */
static void expect_size(Attached *a, const char *size) {
        const gint64 end = g_get_monotonic_time() + patience_usec();
        g_autofree char *expected = g_strdup_printf("size %s.\r\n", size);

        do {
                if (g_get_monotonic_time() > end)
                        fail_msg("the size is not %s", size);
                screen_type(a->screen, "size\n");
                screen_expect(a->screen, "got size\r\n");
        } while (!strstr(a->screen->text->str, expected));
}

static void test_attach(void **state) {
        Bus *bus = *state;
        const char *role = role_name("a");
        Attached a;

        start_role(bus, role);
        a = attach(role);
        screen_expect(a.screen, "Attached to role");
        screen_expect(a.screen, "ready\r\n"); /* what was there before */
        expect_size(&a, "33 99");
        screen_type(a.screen, "one\n");
        screen_expect(a.screen, "got one\r\n");
        send_input(bus, role, "from elsewhere");
        screen_expect(a.screen, "got from elsewhere\r\n");

        assert_int_equal(
                ioctl(a.screen->fd, TIOCSWINSZ, &(struct winsize){ .ws_row = 44, .ws_col = 111 }), 0);
        expect_size(&a, "44 111");

        /* Only the input before the key is sent. */
        screen_type(a.screen, "two\n\035three\n");
        screen_expect(a.screen, "Detached from role");
        expect_end(&a, 0);
        assert_poll(bus, role, "running");
        a = attach(role);
        screen_expect(a.screen, "got two\r\n");
        screen_type(a.screen, "four\n");
        screen_expect(a.screen, "got four\r\n");
        assert_null(strstr(a.screen->text->str, "three"));
        stop(bus, role);
        expect_exited(bus, role, "killed", SIGTERM, "stop");
        screen_expect(a.screen, "End of the terminal of role");
        expect_end(&a, 0);

        /* Ctrl-C is sent to the role. */
        start(bus, role, OPTIONS("{'stdin': <'pty'>}"), "sh", "-c", "echo ready; exec sleep 600", NULL);
        a = attach(role);
        screen_expect(a.screen, "ready\r\n");
        screen_type(a.screen, "\003");
        expect_exited(bus, role, "killed", SIGINT, NULL);
        screen_expect(a.screen, "End of the terminal of role");
        expect_end(&a, 0);
}

static void test_signals(void **state) {
        Bus *bus = *state;
        const char *role = role_name("b");
        const int signals[] = { SIGTERM, SIGHUP, SIGINT };

        start_role(bus, role);
        for (gsize i = 0; i < G_N_ELEMENTS(signals); i++) {
                Attached a = attach(role);

                screen_expect(a.screen, "ready\r\n");
                assert_int_equal(kill(a.pid, signals[i]), 0);
                expect_end(&a, 0);
        }
        assert_poll(bus, role, "running");
        stop(bus, role);
}

static bool takes_more(int fd) {
        struct pollfd p = { .fd = fd, .events = POLLOUT };

        return poll(&p, 1, 0) > 0;
}

/* If its output is not read, it still ends at a signal and at its key, restores its terminal, and does not
 * affect the role. */
static void test_stopped(void **state) {
        enum { FLOW_CONTROL, PIPE, SOCKET, WAYS };
        Bus *bus = *state;
        const char *role = role_name("f");
        const char *const args[] = { "architectctl", "attach", role, NULL };

        start(bus, role, OPTIONS("{'stdin': <'pty'>, 'output': <'null'>}"), "sh", "-c",
                "exec yes 0123456789012345678901234567890", NULL);
        for (int way = 0; way < WAYS; way++)
                for (int by_key = 0; by_key <= 1; by_key++) {
                        int ends[2] = { -1, -1 };
                        Attached a;

                        if (way == PIPE)
                                assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
                        if (way == SOCKET)
                                assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
                        a = attach_output(-1, ends[1], args);
                        screen_expect(a.screen, "Attached to role");
                        if (way == FLOW_CONTROL)
                                assert_int_equal(tcflow(a.slave, TCOOFF), 0);
                        WAIT_UNTIL(!takes_more(ends[1] >= 0 ? ends[1] : a.slave));
                        if (by_key)
                                screen_type(a.screen, "\035");
                        else
                                assert_int_equal(kill(a.pid, SIGTERM), 0);
                        expect_end(&a, 0);
                        if (ends[0] >= 0) {
                                /* The file that it shares with other processes still blocks. */
                                assert_int_equal(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0);
                                assert_int_equal(close(ends[0]), 0);
                                assert_int_equal(close(ends[1]), 0);
                        }
                }
        assert_poll(bus, role, "running");
        stop(bus, role);
}

static void test_options(void **state) {
        Bus *bus = *state;
        const char *role = role_name("c");
        const char *const other[] = { "architectctl", "attach", "--escape=^b", "--no-replay", role, NULL };
        const char *const none[] = { "architectctl", "attach", "--escape=none", role, NULL };
        Attached a;

        start_role(bus, role);
        a = attach_fd(-1, other);
        expect_size(&a, "33 99");
        assert_null(strstr(a.screen->text->str, "ready"));
        screen_type(a.screen, "\035x\n");
        screen_expect(a.screen, "got \035x\r\n");
        screen_type(a.screen, "\002");
        expect_end(&a, 0);

        a = attach_fd(-1, none);
        screen_expect(a.screen, "ready\r\n");
        screen_type(a.screen, "\002\035y\n");
        screen_expect(a.screen, "got \002\035y\r\n");
        stop(bus, role);
        expect_end(&a, 0);
}

/* An inherited descriptor, and the socket for the size. */
static void test_fd(void **state) {
        const char *const args[] = { "architectctl", "attach", "--fd=99", NULL };
        g_autoptr(Screen) role_end = NULL;
        int pair[2];
        Attached a;

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        a = attach_fd(pair[1], args);
        assert_int_equal(close(pair[1]), 0);
        role_end = screen_new(pair[0]);
        screen_type(role_end, "shown\r\n");
        screen_expect(a.screen, "shown\r\n");
        screen_type(a.screen, "typed");
        screen_expect(role_end, "typed");
        assert_int_equal(shutdown(pair[0], SHUT_RDWR), 0);
        expect_end(&a, 0);
}

/* Without a terminal the input is read from a pipe, and then the remaining output is read. */
static void test_pipe(void **state) {
        Bus *bus = *state;
        const char *role = role_name("d");
        g_autofree char *script = g_strdup_printf(
                                "printf 'one\\ntwo\\n' | architectctl attach %s | grep -m 2 '^got'", role),
                        *out = NULL;

        start(bus, role, OPTIONS("{'stdin': <'pty'>}"), "sh", "-c",
                "stty -echo; read -r a; read -r b; echo \"got $a\"; echo \"got $b\"; exit 3", NULL);
        out = run_ok("sh", "-c", script, NULL);
        assert_string_equal(out, "got one\r\ngot two\r\n");
        expect_exited(bus, role, "exited", 3, "self");
}

static void fails(int status, const char *text, const char *const *args) {
        g_autofree char *line = g_strjoinv(" ", (char **) args), *error = NULL;

        assert_int_equal(run(NULL, &error, "sh", "-c", line, NULL), status);
        assert_contains(error, text);
        assert_true(g_str_has_prefix(error, "architectctl: "));
}
#define FAILS(status, text, ...) \
        fails(status, (text), (const char *const[]){ "architectctl", __VA_ARGS__, NULL })

static void test_errors(void **state) {
        Bus *bus = *state;
        const char *role = role_name("e");
        g_autofree char *out = NULL;

        start(bus, role, NULL, actor(), "pause", NULL);
        FAILS(1, "without a terminal", "attach", role);
        FAILS(4, "nobody", "attach", "nobody");
        FAILS(2, "a role or --fd=", "attach");
        FAILS(2, "a role or --fd=", "attach", "a", "b");
        FAILS(2, "is not the descriptor of a socket", "attach", "--fd=0", "</dev/null");
        FAILS(2, "is not the descriptor of a socket", "attach", "--fd=77");
        FAILS(2, "the key of --escape= is \"ab\"", "attach", "--escape=ab", role);
        FAILS(2, "no verb \"detach\"; did you mean \"attach\"?", "detach", role);
        FAILS(2, "\"a-b\" is not a valid instance name", "--instance=a-b", "attach", role);
        FAILS(1, "org.architect.Node.other", "--instance=other", "attach", role);
        FAILS(1, "cannot connect to the session bus", "--user", "attach", role);
        out = run_ok("architectctl", "--help", NULL);
        assert_contains(out, "attach ROLE");
        stop(bus, role);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_attach),
                TEST(test_signals),
                TEST(test_stopped),
                TEST(test_options),
                TEST(test_fd),
                TEST(test_pipe),
                TEST(test_errors),
        };

        return run_case("attach", tests);
}
