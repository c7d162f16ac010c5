/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The keeper and terminals: the descriptors that it lends, an architect-terminal that is missing or dies once
 * or repeatedly, and the removal of everything afterwards. */

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "keeper-world.h"

#include "base/fd-util.h"
#include "base/pidref.h"
#include "base/time-util.h"
#include "proto/terminal-protocol.h"

/* Returns the child of the keeper that is not a role, or 0 if there is none. */
static pid_t terminal_pid(World *w) {
        pid_t found = 0;
        struct dirent *e;
        DIR *d = opendir("/proc");

        assert_non_null(d);
        while ((e = readdir(d))) {
                pid_t pid = (pid_t) atoi(e->d_name);
                struct proc_stat stat;
                char path[64], *text;

                if (pid <= 0 || proc_stat_read(pid, &stat) < 0 || stat.ppid != w->keeper || stat.state == 'Z')
                        continue;
                (void) snprintf(path, sizeof(path), "/proc/%d/comm", (int) pid);
                if (file_read(AT_FDCWD, path, 64, &text, NULL) < 0)
                        continue;
                if (strcmp(text, "architect-termi\n") == 0)
                        found = pid;
                free(text);
        }
        assert_int_equal(closedir(d), 0);
        return found;
}

static int open_client(const Role *role) {
        const struct terminal_client m = { .type = TERMINAL_CLIENT, .flags = TERMINAL_CLIENT_REPLAY };
        int pair[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(socket_send(role->terminal, &m, sizeof(m), &pair[1], 1), 0);
        assert_int_equal(close(pair[1]), 0);
        return pair[0];
}

/* Reads what the terminal shows, up to and including this text, or up to the end if it is NULL. */
static void expect_text(int fd, const char *text) {
        char data[4096] = { 0 };
        size_t done = 0;

        for (;;) {
                struct pollfd p = { .fd = fd, .events = POLLIN };
                ssize_t n;

                if (text && strstr(data, text))
                        return;
                if (poll(&p, 1, 60000) != 1)
                        fail_msg("'%s' did not come: '%s'", text ? text : "the end", data);
                n = recv(fd, data + done, sizeof(data) - 1 - done, 0);
                if (n <= 0 && text)
                        fail_msg("'%s' did not come, but the end: '%s'", text, data);
                if (n <= 0)
                        return;
                done += (size_t) n;
        }
}

static bool no_terminal(void *userdata) {
        return terminal_pid(userdata) == 0;
}

static void test_life(void **state) {
        World *w = *state;
        Role role = role_run(w, KEEPER_FORK_TERMINAL,
                QUIET(.command = SHELL("stty -echo; echo ready; read -r line; echo \"got $line\"; exit 3")));
        autofd client = open_client(&role);
        struct winsize size;
        pid_t terminal = terminal_pid(w);
        struct proc_stat stat;

        assert_true(terminal > 0);
        assert_int_equal(proc_stat_read(terminal, &stat), 0);
        assert_int_equal(stat.session, terminal); /* no signal of a terminal reaches it */
        assert_true(fcntl(role.master, F_GETFL) & O_NONBLOCK);
        assert_int_equal(ioctl(role.master, TIOCGWINSZ, &size), 0);
        assert_int_equal(size.ws_row, TERMINAL_ROWS_DEFAULT);
        assert_int_equal(size.ws_col, TERMINAL_COLUMNS_DEFAULT);

        expect_text(client, "ready\r\n");
        assert_int_equal(send(client, "hello\n", 6, 0), 6);
        expect_text(client, "got hello\r\n");
        expect_text(client, NULL);
        assert_int_equal(role_ended(w, &role).exit.wait_status, 3 << 8);

        /* A process that still has the socket gets an error. */
        assert_int_equal(socket_send(role.terminal, &(struct terminal_client){ .type = TERMINAL_CLIENT },
                                 sizeof(struct terminal_client), NULL, 0),
                -EPIPE);
        assert_int_equal(world_request(w, KEEPER_REAP, role.id), 0);
        role_close(&role);
        assert_true(wait_for(no_terminal, w));
}

static void test_flags(void **state) {
        World *w = *state;
        Role role;

        assert_int_equal(
                try_fork(w, ++w->last_id, "cam", KEEPER_FORK_TERMINAL | KEEPER_FORK_STDIN_PIPE, &role),
                -EINVAL);
        assert_int_equal(try_fork(w, ++w->last_id, "cam", UINT32_C(1) << 31, &role), -EOPNOTSUPP);
}

/* An architect-terminal dies. The role does not notice, and another one takes over, including the output and
 * the clients that were not accepted yet. */
static void test_respawn(void **state) {
        World *w = *state;
        _cleanup_free_ char *path = world_path(w, "output");
        Role role = role_run(w, KEEPER_FORK_TERMINAL,
                REQUEST(.output = LAUNCH_OUTPUT_FILE, .output_path = path,
                        .command = SHELL(
                                "stty -echo; echo ready; while read -r line; do echo \"got $line\"; done; exit 4")));
        autofd client = open_client(&role), second = -EBADF, third = -EBADF;
        pid_t first = terminal_pid(w);
        uint64_t began;
        char *text;

        w->noisy = true;
        expect_text(client, "ready\r\n");
        assert_int_equal(send(client, "one\n", 4, 0), 4);
        expect_text(client, "got one\r\n");

        /* Messages that are sent while it is stopped are never read by it. */
        assert_int_equal(kill(first, SIGSTOP), 0);
        second = open_client(&role);
        assert_int_equal(kill(first, SIGKILL), 0);
        expect_text(client, NULL);
        assert_int_equal(send(second, "two\n", 4, 0), 4);
        expect_text(second, "got two\r\n");
        assert_int_not_equal(terminal_pid(w), first);

        /* It dies again at once. The next one is not started before a second has passed, but then it is. */
        began = now_usec(CLOCK_MONOTONIC);
        assert_int_equal(kill(terminal_pid(w), SIGKILL), 0);
        expect_text(second, NULL);
        third = open_client(&role);
        assert_int_equal(send(third, "three\n", 6, 0), 6);
        expect_text(third, "got three\r\n");
        assert_true(now_usec(CLOCK_MONOTONIC) - began > USEC_PER_SEC / 4);

        assert_int_equal(write(role.master, "\004", 1), 1);
        assert_int_equal(role_end(w, &role).exit.wait_status, 4 << 8);
        expect_text(third, NULL);
        assert_true(wait_for(no_terminal, w));
        text = world_read(w, "output");
        assert_string_equal(text, "ready\ngot one\ngot two\ngot three\n");
        free(text);
}

/* No architect-terminal runs when the role ends. The last output is shown all the same. */
static void test_last_words(void **state) {
        World *w = *state;
        _cleanup_free_ char *path = world_path(w, "output");
        Role role = role_run(w, KEEPER_FORK_TERMINAL,
                REQUEST(.output = LAUNCH_OUTPUT_FILE, .output_path = path,
                        .command = SHELL("stty -echo; echo ready; read -r line; echo last; exit 5")));
        autofd client = open_client(&role);
        pid_t first = terminal_pid(w);
        char *text;

        w->noisy = true;
        expect_text(client, "ready\r\n");
        /* The next one is not due yet when the role ends. */
        assert_int_equal(kill(first, SIGKILL), 0);
        assert_true(wait_for(no_terminal, w));
        assert_int_equal(write(role.master, "\n", 1), 1);
        (void) role_ended(w, &role);
        assert_int_equal(world_request(w, KEEPER_REAP, role.id), 0);
        role_close(&role);
        assert_true(wait_for(no_terminal, w));
        text = world_read(w, "output");
        assert_string_equal(text, "ready\nlast\n");
        free(text);
}

struct in_file {
        World *w;
        const char *text;
};

static bool is_in_output(void *userdata) {
        const struct in_file *in = userdata;
        _cleanup_free_ char *text = world_read(in->w, "output");

        return strstr(text, in->text);
}

/* Without a terminal the output that gets times comes by a pipe, of which the node has nothing. The death of
 * the architect-terminal, and a new program of the keeper, lose nothing of it. What the role leaves behind
 * goes on, and its end is that of the architect-terminal. */
static void test_output_pipe(void **state) {
        World *w = *state;
        _cleanup_free_ char *path = world_path(w, "output");
        Role role = role_run(w, KEEPER_FORK_STDIN_PIPE | KEEPER_FORK_TIMESTAMPS,
                REQUEST(.output = LAUNCH_OUTPUT_FILE, .output_path = path,
                        .command = SHELL("test -t 1 || echo pipe; echo error >&2; echo again >/dev/stdout;"
                                         "while read -r line; do echo \"got $line\"; done;"
                                         "(trap '' HUP; sleep 0.3; echo late) & exec echo end")));
        _cleanup_free_ char *text = NULL;
        const pid_t first = terminal_pid(w);
        const char *p;

        w->noisy = true;
        assert_true(first > 0);
        assert_int_equal(write(role.stdin_fd, "one\n", 4), 4);
        /* What it has read and not written would be lost with it. */
        assert_true(wait_for(is_in_output, &(struct in_file){ w, "got one\n" }));
        assert_int_equal(kill(first, SIGSTOP), 0);
        assert_int_equal(write(role.stdin_fd, "two\n", 4), 4);
        assert_int_equal(kill(first, SIGKILL), 0);
        assert_true(wait_for(no_terminal, w));
        assert_int_equal(world_request(w, KEEPER_REEXEC, 0), 0);
        assert_int_equal(write(role.stdin_fd, "three\n", 6), 6);
        role.stdin_fd = fd_close(role.stdin_fd);
        assert_int_equal(world_request(w, KEEPER_CLOSE_STDIN, role.id), 0);
        assert_int_equal(role_end(w, &role).exit.wait_status, 0);
        assert_true(wait_for(no_terminal, w));
        text = world_read(w, "output");
        p = assert_stamped(text, "pipe\n");
        p = assert_stamped(p, "error\n");
        p = assert_stamped(p, "again\n");
        p = assert_stamped(p, "got one\n");
        p = assert_stamped(p, "got two\n");
        p = assert_stamped(p, "got three\n");
        p = assert_stamped(p, "end\n");
        p = assert_stamped(p, "late\n");
        assert_string_equal(p, "");
}

#define STOPPED "was stopped, killed it"

static int count_in_log(const World *w, const char *part) {
        _cleanup_free_ char *text = NULL;
        int n = 0;

        assert_int_equal(file_read(AT_FDCWD, w->log, 64 * 1024, &text, NULL), 0);
        for (const char *at = text; (at = strstr(at, part)); at++)
                n++;
        return n;
}

static bool is_logged_once(void *userdata) {
        return count_in_log(userdata, STOPPED) == 1;
}

static bool is_logged_twice(void *userdata) {
        return count_in_log(userdata, STOPPED) == 2;
}

static bool is_full(void *userdata) {
        struct pollfd p = { .fd = *(int *) userdata, .events = POLLOUT };

        return poll(&p, 1, 0) == 0;
}

/* The user of a role stops its architect-terminal after the role has ended, when nobody lets it go on any
 * more. The keeper ends it, and so does the program that replaces the keeper. It must still have something to
 * show then, for which a FIFO that nobody reads is full. */
static void test_stopped(void **state) {
        World *w = *state;
        _cleanup_free_ char *path = world_path(w, "full");
        autofd fifo = -EBADF;

        w->noisy = true;
        assert_int_equal(mkfifo(path, 0600), 0);
        fifo = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
        for (int replace = 0; replace < 2; replace++) {
                Role role = role_run(w, KEEPER_FORK_TERMINAL,
                        REQUEST(.output = LAUNCH_OUTPUT_FILE, .output_path = path,
                                .command =
                                        SHELL("stty -echo; echo ready; exec head -c 100000000 /dev/zero")));
                autofd client = open_client(&role);
                pid_t terminal = terminal_pid(w);

                expect_text(client, "ready\r\n");
                assert_true(wait_for(is_full, &fifo));
                assert_int_equal(world_signal(w, role.id, SIGKILL), 0);
                (void) role_ended(w, &role);
                assert_int_equal(kill(terminal, SIGSTOP), 0);
                if (replace)
                        assert_int_equal(world_request(w, KEEPER_REEXEC, 0), 0);
                assert_int_equal(world_request(w, KEEPER_REAP, role.id), 0);
                role_close(&role);
                assert_true(wait_for(no_terminal, w));
                /* The keeper says so when it has killed it, which may be a moment later. */
                assert_true(wait_for(replace ? is_logged_twice : is_logged_once, w));
                while (read(fifo, (char[4096]){ 0 }, 4096) > 0)
                        ;
        }
}

static bool made_often(void *userdata) {
        const char *path = userdata;
        struct stat st;

        return stat(path, &st) >= 0 && st.st_size >= 3;
}

/* A program that always fails at once is started once a second and not more often; between the starts the
 * keeper is idle. */
static void test_crash_loop(void **state) {
        World *w;
        uint64_t began;
        _cleanup_free_ char *script = NULL, *broken = NULL, *count = NULL;
        Role role;
        int fd;

        assert_int_equal(world_setup(state), 0);
        w = *state;
        w->noisy = true;
        w->terminal = broken = world_path(w, "broken");
        count = world_path(w, "count");
        fd = open(w->terminal, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
        assert_true(asprintf(&script, "#!/bin/sh\nprintf x >>%s\nexit 1\n", count) > 0);
        assert_int_equal(write(fd, script, strlen(script)), strlen(script));
        assert_int_equal(close(fd), 0);
        world_start(w, &(struct start){ 0 });

        began = now_usec(CLOCK_MONOTONIC);
        role = role_run(w, KEEPER_FORK_TERMINAL, QUIET(.command = COMMAND("/bin/sleep", "600")));
        assert_true(wait_for(made_often, count));
        assert_true(now_usec(CLOCK_MONOTONIC) - began > 2 * USEC_PER_SEC - USEC_PER_SEC / 10);
        assert_int_equal(world_signal(w, role.id, SIGKILL), 0);
        (void) role_end(w, &role);
        world_check(w);
}

/* If the program is missing, the fork fails, and nothing is left of it. */
static void test_missing(void **state) {
        World *w;
        Role role;

        assert_int_equal(world_setup(state), 0);
        w = *state;
        w->noisy = true;
        w->terminal = "/nonexistent/architect-terminal";
        world_start(w, &(struct start){ 0 });
        assert_int_equal(try_fork(w, ++w->last_id, "cam", KEEPER_FORK_TERMINAL, &role), -ENOENT);
        world_check(w);
}

/* architect-terminal does not keep descriptors that it does not use. The pipe of a role ends when the keeper
 * closes it. */
static void test_inherits_nothing(void **state) {
        World *w = *state;
        Role cat = role_run(w, KEEPER_FORK_STDIN_PIPE, QUIET(.command = COMMAND("/bin/cat"))), role;

        role = role_run(w, KEEPER_FORK_TERMINAL, QUIET(.command = COMMAND("/bin/sleep", "600")));
        assert_int_equal(world_request(w, KEEPER_CLOSE_STDIN, cat.id), 0);
        cat.stdin_fd = fd_close(cat.stdin_fd);
        assert_int_equal(role_end(w, &cat).exit.wait_status, 0);
        assert_int_equal(world_signal(w, role.id, SIGKILL), 0);
        (void) role_end(w, &role);
}

/* -- sockets -- */

/* Returns the error; the path is valid until the next call. */
static int make_socket(World *w, uint64_t child, uid_t uid, uint32_t flags, const char **ret_path) {
        const struct keeper_terminal_socket m = {
                .header = { .type = KEEPER_MAKE_TERMINAL_SOCKET, .child = child }, .uid = uid, .flags = flags
        };
        int fds[WORLD_FDS_MAX];
        static Packet p;

        node_send(w->node, &m, sizeof(m));
        assert_int_equal(world_receive(w, KEEPER_TERMINAL_SOCKET_MADE, child, &p, fds), 0);
        assert_int_equal(p.socket_made.path[0] == '\0', p.socket_made.error < 0);
        *ret_path = p.socket_made.path;
        return p.socket_made.error;
}

/* Connects as this user; returns a negative errno if that fails. */
static int connect_as(const char *path, uid_t uid) {
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

        assert_true(fd >= 0);
        memcpy(a.sun_path, path, strlen(path));
        assert_int_equal(seteuid(uid), 0);
        r = connect(fd, (struct sockaddr *) &a, sizeof(a)) < 0 ? -errno : fd;
        assert_int_equal(seteuid(0), 0);
        if (r < 0)
                (void) close(fd);
        return r;
}

static void assert_socket(const char *path, uid_t uid) {
        struct stat st;

        assert_int_equal(stat(path, &st), 0);
        assert_true(S_ISSOCK(st.st_mode));
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(st.st_uid, uid);
}

static void assert_gone(const char *path) {
        assert_int_equal(access(path, F_OK), -1);
        assert_int_equal(errno, ENOENT);
}

#define ANSWERS "stty -echo; echo ready; while read -r line; do echo \"got $line\"; done; exit 4"

static void test_socket(void **state) {
        World *w = *state;
        Role role = role_run(w, KEEPER_FORK_TERMINAL, QUIET(.command = SHELL(ANSWERS)));
        _cleanup_free_ char *of_root = NULL, *of_alice = NULL;
        autofd first = -EBADF, second = -EBADF, alice = -EBADF, intruder = -EBADF;
        const char *path;
        struct stat st;

        w->noisy = true;
        assert_int_equal(make_socket(w, role.id, 0, TERMINAL_CLIENT_REPLAY, &path), 0);
        of_root = strdup(path);
        assert_socket(path, 0);
        /* Every user may come as far as the socket. */
        _cleanup_free_ char *directory = world_path(w, "architect-terminal/main");
        assert_int_equal(stat(directory, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0755);

        first = connect_as(of_root, 0);
        expect_text(first, "ready\r\n");
        assert_int_equal(send(first, "one\n", 4, 0), 4);
        expect_text(first, "got one\r\n");

        /* There is one for each user. The last call says what its clients see first. */
        assert_int_equal(make_socket(w, role.id, 0, 0, &path), 0);
        assert_string_equal(path, of_root);
        second = connect_as(of_root, 0);
        assert_int_equal(send(second, "two\n", 4, 0), 4);
        expect_text(first, "got two\r\n");
        {
                char data[16] = { 0 };

                assert_int_equal(recv(second, data, strlen("got two\r\n"), MSG_WAITALL), 9);
                assert_string_equal(data, "got two\r\n");
        }

        assert_int_equal(make_socket(w, role.id, ALICE_UID, TERMINAL_CLIENT_REPLAY, &path), 0);
        of_alice = strdup(path);
        assert_string_not_equal(of_alice, of_root);
        assert_socket(of_alice, ALICE_UID);
        alice = connect_as(of_alice, ALICE_UID);
        expect_text(alice, "got two\r\n");

        /* The file keeps other users out, and its keeper those whom the file does not. */
        assert_int_equal(connect_as(of_root, ALICE_UID), -EACCES);
        assert_int_equal(connect_as(of_alice, NOBODY), -EACCES);
        intruder = connect_as(of_alice, 0);
        assert_true(intruder >= 0);
        {
                char data;

                assert_int_equal(recv(intruder, &data, 1, 0), 0);
        }

        assert_int_equal(send(alice, "\004", 1, 0), 1);
        assert_int_equal(role_end(w, &role).exit.wait_status, 4 << 8);
        expect_text(first, NULL);
        expect_text(alice, NULL);
        assert_gone(of_root);
        assert_gone(of_alice);
        assert_int_equal(make_socket(w, role.id, 0, 0, &path), -ENOENT);
}

static void test_socket_errors(void **state) {
        World *w = *state;
        Role role = role_run(w, KEEPER_FORK_TERMINAL, QUIET(.command = SHELL(ANSWERS))),
             pipe_role = role_run(w, KEEPER_FORK_STDIN_PIPE, QUIET(.command = COMMAND("/bin/cat")));
        const struct keeper_terminal_socket m = { .header = { .type = KEEPER_MAKE_TERMINAL_SOCKET,
                                                          .child = role.id } };
        autofd node = -EBADF;
        int fds[WORLD_FDS_MAX];
        const char *path;
        size_t n_fds;
        Packet p;

        assert_int_equal(make_socket(w, 99, 0, 0, &path), -ENOENT);
        assert_int_equal(make_socket(w, pipe_role.id, 0, 0, &path), -ENOTTY);
        assert_int_equal(make_socket(w, role.id, 0, UINT32_C(1) << 31, &path), -EOPNOTSUPP);
        assert_int_equal(make_socket(w, role.id, UINT32_MAX, 0, &path), -EINVAL);
        _cleanup_free_ char *directory = world_path(w, "architect-terminal");
        assert_int_equal(access(directory, F_OK), -1);

        /* The directory belongs to another user, or everybody may change it. */
        assert_int_equal(mkdir(directory, 0755), 0);
        assert_int_equal(chown(directory, ALICE_UID, 0), 0);
        assert_int_equal(make_socket(w, role.id, 0, 0, &path), -EPERM);
        assert_int_equal(chown(directory, 0, 0), 0);
        assert_int_equal(chmod(directory, 0777), 0);
        assert_int_equal(make_socket(w, role.id, 0, 0, &path), -EPERM);

        assert_int_equal(world_signal(w, role.id, SIGKILL), 0);
        (void) role_ended(w, &role);
        assert_int_equal(make_socket(w, role.id, 0, 0, &path), -ESRCH);
        assert_int_equal(world_request(w, KEEPER_REAP, role.id), 0);
        assert_int_equal(world_signal(w, pipe_role.id, SIGKILL), 0);
        (void) role_end(w, &pipe_role);
        role_close(&role);

        /* A node of the version before does not know it. */
        world_disconnect(w);
        node = node_connect(w);
        node_hello(node, 2, 2, &p);
        assert_int_equal(p.welcome.version, 2);
        node_send(node, &m, sizeof(m));
        assert_int_equal(node_receive(node, &p, fds, &n_fds), sizeof(p.done));
        assert_int_equal(p.done.error, -EOPNOTSUPP);
}

/* The keeper replaces itself: the socket is the same one, and connections of the meantime are accepted. */
static void test_socket_reexec(void **state) {
        World *w = *state;
        Role role = role_run(w, KEEPER_FORK_TERMINAL, QUIET(.command = SHELL(ANSWERS)));
        autofd client = -EBADF;
        const char *path;
        struct stat before, after;
        char *of_alice;

        assert_int_equal(make_socket(w, role.id, ALICE_UID, TERMINAL_CLIENT_REPLAY, &path), 0);
        of_alice = strdup(path);
        assert_int_equal(stat(of_alice, &before), 0);
        assert_int_equal(kill(w->keeper, SIGSTOP), 0);
        client = connect_as(of_alice, ALICE_UID);
        assert_int_equal(kill(w->keeper, SIGCONT), 0);
        assert_int_equal(world_request(w, KEEPER_REEXEC, 0), 0);
        expect_text(client, "ready\r\n");
        client = fd_close(client);
        client = connect_as(of_alice, ALICE_UID);
        expect_text(client, "ready\r\n");
        assert_int_equal(stat(of_alice, &after), 0);
        assert_int_equal(after.st_ino, before.st_ino);
        assert_int_equal(make_socket(w, role.id, ALICE_UID, TERMINAL_CLIENT_REPLAY, &path), 0);
        assert_string_equal(path, of_alice);

        assert_int_equal(world_signal(w, role.id, SIGKILL), 0);
        (void) role_end(w, &role);
        assert_gone(of_alice);
        free(of_alice);
}

/* A keeper that was killed has left a socket. The next one removes it, and nothing else. */
static void test_socket_left(void **state) {
        World *w = *state;
        Role role = role_run(w, KEEPER_FORK_TERMINAL, QUIET(.command = SHELL(ANSWERS)));
        const char *path;
        char *left;
        int status;

        assert_int_equal(make_socket(w, role.id, 0, 0, &path), 0);
        left = strdup(path);
        _cleanup_free_ char *other = world_path(w, "architect-terminal/main/1.x");
        assert_int_equal(mkdir(other, 0755), 0);
        assert_int_equal(kill(w->keeper, SIGKILL), 0);
        assert_int_equal(waitpid(w->keeper, &status, 0), w->keeper);
        assert_int_equal(kill(role.pid, SIGKILL), 0);
        role_close(&role);
        world_disconnect(w);
        assert_socket(left, 0);
        world_start(w, &(struct start){ 0 });
        assert_gone(left);
        assert_int_equal(access(other, F_OK), 0);
        free(left);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_life, world_setup_connected, world_teardown),
                cmocka_unit_test_setup_teardown(test_flags, world_setup_connected, world_teardown),
                cmocka_unit_test_setup_teardown(test_respawn, world_setup_connected, world_teardown),
                cmocka_unit_test_setup_teardown(test_last_words, world_setup_connected, world_teardown),
                cmocka_unit_test_setup_teardown(test_output_pipe, world_setup_connected, world_teardown),
                cmocka_unit_test_setup_teardown(test_stopped, world_setup_connected, world_teardown),
                cmocka_unit_test_teardown(test_crash_loop, world_teardown),
                cmocka_unit_test_teardown(test_missing, world_teardown),
                cmocka_unit_test_setup_teardown(test_inherits_nothing, world_setup_connected, world_teardown),
                cmocka_unit_test_setup_teardown(test_socket, world_setup_connected, world_teardown),
                cmocka_unit_test_setup_teardown(test_socket_errors, world_setup_connected, world_teardown),
                cmocka_unit_test_setup_teardown(test_socket_reexec, world_setup_connected, world_teardown),
                cmocka_unit_test_setup_teardown(test_socket_left, world_setup_connected, world_teardown),
        };

        return cmocka_run_group_tests(tests, world_group_setup, NULL);
}
