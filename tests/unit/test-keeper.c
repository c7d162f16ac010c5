/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The keeper as the parent of roles: their ends, their gates, and a node that disconnects and connects again.
 * Its connections are tested in test-keeper-node.c, and how a child processes its launch request in
 * test-keeper-exec.c. */

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

static uint64_t now(clockid_t clock) {
        struct timespec ts;

        assert_int_equal(clock_gettime(clock, &ts), 0);
        return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000;
}

/* -- ends of roles -- */

static void test_exits(void **state) {
        World *w = *state;

        assert_run(w, QUIET(.command = COMMAND("/bin/true")), 0);
        assert_run(w, QUIET(.command = SHELL("exit 42")), 42 << 8);
        assert_run(w, QUIET(.command = SHELL("exit 255")),
                255 << 8); /* the status of a failed set-up, but after an exec */
        assert_run(w, QUIET(.command = SHELL("kill -TERM $$")), SIGTERM);
        assert_run(w, QUIET(.command = SHELL("kill -KILL $$")), SIGKILL);
        assert_run(w, QUIET(.command = SHELL("kill -USR1 $$")), SIGUSR1);
}

/* Whether a core is dumped depends on the system. It must be the same for the role as for a child of this
 * test. */
static void test_core(void **state) {
        World *w = *state;
        struct rlimit rl;
        int expected;
        pid_t pid;

        assert_int_equal(getrlimit(RLIMIT_CORE, &rl), 0);
        pid = fork();
        if (pid == 0) {
                rl.rlim_cur = rl.rlim_max;
                if (setrlimit(RLIMIT_CORE, &rl) < 0 || chdir(w->dir) < 0)
                        _exit(1);
                (void) execl("/bin/sh", "sh", "-c", "kill -SEGV $$", NULL);
                _exit(127);
        }
        assert_int_equal(waitpid(pid, &expected, 0), pid);
        assert_int_equal(expected & 0x7f, SIGSEGV);

        assert_run(w,
                QUIET(.command = SHELL("kill -SEGV $$"), .working_directory = w->dir,
                        .limits_set = UINT64_C(1) << RLIMIT_CORE,
                        .limits = { [RLIMIT_CORE] =
                                            rl.rlim_max == RLIM_INFINITY ? UINT64_MAX : rl.rlim_max }),
                expected);
        assert_run(w,
                QUIET(.command = SHELL("kill -SEGV $$"), .working_directory = w->dir,
                        .limits_set = UINT64_C(1) << RLIMIT_CORE, .limits = { [RLIMIT_CORE] = 0 }),
                SIGSEGV);
}

static void test_record(void **state) {
        static const char work[] = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; exit 7";
        World *w = *state;
        uint64_t realtime = now(CLOCK_REALTIME), monotonic = now(CLOCK_MONOTONIC);
        struct proc_stat stat;
        Role role = role_fork(w, 0);
        struct keeper_exited e;

        assert_int_equal(proc_stat_read(role.pid, &stat), 0);
        assert_int_equal(stat.ppid, w->keeper);
        assert_true(stat.start_time == role.start_time);

        role_open(&role, QUIET(.command = SHELL((char *) work)));
        role_listen(&role);
        e = role_ended(w, &role);
        assert_int_equal(e.exit.wait_status, 7 << 8);
        assert_true(e.exit.realtime_usec >= realtime && e.exit.realtime_usec <= now(CLOCK_REALTIME));
        assert_true(e.exit.monotonic_usec >= monotonic && e.exit.monotonic_usec <= now(CLOCK_MONOTONIC));
        assert_true(e.exit.cpu_user_usec >= 10000 && e.exit.cpu_user_usec < 60 * USEC_PER_SEC);
        assert_true(e.exit.cpu_system_usec < 60 * USEC_PER_SEC);
        assert_true(e.exit.maxrss_bytes > 200 * 1024 && e.exit.maxrss_bytes < 1024 * 1024 * 1024);

        /* The zombie keeps the PID until it is acknowledged; then the PID is free. */
        assert_int_equal(proc_stat_read(role.pid, &stat), 0);
        assert_int_equal(stat.state, 'Z');
        assert_int_equal(stat.ppid, w->keeper);
        (void) role_end(w, &role);
        assert_int_equal(proc_stat_read(role.pid, &stat), -ESRCH);
}

static void test_signal(void **state) {
        World *w = *state;
        Role role = role_run(w, 0, QUIET(.command = COMMAND("/bin/sleep", "600")));
        struct keeper_exited e;

        assert_int_equal(world_signal(w, role.id, 0), 0);
        assert_int_equal(world_signal(w, role.id, 4711), -EINVAL);
        assert_int_equal(world_signal(w, role.id + 1, SIGTERM), -ENOENT);
        assert_int_equal(world_signal(w, role.id, SIGTERM), 0);
        e = role_ended(w, &role);
        assert_int_equal(e.exit.wait_status, SIGTERM);

        /* A zombie would accept it without an error. */
        assert_int_equal(world_signal(w, role.id, SIGTERM), -ESRCH);
        (void) role_end(w, &role);
        assert_int_equal(world_signal(w, role.id, SIGTERM), -ENOENT);
}

static void test_reap(void **state) {
        World *w = *state;
        Role role = role_run(w, KEEPER_FORK_STDIN_PIPE, QUIET(.command = COMMAND("/bin/cat"))), other;

        assert_int_equal(world_request(w, KEEPER_REAP, role.id), -EBUSY);
        assert_int_equal(world_request(w, KEEPER_REAP, role.id + 1), -ENOENT);
        assert_int_equal(world_request(w, KEEPER_CLOSE_STDIN, role.id + 1), -ENOENT);
        assert_int_equal(try_fork(w, role.id, "cam", 0, &other), -EEXIST);

        assert_int_equal(world_signal(w, role.id, SIGKILL), 0);
        (void) role_ended(w, &role);
        assert_int_equal(try_fork(w, role.id, "cam", 0, &other), -EEXIST); /* a zombie is still a child */
        (void) role_end(w, &role);
        assert_int_equal(world_request(w, KEEPER_REAP, role.id), -ENOENT);
        assert_int_equal(try_fork(w, role.id, "cam", 0, &other), 0);
        assert_int_equal(world_signal(w, role.id, SIGKILL), 0);
        (void) role_end(w, &other);

        assert_int_equal(try_fork(w, ++w->last_id, "cam", UINT32_C(1) << 31, &other), -EOPNOTSUPP);
}

/* Zombies, running roles, open gates and an idle node do not make the keeper run. */
static void test_no_wakeups(void **state) {
        World *w = *state;
        Role zombie = role_run(w, 0, QUIET(.command = COMMAND("/bin/true")));
        Role running = role_run(w, KEEPER_FORK_STDIN_PIPE, QUIET(.command = COMMAND("/bin/sleep", "600")));
        Role gated = role_fork(w, 0);

        (void) role_ended(w, &zombie);
        assert_at_rest(w->keeper);
        world_disconnect(w);
        assert_at_rest(w->keeper);
        (void) world_connect(w);
        for (int i = 0; i < 3; i++)
                (void) node_receive(w->node, &(Packet){ 0 }, (int[WORLD_FDS_MAX]){ 0 }, &(size_t){ 0 });
        world_disconnect(w);

        assert_int_equal(world_connect(w), 3);
        for (int i = 0; i < 3; i++) {
                int fds[WORLD_FDS_MAX];
                size_t n_fds;
                Packet p;

                assert_int_equal(node_receive(w->node, &p, fds, &n_fds), sizeof(p.child));
                for (size_t k = 0; k < n_fds; k++)
                        (void) fd_close(fds[k]);
                if (p.header.child == running.id)
                        assert_int_equal(p.child.exited, 0);
        }
        assert_int_equal(world_signal(w, running.id, SIGKILL), 0);
        (void) role_end(w, &running);
        assert_int_equal(world_request(w, KEEPER_REAP, zombie.id), 0);
        assert_int_equal(world_request(w, KEEPER_REAP, gated.id), 0); /* it died with the first connection */
        role_close(&zombie);
        role_close(&gated);
}

/* A dead role that is still traced by a debugger. Its pidfd is readable, but the keeper cannot wait for it
 * before the debugger detaches. */
static void test_traced(void **state) {
        World *w = *state;
        Role role = role_run(w, 0, QUIET(.command = COMMAND("/bin/sleep", "600")));
        int status;

        assert_int_equal(ptrace(PTRACE_SEIZE, role.pid, NULL, NULL), 0);
        assert_int_equal(kill(role.pid, SIGKILL), 0);
        assert_true(wait_for(pidfd_is_dead, &role.pidfd));
        assert_at_rest(w->keeper);
        assert_int_equal(poll(&(struct pollfd){ .fd = w->node, .events = POLLIN }, 1, 0),
                0); /* nothing to be reported yet */

        assert_int_equal(waitpid(role.pid, &status, __WALL), role.pid);
        assert_int_equal(role_end(w, &role).exit.wait_status, SIGKILL);
}

/* -- the gate -- */

static void test_gate_eof(void **state) {
        World *w = *state;
        Role role = role_fork(w, KEEPER_FORK_STDIN_PIPE), again;
        struct keeper_exited e;
        Packet p;
        int fds[WORLD_FDS_MAX];
        size_t n_fds;

        /* Closing this end does not close the gate, because the keeper has a copy for the next node. */
        (void) fd_close(role.gate);
        role.gate = -EBADF;
        assert_false(pidfd_is_dead(&role.pidfd));
        (void) usleep(50000);
        assert_false(pidfd_is_dead(&role.pidfd));

        world_disconnect(w);
        assert_true(wait_for(pidfd_is_dead, &role.pidfd));

        assert_int_equal(world_connect(w), 1);
        assert_int_equal(node_receive(w->node, &p, fds, &n_fds), sizeof(p.child));
        if (!p.child.exited) {
                /* If the keeper had not handled it yet, the exit is reported separately. */
                again = role;
                e = role_ended(w, &again);
                p.child.exit = e.exit;
                p.child.execed = e.execed;
        }
        assert_int_equal(p.child.execed, 0);
        assert_int_equal(p.child.exit.wait_status, 255 << 8);
        for (size_t i = 0; i < n_fds; i++)
                (void) fd_close(fds[i]);
        assert_int_equal(world_request(w, KEEPER_REAP, role.id), 0);
        role_close(&role);
}

/* A child whose request is in the queue when the node dies becomes a role, and a child without a request
 * exits. Both are stopped meanwhile, so that the result does not depend on timing. */
static void test_gate_queue(void **state) {
        World *w = *state;
        Role with = role_fork(w, 0), without = role_fork(w, 0);
        struct keeper_exited e;
        int n_gates = 0;

        role_wait_at_gate(&with);
        role_wait_at_gate(&without);
        assert_int_equal(kill(with.pid, SIGSTOP), 0);
        assert_int_equal(kill(without.pid, SIGSTOP), 0);
        role_open(&with, QUIET(.command = SHELL("exit 5")));
        world_disconnect(w);

        /* The next node receives both gates, because they are open. It can send no more. */
        assert_int_equal(world_connect(w), 2);
        for (int i = 0; i < 2; i++) {
                int fds[WORLD_FDS_MAX];
                size_t n_fds;
                Packet p;

                assert_int_equal(node_receive(w->node, &p, fds, &n_fds), sizeof(p.child));
                assert_int_equal(p.child.fds, KEEPER_FD_PIDFD | KEEPER_FD_GATE);
                assert_int_equal(n_fds, 2);
                assert_int_equal(p.child.execed, 0);
                assert_int_equal(p.child.exited, 0);
                assert_int_equal(socket_send(fds[1], "x", 1, NULL, 0), -EPIPE);
                n_gates++;
                if (p.header.child == with.id) {
                        (void) fd_close(with.gate);
                        with.gate = fds[1];
                } else
                        (void) fd_close(fds[1]);
                (void) fd_close(fds[0]);
        }
        assert_int_equal(n_gates, 2);

        assert_int_equal(kill(with.pid, SIGCONT), 0);
        assert_int_equal(kill(without.pid, SIGCONT), 0);
        role_listen(&with);
        assert_int_equal(with.n_reports, 0);
        e = role_end(w, &with);
        assert_int_equal(e.execed, 1);
        assert_int_equal(e.exit.wait_status, 5 << 8);
        e = role_end(w, &without);
        assert_int_equal(e.execed, 0);
        assert_int_equal(e.exit.wait_status, 255 << 8);
}

/* A child that is killed while it waits closes its gate, which must not count as success. */
static void test_gate_killed(void **state) {
        World *w = *state;
        Role role = role_fork(w, 0);
        struct keeper_exited e;

        assert_int_equal(world_signal(w, role.id, SIGTERM), 0);
        role_listen(&role);
        assert_int_equal(role.n_reports, 0);
        e = role_end(w, &role);
        assert_int_equal(e.execed, 0);
        assert_int_equal(e.exit.wait_status, SIGTERM);
}

static void test_gate_bystanders(void **state) {
        World *w = *state;
        Role first = role_fork(w, KEEPER_FORK_STDIN_PIPE), second = role_fork(w, KEEPER_FORK_STDIN_PIPE);
        char text[64], *limits;

        /* A child has the standard streams, its gate and its stdin, but neither the listening socket nor
         * descriptors of another child. */
        (void) snprintf(text, sizeof(text), "/proc/%d/status", (int) second.pid);
        role_wait_at_gate(&second);
        assert_int_equal(count_process_fds(second.pid), 5);
        assert_int_equal(file_read(AT_FDCWD, text, 65536, &limits, NULL), 0);
        assert_non_null(strstr(limits, "Name:\t(cam)\n"));
        free(limits);
        (void) snprintf(text, sizeof(text), "/proc/%d/cmdline", (int) second.pid);
        assert_int_equal(file_read(AT_FDCWD, text, 65536, &limits, NULL), 0);
        assert_string_equal(limits, "(cam)");
        free(limits);

        assert_int_equal(world_signal(w, first.id, SIGKILL), 0);
        assert_int_equal(world_signal(w, second.id, SIGKILL), 0);
        (void) role_end(w, &first);
        (void) role_end(w, &second);
}

static void test_keeper_killed(void **state) {
        World *w = *state;
        int status;
        Role gated, running;

        assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
        gated = role_fork(w, 0);
        role_wait_at_gate(&gated);
        running = role_run(w, KEEPER_FORK_STDIN_PIPE, QUIET(.command = COMMAND("/bin/sleep", "600")));

        assert_int_equal(kill(w->keeper, SIGKILL), 0);
        assert_int_equal(waitpid(w->keeper, &status, 0), w->keeper);
        w->keeper = 0;
        world_disconnect(w);

        /* No half-started child remains, and running roles continue. */
        assert_int_equal(waitpid(gated.pid, &status, 0), gated.pid);
        assert_int_equal(status, SIGKILL);
        assert_false(pidfd_is_dead(&running.pidfd));
        assert_int_equal(kill(running.pid, SIGKILL), 0);
        assert_int_equal(waitpid(running.pid, &status, 0), running.pid);
        assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
        role_close(&gated);
        role_close(&running);
}

/* -- a node that connects again -- */

static void test_reconnect(void **state) {
        World *w = *state;
        char *path = world_path(w, "out"), *text;
        Role zombie, cat = role_run(w, KEEPER_FORK_STDIN_PIPE,
                             REQUEST(.command = COMMAND("/bin/cat"), .output = LAUNCH_OUTPUT_FILE,
                                     .output_path = path));
        struct keeper_exited e;
        int seen = 0;

        assert_int_equal(try_fork(w, ++w->last_id, "other-name", 0, &zombie), 0);
        role_open(&zombie, QUIET(.command = SHELL("exit 3")));
        role_listen(&zombie);
        e = role_ended(w, &zombie);

        assert_int_equal(write(cat.stdin_fd, "one ", 4), 4);
        world_disconnect(w);
        role_close(&cat); /* as when a node dies */

        assert_int_equal(world_connect(w), 2);
        for (int i = 0; i < 2; i++) {
                int fds[WORLD_FDS_MAX];
                size_t n_fds;
                Packet p;

                assert_int_equal(node_receive(w->node, &p, fds, &n_fds), sizeof(p.child));
                assert_int_equal(p.header.type, KEEPER_CHILD);
                assert_int_equal(p.child.execed, 1);
                if (p.header.child == zombie.id) {
                        assert_string_equal(p.child.role, "other-name");
                        assert_int_equal(p.child.pid, zombie.pid);
                        assert_true(p.child.start_time == zombie.start_time);
                        assert_int_equal(p.child.fds, KEEPER_FD_PIDFD);
                        assert_int_equal(n_fds, 1);
                        assert_int_equal(p.child.exited, 1);
                        assert_memory_equal(
                                &p.child.exit, &e.exit, sizeof(e.exit)); /* the same, to the microsecond */
                        assert_true(pidfd_is_dead(&fds[0]));
                        (void) fd_close(fds[0]);
                        seen |= 1;
                } else {
                        const struct keeper_exit_record none = { 0 };

                        assert_int_equal(p.header.child, cat.id);
                        assert_string_equal(p.child.role, "cam");
                        assert_int_equal(p.child.pid, cat.pid);
                        assert_true(p.child.start_time == cat.start_time);
                        assert_int_equal(
                                p.child.fds, KEEPER_FD_PIDFD | KEEPER_FD_STDIN); /* its gate has closed */
                        assert_int_equal(n_fds, 2);
                        assert_int_equal(p.child.exited, 0);
                        assert_memory_equal(&p.child.exit, &none, sizeof(none));
                        assert_false(pidfd_is_dead(&fds[0]));
                        cat.pidfd = fds[0];
                        cat.stdin_fd = fds[1];
                        seen |= 2;
                }
        }
        assert_int_equal(seen, 3);

        /* It is the same pipe, so nothing was lost and there was no EOF in between. */
        assert_true(fcntl(cat.stdin_fd, F_GETFL) & O_NONBLOCK);
        assert_int_equal(write(cat.stdin_fd, "two", 3), 3);
        assert_int_equal(world_request(w, KEEPER_CLOSE_STDIN, cat.id), 0);
        assert_int_equal(world_request(w, KEEPER_CLOSE_STDIN, cat.id), 0);
        assert_false(pidfd_is_dead(&cat.pidfd)); /* the copy of the test is still open */
        cat.stdin_fd = fd_close(cat.stdin_fd);
        assert_int_equal(role_end(w, &cat).exit.wait_status, 0);
        text = world_read(w, "out");
        assert_string_equal(text, "one two");
        free(text);
        free(path);

        /* The exit of the zombie is not reported separately again. */
        assert_int_equal(w->n_exits, 0);
        assert_int_equal(world_request(w, KEEPER_REAP, zombie.id), 0);
        role_close(&zombie);
}

static void test_exit_while_away(void **state) {
        World *w = *state;
        Role role = role_run(w, 0, QUIET(.command = COMMAND("/bin/sleep", "600")));
        int fds[WORLD_FDS_MAX];
        size_t n_fds;
        Packet p;

        world_disconnect(w);
        assert_int_equal(kill(role.pid, SIGUSR2), 0);
        assert_true(wait_for(pidfd_is_dead, &role.pidfd));
        assert_at_rest(w->keeper);

        assert_int_equal(world_connect(w), 1);
        assert_int_equal(node_receive(w->node, &p, fds, &n_fds), sizeof(p.child));
        assert_int_equal(p.child.exited, 1);
        assert_int_equal(p.child.exit.wait_status, SIGUSR2);
        (void) fd_close(fds[0]);
        assert_int_equal(world_request(w, KEEPER_REAP, role.id), 0);
        assert_int_equal(w->n_exits, 0);
        role_close(&role);
}

/* -- a node that does not read -- */

/* Returns the events that the keeper waits for on the connection of its node, as its epoll lists them. */
static unsigned node_events(World *w) {
        char path[64], *text;
        unsigned most = 0;

        for (int fd = 3; fd < 10; fd++) {
                (void) snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int) w->keeper, fd);
                if (file_read(AT_FDCWD, path, 1024 * 1024, &text, NULL) < 0)
                        continue;
                for (char *p = strstr(text, "tfd:"); p; p = strstr(p + 1, "tfd:")) {
                        unsigned events;

                        assert_int_equal(sscanf(p, "tfd: %*d events: %x", &events), 1);
                        if (events & POLLOUT)
                                most = events;
                }
                free(text);
        }
        return most;
}

static bool is_blocked(void *userdata) {
        return node_events(userdata) & POLLOUT;
}

static void test_deaf_node(void **state) {
        enum { N = 400 };
        World *w = *state;
        static Role roles[N];
        int fds[WORLD_FDS_MAX];
        Packet p;

        for (int i = 0; i < N; i++)
                roles[i] = role_fork(w, 0);
        assert_false(is_blocked(w));

        /* Exits that are not read, until the keeper can send no more, after about 280. */
        for (int i = 0; i < N; i++)
                assert_int_equal(kill(roles[i].pid, i % 2 ? SIGKILL : SIGTERM), 0);
        for (int i = 0; i < N; i++)
                assert_true(wait_for(pidfd_is_dead, &roles[i].pidfd));
        assert_true(wait_for(is_blocked, w));
        assert_at_rest(w->keeper);

        /* Now the keeper reads no requests either. They wait in the socket, and not in its memory. */
        for (int i = 0; i < 5; i++)
                node_send(w->node, &(struct keeper_header){ .type = KEEPER_REAP, .child = 1000000 },
                        sizeof(struct keeper_header));
        assert_at_rest(w->keeper);

        /* Each exit arrives once and is correct; then the five replies follow. */
        for (int i = 0; i < N; i++) {
                struct keeper_exited e = role_ended(w, &roles[i]);

                assert_int_equal(e.exit.wait_status, i % 2 ? SIGKILL : SIGTERM);
                assert_int_equal(e.execed, 0);
        }
        assert_int_equal(w->n_exits, N);
        for (int i = 0; i < 5; i++) {
                (void) world_receive(w, KEEPER_DONE, 1000000, &p, fds);
                assert_int_equal(p.done.error, -ENOENT);
        }
        assert_false(is_blocked(w));

        /* The same for a HELLO with more announcements than the socket takes, and for a death in the middle
         * of them. */
        world_disconnect(w);
        assert_int_equal(world_connect(w), N);
        assert_true(wait_for(is_blocked, w));
        world_disconnect(w);

        /* A new node that has not agreed on a version receives nothing that was meant for the previous
         * one. */
        w->node = node_connect(w);
        node_hello(w->node, KEEPER_PROTOCOL_VERSION + 1, KEEPER_PROTOCOL_VERSION + 1, &p);
        assert_int_equal(p.welcome.error, -EPROTONOSUPPORT);
        assert_int_equal(world_request(w, KEEPER_REEXEC, 0), 0);
        world_disconnect(w);
        assert_int_equal(world_connect(w), N);
        for (int i = 0; i < N; i++) {
                size_t n_fds;

                assert_int_equal(node_receive(w->node, &p, fds, &n_fds), sizeof(p.child));
                assert_int_equal(p.child.exited, 1);
                for (size_t k = 0; k < n_fds; k++)
                        (void) fd_close(fds[k]);
        }
        for (int i = 0; i < N; i++)
                (void) world_request(w, KEEPER_REAP, roles[i].id);
        for (int i = 0; i < N; i++)
                role_close(&roles[i]);
}

/* -- shortages -- */

static void few_files(World *w) {
        (void) setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 30, 60 });
}

static void test_emfile(void **state) {
        World *w = *state;
        static Role roles[60];
        int n = 0, r = 0, fds[WORLD_FDS_MAX];
        size_t n_fds;
        Packet p;

        world_start(w, &(struct start){ .before_exec = few_files });
        while (n < 60 && (r = try_fork(w, ++w->last_id, "cam", KEEPER_FORK_STDIN_PIPE, &roles[n])) == 0)
                n++;
        assert_int_equal(r, -EMFILE);
        assert_true(n > 10); /* up to the hard limit instead of the soft one */

        /* Failed attempts leave nothing behind, however often they are repeated. */
        for (int i = 0; i < 100; i++)
                assert_int_equal(
                        try_fork(w, ++w->last_id, "cam", KEEPER_FORK_STDIN_PIPE, &roles[n]), -EMFILE);

        /* With all descriptors in use the keeper still knows which children have passed their exec, refuses a
         * second node, and accepts the next one. */
        for (int i = 0; i < n; i += 2) {
                role_open(&roles[i], QUIET(.command = SHELL("exit 9")));
                role_listen(&roles[i]);
                assert_int_equal(roles[i].n_reports, 0);
        }
        {
                autofd second = node_connect(w);

                node_hello(second, 1, 1, &p);
                assert_int_equal(p.welcome.error, -EBUSY);
        }
        for (int i = 1; i < n; i += 2)
                assert_int_equal(world_signal(w, roles[i].id, SIGKILL), 0);
        for (int i = 0; i < n; i++) {
                struct keeper_exited e = role_ended(w, &roles[i]);

                assert_int_equal(e.execed, i % 2 == 0);
                assert_int_equal(e.exit.wait_status, i % 2 == 0 ? 9 << 8 : SIGKILL);
        }
        world_disconnect(w);
        assert_int_equal(world_connect(w), n);
        for (int i = 0; i < n; i++) {
                assert_int_equal(node_receive(w->node, &p, fds, &n_fds), sizeof(p.child));
                for (size_t k = 0; k < n_fds; k++)
                        (void) fd_close(fds[k]);
        }
        for (int i = 0; i < n; i++) {
                assert_int_equal(world_request(w, KEEPER_REAP, roles[i].id), 0);
                role_close(&roles[i]);
        }
        assert_run(w, QUIET(.command = COMMAND("/bin/true")), 0);
}

/* The keeper runs as an ordinary user, to whom the kernel refuses a process. */
static void test_eagain(void **state) {
        World *w = *state;
        int n_fds, status;
        Role role;
        pid_t pid;

        world_start(w, &(struct start){ .uid = ALICE_UID, .gid = ALICE_GID });
        n_fds = count_process_fds(w->keeper);

        /* The signal is sent by a process of the same user, because root may lack the capability. */
        pid = fork();
        if (pid == 0)
                _exit(setresgid(ALICE_GID, ALICE_GID, ALICE_GID) < 0 ||
                        setresuid(ALICE_UID, ALICE_UID, ALICE_UID) < 0 ||
                        prlimit(w->keeper, RLIMIT_NPROC, &(struct rlimit){ 0, 0 }, NULL) < 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);

        for (int i = 0; i < 10; i++)
                assert_int_equal(try_fork(w, ++w->last_id, "cam", KEEPER_FORK_STDIN_PIPE, &role), -EAGAIN);
        assert_int_equal(count_process_fds(w->keeper), n_fds);
}

/* -- cgroup.kill -- */

static void test_kill_cgroup(void **state) {
        World *w = *state;
        struct keeper_kill_cgroup m = { .header = { .type = KEEPER_KILL_CGROUP, .child = 99 } };
        char directory[128], procs[160], pid[16];
        Packet p;
        Role role;
        int fds[WORLD_FDS_MAX];

        /* The test has mounted a cgroup2 where the keeper expects it; both share the mount namespace. */
        assert_int_equal(mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, NULL), 0);
        (void) snprintf(m.path, sizeof(m.path), "/architect-main-test%d.scope", (int) getpid());
        (void) snprintf(directory, sizeof(directory), "/sys/fs/cgroup%.64s", m.path);
        (void) snprintf(procs, sizeof(procs), "%s/cgroup.procs", directory);

        node_send(w->node, &m, sizeof(m.header) + strlen(m.path) + 1); /* only up to the NUL */
        (void) world_receive(w, KEEPER_DONE, 99, &p, fds);
        assert_int_equal(p.done.request, KEEPER_KILL_CGROUP);
        assert_int_equal(p.done.error, -ENOENT);

        assert_int_equal(mkdir(directory, 0755), 0);
        role = role_run(w, 0, QUIET(.command = COMMAND("/bin/sleep", "600")));
        (void) snprintf(pid, sizeof(pid), "%d", (int) role.pid);
        assert_int_equal(file_write_string(procs, pid), 0);
        node_send(w->node, &m, sizeof(m)); /* or all of it */
        (void) world_receive(w, KEEPER_DONE, 99, &p, fds);
        assert_int_equal(p.done.error, 0);
        assert_int_equal(role_end(w, &role).exit.wait_status, SIGKILL);

        for (int i = 0; i < 2000 && rmdir(directory) < 0; i++)
                (void) usleep(1000);
        assert_int_equal(access(directory, F_OK), -1);
        assert_int_equal(umount("/sys/fs/cgroup"), 0);
}

/* -- many children, at once and in random order -- */
static void test_many(void **state) {
        enum { N = 300 };
        World *w = *state;
        static Role roles[N];

        for (int i = 0; i < N; i++) {
                roles[i] = role_fork(w, i % 3 ? 0 : KEEPER_FORK_STDIN_PIPE);
                role_open(&roles[i], QUIET(.command = COMMAND("/bin/sleep", "600")));
        }
        for (int i = 0; i < N; i++) {
                role_listen(&roles[i]);
                assert_int_equal(roles[i].n_reports, 0);
        }
        for (int i = 0; i < N; i++)
                assert_int_equal(kill(roles[(i * 7) % N].pid, 1 + i % 3), 0); /* HUP, INT, QUIT */
        for (int i = 0; i < N; i++) {
                struct keeper_exited e = role_end(w, &roles[(i * 7) % N]);

                assert_int_equal(e.execed, 1);
                assert_int_equal(e.exit.wait_status & 0x7f, 1 + i % 3);
        }
}

int main(void) {
#define CONNECTED(f) cmocka_unit_test_setup_teardown(f, world_setup_connected, world_teardown)
#define ALONE(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
        const struct CMUnitTest tests[] = {
                CONNECTED(test_exits),
                CONNECTED(test_core),
                CONNECTED(test_record),
                CONNECTED(test_signal),
                CONNECTED(test_reap),
                CONNECTED(test_no_wakeups),
                CONNECTED(test_traced),
                CONNECTED(test_gate_eof),
                CONNECTED(test_gate_queue),
                CONNECTED(test_gate_killed),
                CONNECTED(test_gate_bystanders),
                CONNECTED(test_keeper_killed),
                CONNECTED(test_reconnect),
                CONNECTED(test_exit_while_away),
                CONNECTED(test_deaf_node),
                ALONE(test_emfile),
                ALONE(test_eagain),
                CONNECTED(test_kill_cgroup),
                CONNECTED(test_many),
        };

        return cmocka_run_group_tests(tests, world_group_setup, NULL);
}
