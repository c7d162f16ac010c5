/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The keeper receives what roles send by sd_notify(3): from whom, in which order, and until the node has
 * saved it. */

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keeper-world.h"

#include "base/fd-util.h"
#include "base/time-util.h"
#include "keeper/notify.h"

static int receive_child(World *w, const Role *role) {
        int fds[WORLD_FDS_MAX];
        size_t n_fds;
        Packet p;

        assert_int_equal(node_receive(w->node, &p, fds, &n_fds), sizeof(p.child));
        assert_int_equal(p.header.type, KEEPER_CHILD);
        assert_int_equal(p.header.child, role->id);
        for (size_t i = 0; i < n_fds; i++)
                assert_int_equal(close(fds[i]), 0);
        return (int) p.child.exited;
}

/* Fails if anything comes before the reply of a sync. The keeper may still see to it that the descriptor of a
 * barrier is closed, in which case it is asked again, as the service does. */
static void expect_nothing(World *w, const Role *role) {
        int r;

        do
                r = take_notified(w, role->id, 0);
        while (r == -EAGAIN);
        assert_int_equal(r, 0);
}

static void end_sender(World *w, Role *role) {
        sender_do(role, "x0");
        assert_int_equal(role_end(w, role).exit.wait_status, 0);
}

static char *environment_of(pid_t pid, const char *name) {
        char path[64], *text, *found = NULL;
        size_t size;

        (void) snprintf(path, sizeof(path), "/proc/%d/environ", (int) pid);
        /* It is empty in the middle of an exec, such as that of a shell. */
        do {
                assert_int_equal(file_read(AT_FDCWD, path, 1 << 20, &text, &size), 0);
        } while (size == 0 && (free(text), true));
        for (char *p = text; p < text + size; p += strlen(p) + 1)
                if (strncmp(p, name, strlen(name)) == 0 && p[strlen(name)] == '=')
                        found = strdup(p + strlen(name) + 1);
        free(text);
        return found;
}

static void test_order(void **state) {
        World *w = *state;
        Role role = sender_run(w, KEEPER_FORK_NOTIFY);
        uint64_t number;

        sender_do(&role, "mSTATUS=starting|FOO=1|READY=0|READY=1");
        number = expect_notified(w, &role, NOTIFY_STATUS, "starting", 0);
        assert_int_equal(number, 1);
        assert_int_equal(expect_notified(w, &role, NOTIFY_READY, NULL, 0), 2);
        sender_do(&role, "mMAINPID=12|EXTEND_TIMEOUT_USEC=70|ERRNO=2|RELOADING=1|STOPPING=1|WATCHDOG=1");
        (void) expect_notified(w, &role, NOTIFY_MAINPID, NULL, 12);
        (void) expect_notified(w, &role, NOTIFY_ERRNO, NULL, 2);
        (void) expect_notified(w, &role, NOTIFY_EXTEND_TIMEOUT, NULL, 70);
        (void) expect_notified(w, &role, NOTIFY_RELOADING, NULL, 0);
        (void) expect_notified(w, &role, NOTIFY_STOPPING, NULL, 0);
        (void) expect_notified(w, &role, NOTIFY_WATCHDOG, NULL, 0);
        sender_do(&role, "mWATCHDOG=trigger");
        assert_int_equal(expect_notified(w, &role, NOTIFY_WATCHDOG_TRIGGER, NULL, 0), 9);
        sender_do(&role, "b");
        (void) expect_notified(w, &role, NOTIFY_STATUS, "barrier", 0);
        expect_nothing(w, &role);
        end_sender(w, &role);
}

/* What is not saved comes again, with its number; of a watchdog the last one always. */
static void test_again(void **state) {
        World *w = *state;
        Role role = sender_run(w, KEEPER_FORK_NOTIFY);

        /* Who sees that it is ready sees its status, too. */
        sender_do(&role, "mWATCHDOG=1|READY=1|STATUS=a");
        assert_int_equal(expect_notified(w, &role, NOTIFY_STATUS, "a", 0), 1);
        assert_int_equal(expect_notified(w, &role, NOTIFY_WATCHDOG, NULL, 0), 2);
        assert_int_equal(expect_notified(w, &role, NOTIFY_READY, NULL, 0), 3);
        assert_int_equal(take_notified(w, role.id, 3), 0);
        world_disconnect(w);

        /* Of a status the last one. */
        sender_do(&role, "mSTATUS=b|EXTEND_TIMEOUT_USEC=1");
        sender_do(&role, "mSTATUS=c|EXTEND_TIMEOUT_USEC=2|WATCHDOG=1");
        sender_do(&role, "mERRNO=7");
        sender_do(&role, "b");
        sender_do(&role, "w"); /* the keeper has read all of it */
        sender_wait(&role);
        for (int i = 0; i < 2; i++) {
                assert_int_equal(world_connect(w), 1);
                assert_int_equal(receive_child(w, &role), 0);
                assert_int_equal(expect_notified(w, &role, NOTIFY_EXTEND_TIMEOUT, NULL, 2), 7);
                assert_int_equal(expect_notified(w, &role, NOTIFY_WATCHDOG, NULL, 0), 8);
                assert_int_equal(expect_notified(w, &role, NOTIFY_ERRNO, NULL, 7), 9);
                assert_int_equal(expect_notified(w, &role, NOTIFY_STATUS, "barrier", 0), 10);
                expect_nothing(w, &role);
                world_disconnect(w);
        }
        assert_int_equal(world_connect(w), 1);
        assert_int_equal(receive_child(w, &role), 0);
        (void) expect_notified(w, &role, NOTIFY_EXTEND_TIMEOUT, NULL, 2);
        (void) expect_notified(w, &role, NOTIFY_WATCHDOG, NULL, 0);
        (void) expect_notified(w, &role, NOTIFY_ERRNO, NULL, 7);
        (void) expect_notified(w, &role, NOTIFY_STATUS, "barrier", 0);
        assert_int_equal(take_notified(w, role.id, 10), 0);
        world_disconnect(w);
        assert_int_equal(world_connect(w), 1);
        assert_int_equal(receive_child(w, &role), 0);
        (void) expect_notified(w, &role, NOTIFY_WATCHDOG, NULL, 0);
        expect_nothing(w, &role);
        end_sender(w, &role);
}

/* Its end comes after what it has sent, also for a node that was away. */
static void test_end(void **state) {
        World *w = *state;
        Role role = sender_run(w, KEEPER_FORK_NOTIFY), away = sender_run(w, KEEPER_FORK_NOTIFY);
        int fds[WORLD_FDS_MAX];
        size_t n_fds;
        Packet p;

        sender_do(&role, "mREADY=1");
        sender_do(&role, "x3");
        assert_int_equal(node_receive(w->node, &p, fds, &n_fds), offsetof(struct keeper_notified, text) + 1);
        assert_int_equal(p.header.type, KEEPER_NOTIFIED);
        assert_int_equal(p.notified.pid, role.pid);
        assert_int_equal(role_end(w, &role).exit.wait_status, 3 << 8);

        world_disconnect(w);
        sender_do(&away, "mREADY=1");
        sender_do(&away, "x4");
        assert_true(wait_for(pidfd_is_dead, &away.pidfd));
        assert_int_equal(world_connect(w), 1);
        assert_int_equal(receive_child(w, &away), 0); /* its end follows */
        (void) expect_notified(w, &away, NOTIFY_READY, NULL, 0);
        assert_int_equal(role_ended(w, &away).exit.wait_status, 4 << 8);
        /* A node of the version before knows no notifications, and so its end is in the list. */
        world_disconnect(w);
        autofd node = node_connect(w);
        node_hello(node, 4, 4, &p);
        assert_int_equal(node_receive(node, &p, fds, &n_fds), sizeof(p.child));
        assert_int_equal(p.child.exited, 1);
        for (size_t i = 0; i < n_fds; i++)
                assert_int_equal(close(fds[i]), 0);
        (void) fd_close(fd_steal(&node));
        assert_int_equal(world_connect(w), 1);
        assert_int_equal(receive_child(w, &away), 0);
        (void) expect_notified(w, &away, NOTIFY_READY, NULL, 0);
        (void) role_end(w, &away);
}

static int send_as(const char *path, uid_t uid, const char *text) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int status;
        pid_t pid = fork();

        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        if (pid == 0) {
                int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

                if (setresuid(uid, uid, uid) < 0 || fd < 0)
                        _exit(100);
                if (connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0 ||
                        send(fd, text, strlen(text), 0) < 0)
                        _exit(errno);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status);
}

static unsigned count_lines(World *w, const char *text) {
        _cleanup_free_ char *log = world_read(w, "log");
        unsigned n = 0;

        for (char *p = log; p && (p = strstr(p, text)); p++)
                n++;
        return n;
}

/* A child of the main process, a stranger and another role, each said once. */
static void test_refused(void **state) {
        World *w = *state;
        Role role = sender_run(w, KEEPER_FORK_NOTIFY), other = sender_run(w, KEEPER_FORK_NOTIFY);
        _cleanup_free_ char *path = environment_of(role.pid, "NOTIFY_SOCKET");

        w->noisy = true;
        assert_non_null(path);
        for (int i = 0; i < 3; i++)
                sender_do(&role, "cREADY=1");
        sender_do(&role, "mSTATUS=main");
        assert_int_equal(expect_notified(w, &role, NOTIFY_STATUS, "main", 0), 1);
        assert_int_equal(send_as(path, 0, "READY=1"), 0);
        assert_int_equal(send_as(path, ALICE_UID, "READY=1"), 0);
        expect_nothing(w, &role);
        assert_int_equal(count_lines(w, "Refusing notifications of process"), 1);
        assert_int_equal(count_lines(w, "it is not the main process of the role"), 1);

        /* The main process of another role is none of this one. */
        assert_int_equal(send_as(path, 0, "STATUS=x"), 0);
        sender_do(&other, "mREADY=1");
        (void) expect_notified(w, &other, NOTIFY_READY, NULL, 0);
        end_sender(w, &role);
        end_sender(w, &other);
}

/* -- cgroups -- */

static const char *const cgroups[] = { "", "/architect-main-cam.scope", "/architect-main-cam.scope/below",
        "/other", "/other/architect-main-cam.scope" };

static const char *cgroup_directory(const char *name) {
        static char directories[4][256];
        static unsigned n;
        static pid_t run;
        char *directory = directories[n++ % ELEMENTSOF(directories)];

        /* Two runs of the test do not meet. */
        if (run == 0)
                run = getpid();
        (void) snprintf(
                directory, sizeof(directories[0]), "/sys/fs/cgroup/architect-notify-%d%s", (int) run, name);
        return directory;
}

static void cgroup_enter(const char *name, pid_t pid) {
        char path[320], text[16];

        (void) snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup_directory(name));
        (void) snprintf(text, sizeof(text), "%d", (int) pid);
        assert_int_equal(file_write_string(path, text), 0);
}

static bool cgroup_is_removed(void *name) {
        return rmdir(cgroup_directory(name)) == 0 || errno == ENOENT;
}

/* It sends by itself, and lives until the keeper has looked at it. It has a copy of the inputs of all roles,
 * so if it outlived the test, they would, too. */
static pid_t stranger_new(const char *cgroup, const char *path, const char *text) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int status;
        pid_t pid = fork();

        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        assert_true(pid >= 0);
        if (pid == 0) {
                int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                cgroup_enter(cgroup, getpid());
                if (sendto(fd, text, strlen(text), 0, (struct sockaddr *) &address, sizeof(address)) < 0)
                        _exit(1);
                (void) raise(SIGSTOP);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
        assert_true(WIFSTOPPED(status));
        return pid;
}

static void stranger_end(pid_t pid) {
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* With access for all, those in the scope, also below it, and not those of a scope of this name elsewhere. */
static void test_all(void **state) {
        World *w = *state;
        Role role = sender_run(w, KEEPER_FORK_NOTIFY | KEEPER_FORK_NOTIFY_ALL);
        _cleanup_free_ char *path = environment_of(role.pid, "NOTIFY_SOCKET");
        pid_t pid;

        w->noisy = true;
        for (size_t i = 0; i < ELEMENTSOF(cgroups); i++)
                assert_int_equal(mkdir(cgroup_directory(cgroups[i]), 0755), 0);

        /* While it is not in its scope, it alone may send. */
        pid = stranger_new(cgroups[1], path, "READY=1");
        sender_do(&role, "mSTATUS=main");
        (void) expect_notified(w, &role, NOTIFY_STATUS, "main", 0);
        expect_nothing(w, &role);
        stranger_end(pid);

        cgroup_enter(cgroups[2], role.pid);
        for (int i = 1; i <= 2; i++) {
                pid = stranger_new(cgroups[i], path, "ERRNO=3");
                (void) expect_notified(w, &role, NOTIFY_ERRNO, NULL, 3);
                expect_nothing(w, &role);
                stranger_end(pid);
        }
        for (int i = 3; i <= 4; i++) {
                pid = stranger_new(cgroups[i], path, "READY=1");
                expect_nothing(w, &role);
                stranger_end(pid);
        }
        assert_int_equal(count_lines(w, "it is not in the scope of the role"), 1);
        end_sender(w, &role);
}

/* A test that has failed leaves nothing either. */
static int teardown_all(void **state) {
        char path[320];
        int r;

        (void) snprintf(path, sizeof(path), "%s/cgroup.kill", cgroup_directory(""));
        (void) file_write_string(path, "1");
        r = world_teardown(state);
        for (size_t i = ELEMENTSOF(cgroups); i > 0; i--)
                if (!wait_for(cgroup_is_removed, (void *) cgroups[i - 1]))
                        r = -1;
        return r;
}

/* While the node does not take them, no more than this many wait; more than this many a second wait in the
 * socket. */
static void test_many(void **state) {
        World *w = *state;
        Role role = sender_run(w, KEEPER_FORK_NOTIFY);
        uint64_t began = now_usec(CLOCK_MONOTONIC), last = 0;
        unsigned n = 0;

        w->noisy = true;
        world_disconnect(w);
        sender_do(&role, "r400");
        sender_do(&role, "b");
        sender_do(&role, "x0");
        assert_true(wait_for(pidfd_is_dead, &role.pidfd));
        assert_true(now_usec(CLOCK_MONOTONIC) - began >= 2 * USEC_PER_SEC);
        assert_int_equal(world_connect(w), 1);
        assert_int_equal(receive_child(w, &role), 0);
        for (;;) {
                int fds[WORLD_FDS_MAX];
                size_t n_fds;
                Packet p;

                (void) node_receive(w->node, &p, fds, &n_fds);
                if (p.header.type == KEEPER_EXITED) {
                        w->exits[w->n_exits++] = p.exited;
                        break;
                }
                assert_int_equal(p.notified.kind, NOTIFY_READY);
                assert_true(p.notified.number > last);
                last = p.notified.number;
                n++;
        }
        assert_int_equal(n, NOTIFY_KEPT_MAX);
        assert_int_equal(count_lines(w, "Dropping notifications of role cam, of which 256 wait"), 1);
        assert_int_equal(take_notified(w, role.id, last), 0);
        (void) role_end(w, &role);
}

/* A node that takes each of them at once does not make it more. */
static void test_many_taken(void **state) {
        World *w = *state;
        Role role = sender_run(w, KEEPER_FORK_NOTIFY);
        uint64_t began = now_usec(CLOCK_MONOTONIC);
        unsigned n = 0, n_done = 0;

        sender_do(&role, "r400");
        while (n < 400 || n_done < 400) {
                struct keeper_take_notified m = { .header = { KEEPER_TAKE_NOTIFIED, .child = role.id } };
                int fds[WORLD_FDS_MAX];
                size_t n_fds;
                Packet p;

                (void) node_receive(w->node, &p, fds, &n_fds);
                if (p.header.type == KEEPER_DONE) {
                        assert_int_equal(p.done.error, 0);
                        n_done++;
                        continue;
                }
                assert_int_equal(p.header.type, KEEPER_NOTIFIED);
                assert_int_equal(p.notified.number, ++n);
                m.number = p.notified.number;
                node_send(w->node, &m, sizeof(m));
        }
        assert_true(now_usec(CLOCK_MONOTONIC) - began >= 2 * USEC_PER_SEC);
        end_sender(w, &role);
}

static void test_text(void **state) {
        World *w = *state;
        Role role = sender_run(w, KEEPER_FORK_NOTIFY);
        char line[6000], expected[NOTIFY_TEXT_MAX + 1];

        memset(line, 'x', sizeof(line));
        memset(expected, 'x', sizeof(expected) - 1);
        expected[sizeof(expected) - 1] = '\0';
        memcpy(line, "mSTATUS=", 8);
        line[5000] = '\0'; /* longer than a message may be */
        sender_do(&role, line);
        line[2000] = '\0';
        sender_do(&role, line);
        (void) expect_notified(w, &role, NOTIFY_STATUS, expected, 0);
        sender_do(&role, "mSTATUS=");
        (void) expect_notified(w, &role, NOTIFY_STATUS, NULL, 0);
        sender_do(&role, "mSTATUS=\xff=|nonsense|=|ERRNO=-1|ERRNO=4096|ERRNO=x|EXTEND_TIMEOUT_USEC=0");
        (void) expect_notified(w, &role, NOTIFY_STATUS, "\xff=", 0);
        expect_nothing(w, &role);
        end_sender(w, &role);
}

/* The socket can be reached by every user and found by none. */
static void test_socket(void **state) {
        World *w = *state;
        Role role = sender_run(w, KEEPER_FORK_NOTIFY),
             plain = role_run(w, 0, QUIET(.command = COMMAND("/bin/sleep", "600")));
        _cleanup_free_ char *path = environment_of(role.pid, "NOTIFY_SOCKET"),
                            *directory = world_path(w, "architect-notify/main"),
                            *above = world_path(w, "architect-notify"), *unix_sockets = NULL;
        struct stat st;

        assert_null(environment_of(plain.pid, "NOTIFY_SOCKET"));
        assert_null(environment_of(role.pid, "WATCHDOG_USEC"));
        assert_non_null(strstr(path, directory));
        assert_int_equal(stat(directory, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0711);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0666);
        assert_int_equal(file_read(AT_FDCWD, "/proc/net/unix", 1 << 24, &unix_sockets, NULL), 0);
        assert_non_null(strstr(unix_sockets, directory)); /* under another name */
        assert_null(strstr(unix_sockets, path));

        assert_int_equal(take_notified(w, plain.id, 0), -ENOTSOCK);
        assert_int_equal(take_notified(w, 99, 0), -ENOENT);
        Role none;
        assert_int_equal(try_fork(w, 77, "cam", KEEPER_FORK_NOTIFY_ALL, &none), -EINVAL);
        end_sender(w, &role);
        assert_int_equal(access(path, F_OK), -1);
        assert_int_equal(world_signal(w, plain.id, SIGKILL), 0);
        (void) role_end(w, &plain);

        /* The directory of somebody else. */
        assert_int_equal(rmdir(directory), 0);
        assert_int_equal(chown(above, ALICE_UID, 0), 0);
        assert_int_equal(try_fork(w, 77, "cam", KEEPER_FORK_NOTIFY, &none), -EPERM);
}

static void test_watchdog(void **state) {
        World *w = *state;
        Role role = role_run(w, KEEPER_FORK_NOTIFY,
                QUIET(.command = SHELL("test $WATCHDOG_PID = $$ && exec sleep 60"),
                        .watchdog_usec = 1500000));
        _cleanup_free_ char *usec = environment_of(role.pid, "WATCHDOG_USEC");

        assert_string_equal(usec, "1500000");
        assert_int_equal(world_signal(w, role.id, SIGKILL), 0);
        assert_int_equal(role_end(w, &role).exit.wait_status, SIGKILL);
}

/* The program replaces itself with what it has and what waits in the socket. */
static void test_reexec(void **state) {
        World *w = *state;
        const struct keeper_header m = { .type = KEEPER_REEXEC };
        Role role = sender_run(w, KEEPER_FORK_NOTIFY);
        int fds[WORLD_FDS_MAX];
        uint64_t number;
        Packet p;

        sender_do(&role, "mREADY=1");
        number = expect_notified(w, &role, NOTIFY_READY, NULL, 0);
        sender_do(&role, "mSTATUS=before");
        (void) expect_notified(w, &role, NOTIFY_STATUS, "before", 0);
        assert_int_equal(take_notified(w, role.id, number), 0);
        node_send(w->node, &m, sizeof(m));
        /* It comes again, with its number. */
        assert_int_equal(expect_notified(w, &role, NOTIFY_STATUS, "before", 0), number + 1);
        (void) world_receive(w, KEEPER_DONE, 0, &p, fds);
        assert_int_equal(p.done.error, 0);
        sender_do(&role, "mSTATUS=after");
        assert_int_equal(expect_notified(w, &role, NOTIFY_STATUS, "after", 0), number + 2);
        end_sender(w, &role);
}

/* -- descriptors that came with a message -- */

static uint64_t usec_since(uint64_t began) {
        return now_usec(CLOCK_MONOTONIC) - began;
}

/* A peer that outlives the sender, and reads nothing. */
static int slow_peer(void) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_int_equal(bind(fd, (struct sockaddr *) &address, sizeof(address)), 0);
        assert_int_equal(listen(fd, 8), 0);
        return fd;
}

/* A line "k" stands for a descriptor of this peer. The keeper gets the last references: it reads after the
 * sender has closed its own. */
static void send_slow(World *w, Role *role, int peer, const char *const *lines) {
        struct sockaddr_in address;
        char line[16];

        assert_int_equal(getsockname(peer, (struct sockaddr *) &address, &(socklen_t){ sizeof(address) }), 0);
        (void) snprintf(line, sizeof(line), "k %d", ntohs(address.sin_port));
        assert_int_equal(kill(w->keeper, SIGSTOP), 0);
        for (; *lines; lines++)
                sender_do(role, strcmp(*lines, "k") == 0 ? line : *lines);
        sender_wait(role);
        assert_int_equal(kill(w->keeper, SIGCONT), 0);
}
#define LINES(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* Until it is closed, that role alone waits. */
static void test_slow_descriptor(void **state) {
        World *w = *state;
        Role role = sender_run(w, KEEPER_FORK_NOTIFY), other = sender_run(w, KEEPER_FORK_NOTIFY);
        uint64_t began = now_usec(CLOCK_MONOTONIC);
        autofd peer = slow_peer();

        w->noisy = true;
        for (int i = 0; i < 2; i++) {
                send_slow(w, &role, peer, LINES("k", "mREADY=1"));
                (void) expect_notified(w, &role, NOTIFY_STATUS, "slow", 0);
                sender_do(&other, "b");
                (void) expect_notified(w, &other, NOTIFY_STATUS, "barrier", 0);
                assert_int_equal(world_signal(w, other.id, 0), 0);
                assert_int_equal(take_notified(w, role.id, 0), -EAGAIN);
                assert_true(usec_since(began) < USEC_PER_SEC);
                (void) expect_notified(w, &role, NOTIFY_READY, NULL, 0);
                assert_true(usec_since(began) > USEC_PER_SEC);
                expect_nothing(w, &role);
                began = now_usec(CLOCK_MONOTONIC);
        }
        assert_int_equal(count_lines(w, "A descriptor that came with a notification of role cam"), 1);
        end_sender(w, &role);
        end_sender(w, &other);
}

/* The node learns the end of a role after what it has sent, unless that takes too long, and what is left is
 * closed when the role is forgotten. */
static void test_slow_end(void **state) {
        World *w = *state;
        Role barrier = sender_run(w, KEEPER_FORK_NOTIFY), role = sender_run(w, KEEPER_FORK_NOTIFY),
             other = sender_run(w, KEEPER_FORK_NOTIFY);
        _cleanup_free_ char *path = environment_of(role.pid, "NOTIFY_SOCKET");
        uint64_t began = now_usec(CLOCK_MONOTONIC);
        int fds[WORLD_FDS_MAX];
        autofd peer = slow_peer();
        Packet p;

        w->noisy = true;
        sender_do(&barrier, "f");
        sender_do(&barrier, "mREADY=1");
        sender_do(&barrier, "x5");
        (void) world_receive(w, KEEPER_NOTIFIED, barrier.id, &p, fds);
        assert_string_equal(p.notified.text, "quick");
        (void) expect_notified(w, &barrier, NOTIFY_READY, NULL, 0);
        assert_int_equal(role_end(w, &barrier).exit.wait_status, 5 << 8);

        send_slow(w, &role, peer, LINES("k", "k", "mREADY=1", "k"));
        sender_do(&role, "x6");
        assert_true(wait_for(pidfd_is_dead, &role.pidfd));
        (void) expect_notified(w, &role, NOTIFY_STATUS, "slow", 0);
        assert_int_equal(take_notified(w, role.id, 0), -EAGAIN);
        assert_true(usec_since(began) < USEC_PER_SEC);
        assert_int_equal(w->n_exits, 0); /* a new node learns it later, too */
        world_disconnect(w);
        assert_int_equal(world_connect(w), 2);
        assert_int_equal(receive_child(w, &other), 0);
        assert_int_equal(receive_child(w, &role), 0);
        (void) expect_notified(w, &role, NOTIFY_STATUS, "slow", 0);
        assert_int_equal(role_ended(w, &role).exit.wait_status, 6 << 8);
        assert_true(usec_since(began) > NOTIFY_DROP_TIMEOUT_USEC);
        expect_nothing(w, &role);
        (void) role_end(w, &role);
        assert_int_equal(access(path, F_OK), -1);

        sender_do(&other, "b");
        (void) expect_notified(w, &other, NOTIFY_STATUS, "barrier", 0);
        assert_true(usec_since(began) < 2 * USEC_PER_SEC);
        end_sender(w, &other);
}

/* The program is replaced meanwhile, after a second at most. */
static void test_slow_reexec(void **state) {
        const struct keeper_header m = { .type = KEEPER_REEXEC };
        World *w = *state;
        Role role = sender_run(w, KEEPER_FORK_NOTIFY);
        autofd peer = slow_peer();
        uint64_t began = now_usec(CLOCK_MONOTONIC), number;
        int fds[WORLD_FDS_MAX];
        Packet p;

        w->noisy = true;
        send_slow(w, &role, peer, LINES("k", "mREADY=1"));
        number = expect_notified(w, &role, NOTIFY_STATUS, "slow", 0);
        assert_int_equal(number, 1);
        node_send(w->node, &m, sizeof(m));
        /* Nothing came twice, and nothing was lost. */
        assert_int_equal(expect_notified(w, &role, NOTIFY_STATUS, "slow", 0), number);
        (void) world_receive(w, KEEPER_DONE, 0, &p, fds);
        assert_int_equal(p.done.error, 0);
        assert_true(usec_since(began) > NOTIFY_DROP_TIMEOUT_USEC - 100 * USEC_PER_MSEC);
        assert_int_equal(expect_notified(w, &role, NOTIFY_READY, NULL, 0), number + 1);
        assert_true(usec_since(began) < 2 * USEC_PER_SEC);
        end_sender(w, &role);
}

static int group_setup(void **state) {
        int r = world_group_setup(state);

        if (r < 0)
                return r;
        /* The keepers share the mount namespace. */
        return mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, NULL) < 0 ? -1 : 0;
}

int main(int argc, char *argv[]) {
        sender_main(argc, argv);
#define CONNECTED(f) cmocka_unit_test_setup_teardown(f, world_setup_connected, world_teardown)
        const struct CMUnitTest tests[] = {
                CONNECTED(test_order),
                CONNECTED(test_again),
                CONNECTED(test_end),
                CONNECTED(test_refused),
                cmocka_unit_test_setup_teardown(test_all, world_setup_connected, teardown_all),
                CONNECTED(test_many),
                CONNECTED(test_many_taken),
                CONNECTED(test_text),
                CONNECTED(test_socket),
                CONNECTED(test_watchdog),
                CONNECTED(test_reexec),
                CONNECTED(test_slow_descriptor),
                CONNECTED(test_slow_end),
                CONNECTED(test_slow_reexec),
        };

        return cmocka_run_group_tests(tests, group_setup, NULL);
}
