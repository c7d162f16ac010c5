/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * The service is started by hand, from a terminal or with a pipe. If the terminal or the reader goes away or
 * does not read, the service continues. It notifies the process that has started it: when it is ready, when
 * it reads its configuration again (SIGUSR1), and about the result. */

#include <fcntl.h>
#include <glib/gstdio.h>
#include <inttypes.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "testlib.h"

#define INSTANCE "byhand"
#define PROGRAMS "/usr/libexec/architect-node/"
#define FILE_NAME "/etc/architect-node/" INSTANCE ".conf"

static pid_t node, keeper;

/* Starts a process with this descriptor as its standard streams, and as the leader of a session if it is a
 * terminal. */
static pid_t spawn_on(int fd, bool leader, const char *const *argv) {
        pid_t pid = fork();

        if (pid == 0) {
                /* GDBus ignores it in this process, and that would be inherited. */
                (void) signal(SIGPIPE, SIG_DFL);
                if (setsid() < 0 || (leader && ioctl(fd, TIOCSCTTY, 0) < 0) || dup2(fd, 0) < 0 ||
                        dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
                        _exit(126);
                (void) execv(argv[0], (char **) argv);
                _exit(127);
        }
        assert_true(pid > 0);
        return pid;
}

static Bus *begin(int fd, bool terminal) {
        static const char *const node_command[] = { PROGRAMS "architect-node", "--instance=" INSTANCE,
                "--debug", NULL };
        static const char *const keeper_command[] = { PROGRAMS "architect-keeper", "--instance=" INSTANCE,
                "--socket=/run/architect-keeper/" INSTANCE, NULL };
        Bus *bus;

        keeper = spawn_on(fd, false, keeper_command);
        bus = bus_new_instance(INSTANCE);
        node = spawn_on(fd, terminal, node_command);
        node_wait_name(bus, true);
        return bus;
}

static void expect_end(pid_t *pid, int signo) {
        int status;
        pid_t p = *pid;

        *pid = 0;
        assert_int_equal(kill(p, signo), 0);
        assert_int_equal(waitpid(p, &status, 0), p);
        if (signo == SIGKILL)
                return;
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
}

/* Ctrl-C or SIGTERM. A service that was started by hand is not restarted, so the roles stop, too. */
static void end(Bus *bus, int signo) {
        expect_end(&node, signo);
        node_wait_name(bus, false);
        WAIT_UNTIL(count_units(bus, "architect-" INSTANCE "-*.scope") == 0);
        expect_end(&keeper, SIGKILL);
        bus_free(bus);
}

static int teardown(void **state) {
        if (node > 0)
                expect_end(&node, SIGKILL);
        if (keeper > 0)
                expect_end(&keeper, SIGKILL);
        (void) g_unlink(FILE_NAME);
        return case_teardown(state);
}

static bool leads_to_null(int fd) {
        g_autofree char *path = g_strdup_printf("/proc/%d/fd/%d", (int) node, fd);
        g_autofree char *target = g_file_read_link(path, NULL);
        return g_strcmp0(target, "/dev/null") == 0;
}

static void carries_on(Bus *bus, const char *role, pid_t pid) {
        const char *next = role_name("next");

        /* Each state of a role is a line of the log. */
        start(bus, next, NULL, actor(), "exit", "4", NULL);
        expect_exited(bus, next, "exited", 4, "self");
        WAIT_UNTIL(leads_to_null(STDOUT_FILENO) && leads_to_null(STDERR_FILENO));
        start(bus, next, NULL, actor(), "pause", NULL);
        stop(bus, next);
        assert_int_equal(role_pid(bus, role), pid);
        assert_poll(bus, role, "running");
        assert_int_equal(waitpid(node, NULL, WNOHANG), 0);
        assert_int_equal(waitpid(keeper, NULL, WNOHANG), 0);
}

static void test_terminal(void **state) {
        const char *role = role_name("runs");
        int master, slave;
        Bus *bus;

        assert_return_code(openpty(&master, &slave, NULL, NULL, NULL), errno);
        assert_return_code(fcntl(master, F_SETFD, FD_CLOEXEC), errno);
        bus = begin(slave, true);
        (void) close(slave);
        start(bus, role, NULL, actor(), "pause", NULL);
        pid_t pid = role_pid(bus, role);
        assert_false(leads_to_null(STDERR_FILENO));

        (void) close(master); /* SIGHUP to the leader of its session, and EIO for writes */
        WAIT_UNTIL(leads_to_null(STDERR_FILENO));
        carries_on(bus, role, pid);
        end(bus, SIGTERM);
}

static void test_pipe(void **state) {
        const char *role = role_name("runs");
        int fds[2];
        Bus *bus;

        assert_return_code(pipe2(fds, O_CLOEXEC), errno);
        bus = begin(fds[1], false);
        (void) close(fds[1]);
        start(bus, role, NULL, actor(), "pause", NULL);
        pid_t pid = role_pid(bus, role);
        assert_false(leads_to_null(STDERR_FILENO));

        (void) close(fds[0]); /* SIGPIPE and EPIPE for writes */
        carries_on(bus, role, pid);
        end(bus, SIGINT);
}

/* Reads until this text has arrived. */
static void expect_text(int fd, const char *text) {
        g_autoptr(GString) s = g_string_new(NULL);
        gint64 end = g_get_monotonic_time() + patience_usec();
        char buffer[4096];

        while (!strstr(s->str, text)) {
                struct pollfd p = { .fd = fd, .events = POLLIN };

                if (poll(&p, 1, (int) ((end - g_get_monotonic_time()) / 1000)) != 1)
                        fail_msg("\"%s\" does not come", text);
                ssize_t n = read(fd, buffer, sizeof(buffer));
                assert_true(n > 0);
                g_string_append_len(s, buffer, n);
        }
}

/* The other end exists but does not read. Then the messages are lost, and neither the node nor the keeper
 * blocks. */
static void not_read(int read_fd, int write_fd) {
        const char *role = role_name("runs"), *next = role_name("next");
        Bus *bus = begin(write_fd, false);

        start(bus, role, NULL, actor(), "pause", NULL);
        pid_t pid = role_pid(bus, role);
        if (isatty(write_fd))
                assert_return_code(tcflow(write_fd, TCOOFF), errno); /* as by Ctrl-S */
        for (guint i = 0; i < 60; i++) {                             /* some lines each */
                start(bus, next, NULL, actor(), "exit", "4", NULL);
                expect_exited(bus, next, "exited", 4, "self");
        }
        assert_int_equal(role_pid(bus, role), pid);
        assert_poll(bus, role, "running");
        assert_false(leads_to_null(STDERR_FILENO));
        assert_false(fcntl(write_fd, F_GETFL) & O_NONBLOCK); /* the shell shares the file */

        /* The end is read again. */
        struct pollfd full = { .fd = write_fd, .events = POLLOUT };
        assert_int_equal(poll(&full, 1, 0), 0);
        if (isatty(write_fd))
                assert_return_code(tcflow(write_fd, TCOON), errno);
        for (struct pollfd p = { .fd = read_fd, .events = POLLIN }; poll(&p, 1, 0) > 0;) {
                char buffer[4096];
                assert_true(read(read_fd, buffer, sizeof(buffer)) > 0);
        }
        start(bus, next, NULL, actor(), "pause", NULL);
        expect_text(read_fd, "messages before this one are lost");
        (void) close(write_fd);
        end(bus, SIGTERM);
        (void) close(read_fd);
}

static void test_pipe_not_read(void **state) {
        int fds[2];

        assert_return_code(pipe2(fds, O_CLOEXEC), errno);
        assert_return_code(fcntl(fds[1], F_SETPIPE_SZ, 4096), errno);
        not_read(fds[0], fds[1]);
}

static void test_terminal_not_read(void **state) {
        int master, slave;

        assert_return_code(openpty(&master, &slave, NULL, NULL, NULL), errno);
        assert_return_code(fcntl(master, F_SETFD, FD_CLOEXEC), errno);
        not_read(master, slave);
}

static int notify_socket(const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
        assert_return_code(bind(fd, (struct sockaddr *) &address, sizeof(address)), errno);
        return fd;
}

/* Returns the next message of the node, with each of its lines between newlines. The keeper stores its
 * descriptors by the same socket, at times of its own. */
static char *notification(int fd) {
        for (;;) {
                struct pollfd p = { .fd = fd, .events = POLLIN };
                char text[4096];

                if (poll(&p, 1, (int) (patience_usec() / 1000)) != 1)
                        fail_msg("no notification");
                ssize_t n = recv(fd, text, sizeof(text) - 1, 0);
                assert_true(n > 0);
                text[n] = 0;
                if (!g_str_has_prefix(text, "FDSTORE"))
                        return g_strconcat("\n", text, "\n", NULL);
        }
}

static void expect_notification(int fd, const char *first, const char *second) {
        g_autofree char *text = notification(fd);

        assert_contains(text, first);
        assert_contains(text, second);
}

static void expect_reload(int fd, const char *status) {
        guint64 before = (guint64) g_get_monotonic_time(), usec;

        assert_int_equal(kill(node, SIGUSR1), 0);
        g_autofree char *text = notification(fd);
        assert_contains(text, "\nRELOADING=1\n");
        const char *stamp = strstr(text, "\nMONOTONIC_USEC=");
        assert_non_null(stamp);
        usec = g_ascii_strtoull(stamp + strlen("\nMONOTONIC_USEC="), NULL, 10);
        assert_true(usec >= before && usec <= (guint64) g_get_monotonic_time());
        /* Expects the notifications of agent_reload(), and then its end. */
        expect_notification(fd, "\nSTATUS=", status);
        expect_notification(fd, "\nREADY=1\n", status);
}

static void test_reload(void **state) {
        const char *role = role_name("runs"), *path = scratch("notify");
        int fd = notify_socket(path), null = open("/dev/null", O_RDWR | O_CLOEXEC);
        Bus *bus;

        write_file(FILE_NAME, "[Node]\nDefaultStopTimeout=3s\n");
        g_setenv("NOTIFY_SOCKET", path, true);
        bus = begin(null, false);
        g_unsetenv("NOTIFY_SOCKET");
        (void) close(null);
        expect_notification(fd, "READY=1", "READY=1"); /* of the keeper or of the node */
        expect_notification(fd, "READY=1", "READY=1");
        start(bus, role, NULL, actor(), "pause", NULL);
        pid_t pid = role_pid(bus, role);
        assert_int_equal(role_get_u64(bus, role, "StopTimeoutUSec"), 3000000);

        write_file(FILE_NAME, "[Node]\nDefaultStopTimeout=4s\n");
        expect_reload(fd, "STATUS=Ready.\n");
        start(bus, role_name("new"), NULL, actor(), "pause", NULL);
        assert_int_equal(role_get_u64(bus, role_name("new"), "StopTimeoutUSec"), 4000000);

        /* The file is invalid, so the previous settings stay, and the status line contains the error. */
        write_file(FILE_NAME, "[Node]\nDefaultStopTimeout=soon\n");
        expect_reload(fd, "not applied: " FILE_NAME ":2: ");
        stop(bus, role_name("new"));
        start(bus, role_name("new"), NULL, actor(), "pause", NULL);
        assert_int_equal(role_get_u64(bus, role_name("new"), "StopTimeoutUSec"), 4000000);
        assert_int_equal(role_pid(bus, role), pid);

        write_file(FILE_NAME, "[Node]\n");
        expect_reload(fd, "STATUS=Ready.\n");
        (void) close(fd);
        end(bus, SIGTERM);
}

#define HAND_TEST(function) cmocka_unit_test_setup_teardown(function, case_setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                HAND_TEST(test_terminal),
                HAND_TEST(test_pipe),
                HAND_TEST(test_pipe_not_read),
                HAND_TEST(test_terminal_not_read),
                HAND_TEST(test_reload),
        };
        return run_case("by-hand", tests);
}
