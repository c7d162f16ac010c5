/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How the keeper is started, which peers may connect to it, and how it handles their packets. */

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "keeper-world.h"

#include "base/fd-util.h"
#include "base/pidref.h"

/* -- connections -- */

static void test_second_node(void **state) {
        World *w = *state;

        for (int i = 0; i < 3; i++) {
                autofd second = node_connect(w);
                Packet p;

                assert_true(second >= 0);
                node_hello(second, 1, 1, &p);
                assert_int_equal(p.welcome.error, -EBUSY);
                assert_int_equal(p.welcome.version, 0);
        }

        /* The first connection is not affected. */
        assert_int_equal(world_request(w, KEEPER_REAP, 4711), -ENOENT);

        /* A new connection of its successor is accepted at once, even before the keeper has seen the end of
         * the previous one. */
        for (int i = 0; i < 200; i++) {
                world_disconnect(w);
                assert_int_equal(world_connect(w), 0);
        }
}

static void test_other_user(void **state) {
        World *w = *state;
        int status;
        pid_t pid;

        w->noisy = true;
        assert_int_equal(chmod(w->socket, 0666), 0);
        world_disconnect(w);
        pid = fork();
        if (pid == 0) {
                const struct keeper_hello m = { { .type = KEEPER_HELLO }, 1, 1 };
                char buffer[64];
                int fd;

                if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
                        setresuid(NOBODY, NOBODY, NOBODY) < 0)
                        _exit(1);
                fd = node_connect(w);
                if (fd < 0)
                        _exit(2);
                (void) send(fd, &m, sizeof(m), MSG_NOSIGNAL);
                _exit(recv(fd, buffer, sizeof(buffer), 0) <= 0 ? 0 : 3);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        (void) world_connect(w);

        /* The mode of the socket that the keeper has created would have refused the connection already. */
        assert_int_equal(chmod(w->socket, 0600), 0);
}

static void test_socket_mode(void **state) {
        World *w = *state;
        struct stat st;

        assert_int_equal(stat(w->socket, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
}

static void assert_closed(int fd) {
        int fds[WORLD_FDS_MAX];
        size_t n_fds;
        Packet p;

        assert_int_equal(node_receive(fd, &p, fds, &n_fds), 0);
}

static void test_versions(void **state) {
        World *w = *state;
        Packet p;

        node_hello(w->node, 0, KEEPER_PROTOCOL_VERSION, &p);
        assert_int_equal(p.welcome.error, 0);
        assert_int_equal(p.welcome.version, KEEPER_PROTOCOL_VERSION);
        node_hello(w->node, KEEPER_PROTOCOL_VERSION_MIN, KEEPER_PROTOCOL_VERSION_MIN, &p);
        assert_int_equal(p.welcome.error, 0);
        assert_int_equal(p.welcome.version, KEEPER_PROTOCOL_VERSION_MIN);

        node_hello(w->node, KEEPER_PROTOCOL_VERSION + 1, KEEPER_PROTOCOL_VERSION + 2, &p);
        assert_int_equal(p.welcome.error, -EPROTONOSUPPORT);
        assert_int_equal(p.welcome.version, 0);
        assert_int_equal(p.welcome.n_children, 0);
        node_hello(w->node, 0, KEEPER_PROTOCOL_VERSION_MIN - 1, &p);
        assert_int_equal(p.welcome.error, -EPROTONOSUPPORT);

        /* The requests of an upgrade still work, and no others. */
        assert_int_equal(world_request(w, KEEPER_REEXEC, 0), 0);
        w->noisy = true;
        node_send(w->node, &(struct keeper_header){ .type = KEEPER_REAP, .child = 1 },
                sizeof(struct keeper_header));
        assert_closed(w->node);
}

static void test_unknown_request(void **state) {
        World *w = *state;

        assert_int_equal(world_request(w, 4711, 12), -EOPNOTSUPP);
        assert_int_equal(world_request(w, 0, 0), -EOPNOTSUPP);
        assert_int_equal(world_request(w, KEEPER_DONE, 0), -EOPNOTSUPP);
}

/* Each packet ends the connection and has no other effect. */
static void test_malformed(void **state) {
        World *w = *state;
        const struct keeper_fork good_fork = { .header = { .type = KEEPER_FORK, .child = 4711 },
                .role = "cam" };
        const struct keeper_kill_cgroup long_path = { .header = { .type = KEEPER_KILL_CGROUP } };
        struct keeper_fork fork_m;
        struct {
                struct keeper_kill_cgroup m;
                char more[8];
        } kill_m = { .m.header.type = KEEPER_KILL_CGROUP };
        static char big[KEEPER_PACKET_MAX + 1] = { KEEPER_SIGNAL };
        const struct {
                const void *data;
                size_t size;
        } packets[] = {
                { "x", 1 },
                { &(struct keeper_header){ .type = KEEPER_REAP }, sizeof(struct keeper_header) - 1 },
                { &(struct keeper_header){ .type = KEEPER_REAP, .reserved = 1 },
                        sizeof(struct keeper_header) },
                { &(struct keeper_signal){ .header.type = KEEPER_REAP }, sizeof(struct keeper_signal) },
                { &(struct keeper_header){ .type = KEEPER_SIGNAL }, sizeof(struct keeper_header) },
                { &(struct keeper_header){ .type = KEEPER_HELLO }, sizeof(struct keeper_header) },
                { &(struct keeper_signal){ .header.type = KEEPER_CLOSE_STDIN },
                        sizeof(struct keeper_signal) },
                { &good_fork, sizeof(good_fork) - 1 },
                { &(struct keeper_header){ .type = KEEPER_KILL_CGROUP }, sizeof(struct keeper_header) },
                { &kill_m, sizeof(kill_m.m.header) + 3 }, /* no NUL, see below */
                { &kill_m, sizeof(kill_m) },
                { big, sizeof(big) },
        };

        w->noisy = true;
        memset(kill_m.m.path, 'x', sizeof(kill_m.m.path));
        for (size_t i = 0; i < ELEMENTSOF(packets); i++) {
                node_send(w->node, packets[i].data, packets[i].size);
                assert_closed(w->node);
                world_disconnect(w);
                assert_int_equal(world_connect(w), 0);
        }

        for (int i = 0; i < 4; i++) {
                fork_m = good_fork;
                switch (i) {
                case 0:
                        fork_m.header.child = 0;
                        break;
                case 1:
                        memset(fork_m.role, 'x', sizeof(fork_m.role));
                        break;
                case 2:
                        (void) snprintf(fork_m.role, sizeof(fork_m.role), "a/b");
                        break;
                default:
                        fork_m.role[0] = '\0';
                }
                node_send(w->node, &fork_m, sizeof(fork_m));
                assert_closed(w->node);
                world_disconnect(w);
                assert_int_equal(world_connect(w), 0);
        }

        /* Descriptors that are not expected. */
        assert_int_equal(socket_send(w->node, &good_fork, sizeof(good_fork), &w->node, 1), 0);
        assert_closed(w->node);
        world_disconnect(w);

        /* A request before HELLO. */
        w->node = node_connect(w);
        node_send(w->node, &good_fork, sizeof(good_fork));
        assert_closed(w->node);
        world_disconnect(w);
        assert_int_equal(world_connect(w), 0);

        /* An empty path is well-formed, but no role's. */
        node_send(w->node, &long_path, sizeof(long_path.header) + 1);
        {
                int fds[WORLD_FDS_MAX];
                Packet p;

                (void) world_receive(w, KEEPER_DONE, 0, &p, fds);
                assert_int_equal(p.done.request, KEEPER_KILL_CGROUP);
                assert_int_equal(p.done.error, -EPERM);
        }
}

/* A child that is stopped in its first steps has the descriptors of the keeper, also that of the connection.
 */
static void test_closed_beside_stopped_child(void **state) {
        World *w = *state;

        w->noisy = true;
        for (int i = 0; i < 30; i++) {
                Role role = role_fork(w, 0);
                int fds[WORLD_FDS_MAX];
                size_t n_fds;
                Packet p;

                assert_int_equal(world_signal(w, role.id, SIGSTOP), 0);
                node_send(w->node, "x", 1);
                assert_closed(w->node);
                world_disconnect(w);
                assert_int_equal(world_connect(w), 1);
                n_fds = world_receive(w, KEEPER_CHILD, role.id, &p, fds);
                for (size_t j = 0; j < n_fds; j++)
                        (void) fd_close(fds[j]);
                assert_int_equal(world_signal(w, role.id, SIGKILL), 0);
                (void) role_end(w, &role);
        }
}

/* -- the start -- */

static void test_inherited_socket(void **state) {
        World *w = *state;

        world_start(w, &(struct start){ .inherit = true });
        assert_run(w, QUIET(.command = SHELL("[ -z \"$LISTEN_FDS$LISTEN_PID\" ]")), 0);
}

static int notify_fd = -EBADF;

static void set_notify(World *w) {
        char *path = world_path(w, "notify");

        (void) setenv("NOTIFY_SOCKET", path, 1);
}

static struct sockaddr_un open_notify(World *w) {
        struct sockaddr_un a = { .sun_family = AF_UNIX };

        (void) snprintf(a.sun_path, sizeof(a.sun_path), "%s/notify", w->dir);
        notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(notify_fd, (struct sockaddr *) &a, sizeof(a)), 0);
        return a;
}

static void expect_notify(const char *expected, int flags) {
        char buffer[64] = { 0 };

        assert_int_equal(recv(notify_fd, buffer, sizeof(buffer), flags), strlen(expected));
        assert_string_equal(buffer, expected);
}

static void test_notify(void **state) {
        World *w = *state;

        (void) open_notify(w);
        world_start(w, &(struct start){ .before_exec = set_notify });
        expect_notify("READY=1", MSG_DONTWAIT);
        notify_fd = fd_close(notify_fd);
}

/* systemd does not read. The keeper works, and READY=1 arrives when systemd reads again. */
static void test_notify_full(void **state) {
        World *w = *state;
        struct sockaddr_un a = open_notify(w);
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        unsigned n = 0;

        assert_int_equal(connect(fd, (struct sockaddr *) &a, sizeof(a)), 0);
        while (send(fd, "FILLER", 6, MSG_DONTWAIT) >= 0)
                n++;
        (void) fd_close(fd);
        assert_true(n > 0);
        world_start(w, &(struct start){ .before_exec = set_notify });
        assert_run(w, QUIET(.command = SHELL("exit 0")), 0);
        while (n-- > 0)
                expect_notify("FILLER", MSG_DONTWAIT);
        expect_notify("READY=1", 0);
        notify_fd = fd_close(notify_fd);
}

static void close_streams(World *w) {
        (void) close(0);
        (void) close(1);
        (void) close(2);
}

/* Without standard streams its sockets would get their numbers, and log lines would be sent to the node. */
static void test_no_streams(void **state) {
        World *w = *state;

        world_start(w, &(struct start){ .before_exec = close_streams });
        for (int fd = 0; fd < 3; fd++) {
                char path[64], target[64] = { 0 };

                (void) snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int) w->keeper, fd);
                assert_true(readlink(path, target, sizeof(target) - 1) > 0);
                assert_string_equal(target, "/dev/null");
        }
        assert_run(w, QUIET(.command = SHELL("exit 6")), 6 << 8);
}

static void odd_signals(World *w) {
        sigset_t all;

        /* If SIGCHLD were ignored, the kernel would reap the children. */
        (void) signal(SIGCHLD, SIG_IGN);
        (void) signal(SIGTERM, SIG_IGN);
        (void) signal(SIGUSR1, SIG_IGN);
        sigfillset(&all);
        (void) sigprocmask(SIG_SETMASK, &all, NULL);
}

static void test_odd_signals(void **state) {
        static char script[] = "grep -qE '^SigBlk:[[:space:]]0000000000000000' /proc/self/status && "
                               "grep -qE '^SigIgn:[[:space:]]0000000000001000' /proc/self/status && exit 8";
        World *w = *state;

        world_start(w, &(struct start){ .before_exec = odd_signals });
        assert_run(w, QUIET(.command = SHELL(script)), 8 << 8);
        world_check(w);
        assert_int_equal(kill(w->keeper, SIGKILL), 0); /* the test has made it ignore SIGTERM */
        assert_int_equal(waitpid(w->keeper, NULL, 0), w->keeper);
        w->keeper = 0;
}

/* The loss of its terminal or of stderr does not end the keeper. */
static void test_survives(void **state) {
        World *w = *state;

        assert_int_equal(kill(w->keeper, SIGHUP), 0);
        assert_int_equal(kill(w->keeper, SIGPIPE), 0);
        assert_run(w, QUIET(.command = COMMAND("/bin/true")), 0);
}

static int run_keeper(char *const arguments[], char **ret_output) {
        int p[2], status;
        ssize_t n, size = 0;
        static char output[4096];
        pid_t pid;

        assert_int_equal(pipe2(p, O_CLOEXEC), 0);
        pid = fork();
        if (pid == 0) {
                if (dup2(p[1], 1) < 0 || dup2(p[1], 2) < 0)
                        _exit(126);
                (void) unsetenv("LISTEN_FDS");
                (void) execv(keeper_program(), arguments);
                _exit(127);
        }
        (void) fd_close(p[1]);
        while ((n = read(p[0], output + size, sizeof(output) - 1 - (size_t) size)) > 0)
                size += n;
        output[size] = '\0';
        (void) fd_close(p[0]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        *ret_output = output;
        return WEXITSTATUS(status);
}

static void test_command_line(void **state) {
        World *w = *state;
        char *output, *option;

        assert_int_equal(run_keeper(COMMAND("k", "--version"), &output), 0);
        assert_int_equal(strncmp(output, "architect-keeper ", 17), 0);
        assert_int_equal(run_keeper(COMMAND("k", "--help"), &output), 0);
        assert_non_null(strstr(output, "--instance=NAME"));
        assert_int_equal(run_keeper(COMMAND("k", "--instance=a-b"), &output), 2);
        assert_non_null(strstr(output, "a-b"));
        assert_int_equal(run_keeper(COMMAND("k", "--no-such-option"), &output), 2);
        assert_int_equal(run_keeper(COMMAND("k", "argument"), &output), 2);
        assert_int_equal(run_keeper(COMMAND("k"), &output), 1);
        assert_non_null(strstr(output, "architect-keeper.socket"));

        /* The socket of a running keeper is not taken over. */
        assert_true(asprintf(&option, "--socket=%s", w->socket) > 0);
        assert_int_equal(run_keeper(COMMAND("k", option), &output), 1);
        assert_non_null(strstr(output, "Address already in use"));
        free(option);
        assert_run(w, QUIET(.command = COMMAND("/bin/true")), 0);

        /* The socket of a dead keeper is replaced. */
        world_disconnect(w);
        world_stop(w);
        world_start(w, &(struct start){ 0 });
        assert_run(w, QUIET(.command = COMMAND("/bin/true")), 0);

        /* A file of another kind is left as it is. */
        world_disconnect(w);
        world_stop(w);
        assert_int_equal(unlink(w->socket), 0);
        assert_int_equal(mknod(w->socket, S_IFREG | 0600, 0), 0);
        assert_true(asprintf(&option, "--socket=%s", w->socket) > 0);
        assert_int_equal(run_keeper(COMMAND("k", option), &output), 1);
        assert_int_equal(access(w->socket, F_OK), 0);
        free(option);
}

static int full_pipe;

static void nobody_reads_stderr(World *w) {
        (void) dup2(full_pipe, STDERR_FILENO);
}

/* A journald that hangs does not block the keeper. */
static void test_hung_journal(void **state) {
        World *w = *state;
        const struct keeper_header malformed = { .type = KEEPER_SIGNAL };
        char block[4096] = {};
        int ends[2];

        assert_return_code(pipe2(ends, O_CLOEXEC | O_NONBLOCK), errno);
        while (write(ends[1], block, sizeof(block)) > 0)
                ;
        assert_int_equal(errno, EAGAIN);
        assert_return_code(fcntl(ends[1], F_SETFL, 0), errno);
        full_pipe = ends[1];
        world_start(w, &(struct start){ .before_exec = nobody_reads_stderr });
        for (int i = 0; i < 3; i++) {
                node_send(w->node, &malformed, sizeof(malformed)); /* the keeper logs a message about it */
                assert_closed(w->node);
                world_disconnect(w);
                assert_int_equal(world_connect(w), 0);
        }
        assert_run(w, QUIET(.command = COMMAND("/bin/true")), 0);

        /* When there is room again, messages are written again. */
        while (read(ends[0], block, sizeof(block)) > 0)
                ;
        node_send(w->node, &malformed, sizeof(malformed));
        assert_closed(w->node);
        world_disconnect(w);
        ssize_t n = read(ends[0], block, sizeof(block) - 1);
        assert_true(n > 0);
        block[n] = '\0';
        assert_non_null(strstr(block, "<4>"));
        assert_int_equal(block[n - 1], '\n');
        assert_int_equal(world_connect(w), 0);
        close(ends[0]);
        close(ends[1]);
}

int main(void) {
#define CONNECTED(f) cmocka_unit_test_setup_teardown(f, world_setup_connected, world_teardown)
#define ALONE(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
        const struct CMUnitTest tests[] = {
                CONNECTED(test_second_node),
                CONNECTED(test_other_user),
                CONNECTED(test_socket_mode),
                CONNECTED(test_versions),
                CONNECTED(test_unknown_request),
                CONNECTED(test_malformed),
                CONNECTED(test_closed_beside_stopped_child),
                ALONE(test_inherited_socket),
                ALONE(test_notify),
                ALONE(test_notify_full),
                ALONE(test_no_streams),
                ALONE(test_hung_journal),
                ALONE(test_odd_signals),
                CONNECTED(test_survives),
                CONNECTED(test_command_line),
        };

        return cmocka_run_group_tests(tests, world_group_setup, NULL);
}
