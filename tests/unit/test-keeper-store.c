/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the keeper has systemd store, and what the next keeper makes of it after SIGKILL. The test is systemd:
 * it takes the notifications, keeps the descriptors, and passes them to the next keeper. */

#include <fcntl.h>
#include <poll.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keeper-world.h"

#include "base/fd-util.h"
#include "base/pidref.h"
#include "keeper/hold.h"
#include "keeper/keeper-store.h"

#define WAIT_MSEC 60000

typedef struct Stored {
        char name[32];
        int fd;
} Stored;

static struct {
        int notify_fd;
        Stored items[4096];
        size_t n;
        size_t n_added; /* without states */
        char status[256];
        int listen_fd;
        /* How the next keeper is started. */
        bool in_namespace; /* a user namespace, where it does not use shelves */
        bool is_limited;   /* in how many descriptors may be in queues */
        bool is_stopped;   /* before its exec */
        const char *max;   /* $FDSTORE */
} systemd;

static void systemd_open(World *w) {
        struct sockaddr_un a = { .sun_family = AF_UNIX };

        memset(&systemd, 0, sizeof(systemd));
        systemd.notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        assert_true(systemd.notify_fd >= 0);
        (void) snprintf(a.sun_path, sizeof(a.sun_path), "%s/notify", w->dir);
        assert_int_equal(bind(systemd.notify_fd, (struct sockaddr *) &a, sizeof(a)), 0);
        systemd.listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        assert_true(systemd.listen_fd >= 0);
        (void) snprintf(a.sun_path, sizeof(a.sun_path), "%s", w->socket);
        assert_int_equal(bind(systemd.listen_fd, (struct sockaddr *) &a, sizeof(a)), 0);
        assert_int_equal(listen(systemd.listen_fd, 16), 0);
}

static void systemd_remove(size_t i) {
        assert_int_equal(close(systemd.items[i].fd), 0);
        systemd.items[i] = systemd.items[--systemd.n];
}

static void systemd_close(void) {
        while (systemd.n > 0)
                systemd_remove(systemd.n - 1);
        assert_int_equal(close(systemd.notify_fd) | close(systemd.listen_fd), 0);
}

/* Reads one notification. Returns false if there is none within this time. */
static bool systemd_read(int msec) {
        struct pollfd p = { .fd = systemd.notify_fd, .events = POLLIN };
        char message[512] = { 0 }, *name;
        size_t n_fds = 1;
        int fd = -EBADF;

        if (poll(&p, 1, msec) <= 0)
                return false;
        assert_true(socket_recv(systemd.notify_fd, message, sizeof(message) - 1, &fd, &n_fds) > 0);
        name = strstr(message, "FDNAME=");
        if (strncmp(message, "STATUS=", 7) == 0)
                (void) snprintf(systemd.status, sizeof(systemd.status), "%.200s", message + 7);
        if (strncmp(message, "FDSTORE=1\n", 10) == 0) {
                Stored *s = &systemd.items[systemd.n++];

                assert_true(systemd.n <= ELEMENTSOF(systemd.items));
                assert_int_equal(n_fds, 1);
                assert_non_null(strstr(message, "FDPOLL=0"));
                (void) snprintf(s->name, sizeof(s->name), "%s", name + 7);
                s->fd = fd;
                systemd.n_added += s->name[0] != STORE_STATE;
        } else if (strncmp(message, "FDSTOREREMOVE=1\n", 16) == 0) {
                for (size_t i = systemd.n; i > 0; i--)
                        if (strcmp(systemd.items[i - 1].name, name + 7) == 0)
                                systemd_remove(i - 1);
        }
        return true;
}

static uint64_t systemd_state(void) {
        uint64_t state = 0;

        for (size_t i = 0; i < systemd.n; i++)
                if (systemd.items[i].name[0] == STORE_STATE)
                        state = state != 0 ? UINT64_MAX : strtoull(systemd.items[i].name + 1, NULL, 16);
        return state;
}

/* Whether there is one state, which has these children and no others, none of which has ended. */
static bool systemd_has(const Role *roles, size_t n) {
        _cleanup_(keeper_state_clear) KeeperState state = { 0 };
        const char *why;
        bool found = true;

        for (size_t i = 0; i < systemd.n; i++)
                if (systemd.items[i].name[0] == STORE_STATE) {
                        if (state.children)
                                return false;
                        assert_int_equal(keeper_state_read(systemd.items[i].fd, &state, &why), 0);
                }
        for (size_t i = 0; i < n && found && state.n_children == n; i++) {
                found = false;
                for (size_t k = 0; k < n; k++)
                        found = found || (state.children[k].id == roles[i].id &&
                                                 !(state.children[k].flags & KEEPER_STATE_CHILD_EXITED));
        }
        return state.n_children == n && found;
}

/* Waits until these children and no others are stored. The state is the last thing that the keeper stores. */
static void systemd_wait(const Role *roles, size_t n) {
        for (;;) {
                while (systemd_read(0))
                        ;
                if (systemd_has(roles, n))
                        return;
                assert_true(systemd_read(WAIT_MSEC));
        }
}

static void systemd_wait_empty(void) {
        while (systemd.n > 0)
                assert_true(systemd_read(WAIT_MSEC));
}

static size_t count_kind(StoreKind kind) {
        size_t n = 0;

        for (size_t i = 0; i < systemd.n; i++)
                n += systemd.items[i].name[0] == (char) kind;
        return n;
}

/* How many descriptors of this kind are on the stored shelves. */
static size_t count_on_shelves(StoreKind kind) {
        size_t n = 0;

        for (size_t i = 0; i < systemd.n; i++) {
                ShelfContents contents;

                if (systemd.items[i].name[0] != STORE_SHELF)
                        continue;
                assert_int_equal(shelf_read(systemd.items[i].fd, &contents), 0);
                for (size_t k = 0; k < contents.n; k++) {
                        n += contents.packet.items[k].kind == (uint32_t) kind;
                        (void) fd_close(contents.fds[k]);
                }
        }
        return n;
}

/* How many descriptors of this kind are stored in either form, of these roles only. */
static size_t count_of(StoreKind kind, const Role *roles, size_t n_roles) {
        size_t found = 0;

        for (size_t r = 0; r < n_roles; r++) {
                bool stored = false;

                for (size_t i = 0; i < systemd.n && !stored; i++) {
                        ShelfContents contents = { 0 };
                        struct keeper_state_stored item;

                        assert_true(store_item_parse(
                                systemd.items[i].name, strlen(systemd.items[i].name), &item));
                        stored = item.kind == (uint32_t) kind && item.id == roles[r].id;
                        if (item.kind == STORE_SHELF)
                                assert_int_equal(shelf_read(systemd.items[i].fd, &contents), 0);
                        for (size_t k = 0; k < contents.n; k++) {
                                stored = stored || (contents.packet.items[k].kind == (uint32_t) kind &&
                                                           contents.packet.items[k].id == roles[r].id);
                                (void) fd_close(contents.fds[k]);
                        }
                }
                found += stored;
        }
        return found;
}

/* -- the keeper -- */

static int write_file(const char *path, const char *text) {
        return file_write_string(path, text);
}

/* The listening socket is descriptor 3, and what is stored follows. */
static void keeper_exec(World *w) {
        char *names = calloc(systemd.n + 1, sizeof(systemd.items[0].name)), number[16], pid[16], *terminal;
        int high[ELEMENTSOF(systemd.items)];
        size_t used;

        used = (size_t) sprintf(names, "listen");
        for (size_t i = 0; i < systemd.n; i++) {
                high[i] = fcntl(systemd.items[i].fd, F_DUPFD_CLOEXEC, 200 + (int) systemd.n);
                used += (size_t) sprintf(names + used, ":%s", systemd.items[i].name);
                if (high[i] < 0)
                        _exit(126);
        }
        if (dup2(open(w->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666), STDERR_FILENO) < 0 ||
                dup2(fcntl(systemd.listen_fd, F_DUPFD_CLOEXEC, 200 + (int) systemd.n), 3) < 0)
                _exit(126);
        for (size_t i = 0; i < systemd.n; i++)
                if (dup2(high[i], 4 + (int) i) < 0)
                        _exit(126);
        (void) snprintf(number, sizeof(number), "%zu", systemd.n + 1);
        (void) snprintf(pid, sizeof(pid), "%d", (int) getpid());
        (void) setenv("LISTEN_FDS", number, 1);
        (void) setenv("LISTEN_PID", pid, 1);
        (void) setenv("LISTEN_FDNAMES", names, 1);
        (void) setenv("NOTIFY_SOCKET", world_path(w, "notify"), 1);
        if (systemd.max)
                (void) setenv("FDSTORE", systemd.max, 1);
        if (systemd.in_namespace &&
                (unshare(CLONE_NEWUSER) < 0 || write_file("/proc/self/uid_map", "0 0 1") < 0 ||
                        write_file("/proc/self/setgroups", "deny") < 0 ||
                        write_file("/proc/self/gid_map", "0 0 1") < 0))
                _exit(125);
        if (systemd.is_limited && (setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 100, 100 }) < 0 ||
                                          prctl(PR_CAPBSET_DROP, CAP_SYS_RESOURCE) < 0 ||
                                          prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN) < 0))
                _exit(124);
        if (asprintf(&terminal, "--terminal=%s", required_environment("ARCHITECT_TERMINAL")) < 0)
                _exit(123);
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (systemd.is_stopped)
                (void) raise(SIGSTOP);
        (void) execl(keeper_program(), keeper_program(), "--instance=main", terminal, NULL);
        _exit(127);
}

static void keeper_start(World *w) {
        w->keeper = fork();
        if (w->keeper == 0)
                keeper_exec(w);
        assert_true(w->keeper > 0);
}

static void keeper_kill(World *w) {
        world_disconnect(w);
        assert_int_equal(kill(w->keeper, SIGKILL), 0);
        assert_int_equal(waitpid(w->keeper, NULL, 0), w->keeper);
        w->keeper = 0;
        /* What it has sent is read by systemd before it notices the death. */
        while (systemd_read(0))
                ;
}

/* The next keeper must have all these, in any order, with what they had. */
static void expect_children(World *w, const Role *roles, size_t n) {
        assert_int_equal(world_connect(w), n);
        for (size_t i = 0; i < n; i++) {
                int fds[WORLD_FDS_MAX];
                const Role *role = NULL;
                size_t n_fds;
                Packet p;

                assert_int_equal(node_receive(w->node, &p, fds, &n_fds), sizeof(p.child));
                assert_int_equal(p.header.type, KEEPER_CHILD);
                for (size_t k = 0; k < n; k++)
                        if (roles[k].id == p.header.child)
                                role = &roles[k];
                assert_non_null(role);
                assert_int_equal(p.child.pid, role->pid);
                assert_int_equal(p.child.start_time, role->start_time);
                assert_int_equal(p.child.exited, 0);
                assert_int_equal(p.child.fds,
                        KEEPER_FD_PIDFD | (role->terminal >= 0 ? KEEPER_FD_TERMINAL | KEEPER_FD_MASTER
                                                               : KEEPER_FD_STDIN));
                for (size_t k = 0; k < n_fds; k++)
                        assert_int_equal(close(fds[k]), 0);
        }
}

/* A role that reads its standard input to the end, which only the keeper has now. */
static Role reader(World *w) {
        Role role = role_run(w, KEEPER_FORK_STDIN_PIPE, QUIET(.command = COMMAND("/bin/cat")));

        role.stdin_fd = fd_close(role.stdin_fd);
        return role;
}

static void readers(World *w, Role *ret, size_t n) {
        for (size_t i = 0; i < n; i++)
                ret[i] = reader(w);
}

/* Ends roles and has them reaped. Those of a previous keeper are children of the test now. */
static void end(World *w, Role *roles, size_t n) {
        for (size_t i = 0; i < n; i++)
                assert_int_equal(pidfd_kill(roles[i].pidfd, SIGKILL), 0);
        for (size_t i = 0; i < n; i++) {
                (void) waitpid(roles[i].pid, NULL, 0);
                (void) role_end(w, &roles[i]);
        }
}

/* Ends roles whose keeper is not needed any more. */
static void end_all(Role *roles, size_t n) {
        for (size_t i = 0; i < n; i++) {
                assert_int_equal(pidfd_kill(roles[i].pidfd, SIGKILL), 0);
                assert_int_equal(waitpid(roles[i].pid, NULL, 0), roles[i].pid);
                role_close(&roles[i]);
        }
}

/* -- tests -- */

#define MANY 130U

/* Passes a descriptor. The kernel compares the limit with what all processes of its user have in queues. */
static int pass(void) {
        int fd = STDERR_FILENO, pair[2];
        char byte = 'x';

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0 ||
                setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 100, 100 }) < 0)
                return 255;
        return -socket_send_many(pair[0], &byte, 1, &fd, 1);
}

/* Makes a pipe. The kernel compares the limit with the pages of all pipes of its user, and makes a smaller
 * one. */
static int make_pipe(void) {
        int p[2];

        return pipe2(p, O_CLOEXEC) < 0 ? 255 : fcntl(p[0], F_GETPIPE_SZ) != 16 * 4096;
}

/* Expects that it returns 0 in a service of root with neither CAP_SYS_RESOURCE nor CAP_SYS_ADMIN. */
static void expect_services(int (*can)(void)) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
        pid_t pid = fork();
        int status;

        if (pid == 0)
                _exit(syscall(SYS_capset, &header, none) < 0 ? 255 : can());
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

/* The inputs of very many roles leave other services of root pipes of the usual size. */
static void test_pipes(void **state) {
        int pipes[70][2];

        for (size_t i = 0; i < ELEMENTSOF(pipes); i++) {
                assert_int_equal(hold_pipe(pipes[i]), 0);
                /* In pages each is like 16 roles. */
                assert_return_code(fcntl(pipes[i][0], F_SETPIPE_SZ, 1024 * 1024), errno);
        }
        expect_services(make_pipe);
        for (size_t i = 0; i < ELEMENTSOF(pipes); i++) {
                (void) close(pipes[i][0]);
                (void) close(pipes[i][1]);
        }
}

/* Two shelves are enough for all of them, whatever comes and goes. The next keeper has them all. */
static void test_many(void **state) {
        World *w = *state;
        Role roles[MANY + 1];
        uint64_t stored;
        size_t n_added;
        int n_fds;

        systemd_open(w);
        keeper_start(w);
        assert_int_equal(world_connect(w), 0);
        n_fds = count_process_fds(w->keeper);
        readers(w, roles, MANY);
        roles[MANY] = role_run(w, KEEPER_FORK_TERMINAL, QUIET(.command = COMMAND("/bin/cat")));
        systemd_wait(roles, MANY + 1);
        assert_int_equal(count_on_shelves(STORE_PIDFD), MANY + 1);
        assert_int_equal(count_on_shelves(STORE_STDIN), MANY);
        for (const char *kind = "mceod"; *kind; kind++)
                assert_int_equal(count_on_shelves((StoreKind) *kind), 1);
        assert_int_equal(count_kind(STORE_SHELF), 2);
        assert_int_equal(systemd.n, 1 + 2);
        expect_services(pass);

        n_added = systemd.n_added;
        for (size_t round = 0; round < 4; round++) {
                for (size_t i = round; i < MANY; i += 3) {
                        end(w, &roles[i], 1);
                        roles[i] = reader(w);
                }
                systemd_wait(roles, MANY + 1);
                assert_int_equal(count_on_shelves(STORE_STDIN), MANY);
                assert_int_equal(count_on_shelves(STORE_PIDFD), MANY + 1);
        }
        /* More have come and gone than there is room for on the second one. */
        assert_int_equal(count_kind(STORE_SHELF), 2);
        assert_int_equal(systemd.n_added, n_added);

        keeper_kill(w);
        stored = systemd_state();
        keeper_start(w);
        expect_children(w, roles, MANY + 1);
        while (systemd_state() == stored || systemd.n > 1 + 2)
                assert_true(systemd_read(WAIT_MSEC));
        assert_int_equal(count_kind(STORE_SHELF), 2);
        assert_int_equal(count_on_shelves(STORE_PIDFD), MANY + 1);
        assert_int_equal(count_on_shelves(STORE_STDIN), MANY);

        /* The last one leaves nothing behind. */
        end(w, roles, MANY + 1);
        systemd_wait_empty();
        /* It closes the last shelf after it has told systemd. */
        w->n_fds = n_fds;
        assert_true(wait_for(keeper_has_n_fds, w));
        keeper_kill(w);
        systemd_close();
}

/* The end of input needs nothing of systemd, which may be busy, nor does it wait for anything. */
static void test_close_stdin(void **state) {
        World *w = *state;
        Role roles[3];

        systemd_open(w);
        keeper_start(w);
        assert_int_equal(world_connect(w), 0);
        readers(w, roles, ELEMENTSOF(roles));
        systemd_wait(roles, ELEMENTSOF(roles));

        assert_int_equal(world_request(w, KEEPER_CLOSE_STDIN, roles[1].id), 0);
        assert_int_equal(count_of(STORE_STDIN, &roles[1], 1), 0);
        assert_int_equal(count_on_shelves(STORE_STDIN), ELEMENTSOF(roles) - 1);
        assert_int_equal(count_on_shelves(STORE_PIDFD), ELEMENTSOF(roles));
        assert_int_equal(role_end(w, &roles[1]).exit.wait_status, 0);

        /* The next keeper has systemd remove what the previous one has stored, and does not wait until
         * nothing has changed for a while, or for five seconds. */
        roles[1] = roles[2];
        systemd_wait(roles, 2);
        keeper_kill(w);
        keeper_start(w);
        expect_children(w, roles, 2);
        for (int i = 0; count_of(STORE_STDIN, &roles[1], 1) > 0; i++) {
                assert_true(i < 80);
                assert_int_equal(world_request(w, KEEPER_CLOSE_STDIN, roles[1].id), 0);
                (void) systemd_read(30);
                while (systemd_read(0))
                        ;
        }
        (void) waitpid(roles[1].pid, NULL, 0);
        (void) role_ended(w, &roles[1]);
        assert_int_equal(count_of(STORE_STDIN, roles, 1), 1);
        end(w, &roles[0], 1);
        assert_int_equal(world_request(w, KEEPER_REAP, roles[1].id), 0);
        role_close(&roles[1]);
        systemd_wait_empty();
        keeper_kill(w);
        systemd_close();
}

/* -- at every moment -- */

#define STEADY 4U

static void expect_stored(const Role *roles) {
        while (systemd_read(0))
                ;
        assert_int_equal(count_of(STORE_PIDFD, roles, STEADY), STEADY);
        assert_int_equal(count_of(STORE_STDIN, roles, STEADY), STEADY);
}

/* Stops the keeper before and after each system call until it has stored another state and removed what is
 * out of date. A death at any of these moments would find all these roles stored. */
static void step(World *w, const Role *roles, uint64_t stored) {
        int status, n = 0;

        assert_int_equal(ptrace(PTRACE_SEIZE, w->keeper, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL), 0);
        if (systemd.is_stopped)
                assert_int_equal(kill(w->keeper, SIGCONT), 0);
        assert_int_equal(ptrace(PTRACE_INTERRUPT, w->keeper, NULL, NULL), 0);
        for (;;) {
                int signo;

                assert_int_equal(waitpid(w->keeper, &status, __WALL), w->keeper);
                assert_true(WIFSTOPPED(status));
                n++;
                expect_stored(roles);
                if (systemd_state() != stored && systemd_state() != UINT64_MAX &&
                        (count_kind(STORE_SHELF) == 1) != systemd.in_namespace &&
                        (count_kind(STORE_PIDFD) == 0) != systemd.in_namespace)
                        break;
                signo = WSTOPSIG(status) == (SIGTRAP | 0x80) || (status >> 16) != 0 ? 0 : WSTOPSIG(status);
                assert_int_equal(ptrace(PTRACE_SYSCALL, w->keeper, NULL, (void *) (uintptr_t) signo), 0);
        }
        print_message("# %d moments\n", n);
        assert_int_equal(ptrace(PTRACE_DETACH, w->keeper, NULL, NULL), 0);
}

/* Roles come and go beside those that stay. */
static void test_every_moment(void **state) {
        World *w = *state;
        Role all[STEADY + 3], *const roles = all, *const others = all + STEADY;
        int fds[WORLD_FDS_MAX];
        uint64_t stored;
        Packet p;

        systemd_open(w);
        keeper_start(w);
        assert_int_equal(world_connect(w), 0);
        readers(w, all, ELEMENTSOF(all));
        systemd_wait(all, ELEMENTSOF(all));
        stored = systemd_state();

        /* The requests and ends are there when the keeper is stopped for the first time. */
        for (size_t i = 0; i < 3; i++) {
                struct keeper_header m = { .type = KEEPER_CLOSE_STDIN, .child = others[i].id };
                struct keeper_fork fork = {
                        .header = { .type = KEEPER_FORK, .child = ++w->last_id },
                        .flags = KEEPER_FORK_STDIN_PIPE,
                        .role = "cam",
                };

                node_send(w->node, &m, sizeof(m));
                node_send(w->node, &fork, sizeof(fork));
                assert_int_equal(pidfd_kill(others[i].pidfd, SIGKILL), 0);
        }
        step(w, roles, stored);
        for (size_t i = 0; i < 3; i++) {
                assert_int_equal(world_receive(w, KEEPER_DONE, others[i].id, &p, fds), 0);
                assert_int_equal(world_receive(w, KEEPER_FORKED, others[i].id + 3, &p, fds), 3);
                for (size_t k = 0; k < 3; k++)
                        assert_int_equal(close(fds[k]), 0);
        }

        keeper_kill(w);
        systemd.is_stopped = true;
        stored = systemd_state();
        keeper_start(w);
        assert_int_equal(waitpid(w->keeper, NULL, WUNTRACED), w->keeper);
        step(w, roles, stored);

        for (size_t i = 0; i < 3; i++)
                role_close(&others[i]);
        keeper_kill(w);
        end_all(roles, STEADY);
        systemd_close();
}

/* The program is replaced, and does not get the shelves of the previous one. */
static void test_reexec(void **state) {
        World *w = *state;
        const struct keeper_header m = { .type = KEEPER_REEXEC };
        Role roles[STEADY];
        uint64_t stored;
        int fds[WORLD_FDS_MAX];
        Packet p;

        systemd_open(w);
        keeper_start(w);
        assert_int_equal(world_connect(w), 0);
        readers(w, roles, STEADY);
        systemd_wait(roles, STEADY);
        stored = systemd_state();
        node_send(w->node, &m, sizeof(m));
        step(w, roles, stored);
        assert_int_equal(world_receive(w, KEEPER_DONE, 0, &p, fds), 0);
        assert_int_equal(p.done.error, 0);

        keeper_kill(w);
        keeper_start(w);
        expect_children(w, roles, STEADY);
        keeper_kill(w);
        end_all(roles, STEADY);
        systemd_close();
}

/* What a role has sent while there was no node, and while there was no keeper. */
static void notifies(World *w, bool in_namespace) {
        Role role;
        size_t n_fds;
        int fds[WORLD_FDS_MAX];
        uint64_t number;
        Packet p;

        w->noisy = true;
        systemd_open(w);
        systemd.in_namespace = in_namespace;
        keeper_start(w);
        assert_int_equal(world_connect(w), 0);
        role = sender_run(w, KEEPER_FORK_NOTIFY);
        sender_do(&role, "mSTATUS=one");
        number = expect_notified(w, &role, NOTIFY_STATUS, "one", 0);
        assert_int_equal(take_notified(w, role.id, number), 0);
        systemd_wait(&role, 1);
        assert_int_equal(count_of(STORE_NOTIFY, &role, 1), 1);
        assert_int_equal(count_of(STORE_NOTIFIED, &role, 1), 1);

        world_disconnect(w);
        sender_do(&role, "mREADY=1|STATUS=two");
        sender_do(&role, "b"); /* it is kept, although neither node nor systemd was told */
        sender_do(&role, "mWATCHDOG=1");
        while (systemd_read(400))
                ;
        keeper_kill(w);
        sender_do(&role, "mERRNO=5");
        keeper_start(w);
        assert_int_equal(world_connect(w), 1);
        assert_int_equal(node_receive(w->node, &p, fds, &n_fds), sizeof(p.child));
        assert_int_equal(p.header.type, KEEPER_CHILD);
        for (size_t k = 0; k < n_fds; k++)
                assert_int_equal(close(fds[k]), 0);
        assert_int_equal(expect_notified(w, &role, NOTIFY_READY, NULL, 0), number + 2);
        (void) expect_notified(w, &role, NOTIFY_STATUS, "barrier", 0);
        (void) expect_notified(w, &role, NOTIFY_WATCHDOG, NULL, 0);
        number = expect_notified(w, &role, NOTIFY_ERRNO, NULL, 5);

        /* It goes on, and a child may not send. */
        sender_do(&role, "cREADY=1");
        sender_do(&role, "mSTOPPING=1");
        assert_int_equal(expect_notified(w, &role, NOTIFY_STOPPING, NULL, 0), number + 1);
        end(w, &role, 1);
        keeper_kill(w);
        systemd_close();
}

static void test_notify(void **state) {
        notifies(*state, false);
}

static void test_notify_single(void **state) {
        notifies(*state, true);
}

/* A keeper in a user namespace stores each descriptor by itself, as did all keepers before there were
 * shelves. Either keeper follows the other. */
static void test_either_form(void **state) {
        World *w = *state;
        Role roles[STEADY];
        uint64_t stored;

        systemd_open(w);
        systemd.in_namespace = true;
        keeper_start(w);
        assert_int_equal(world_connect(w), 0);
        readers(w, roles, STEADY);
        systemd_wait(roles, STEADY);
        assert_int_equal(systemd.n, 1 + 2 * STEADY);

        systemd.is_stopped = true;
        for (int round = 0; round < 4; round++) {
                keeper_kill(w);
                systemd.in_namespace = round % 2 == 1;
                stored = systemd_state();
                keeper_start(w);
                assert_int_equal(waitpid(w->keeper, NULL, WUNTRACED), w->keeper);
                step(w, roles, stored);
                expect_children(w, roles, STEADY);
                while (systemd.n > (systemd.in_namespace ? 1 + 2 * STEADY : 2))
                        assert_true(systemd_read(WAIT_MSEC));
        }
        keeper_kill(w);
        end_all(roles, STEADY);
        systemd_close();
}

/* -- limits -- */

static bool log_contains(World *w, const char *text) {
        char *log = world_read(w, "log");
        bool found = strstr(log, text) != NULL;

        free(log);
        return found;
}

/* If systemd has no more room, the user is told, and told when it is over. */
static void test_full(void **state) {
        World *w = *state;
        Role roles[3];

        w->noisy = true;
        systemd_open(w);
        systemd.in_namespace = true;
        systemd.max = "6"; /* two are for states */
        keeper_start(w);
        assert_int_equal(world_connect(w), 0);
        readers(w, roles, 2);
        systemd_wait(roles, 2);
        assert_string_equal(systemd.status, "");

        roles[2] = reader(w);
        while (!strstr(systemd.status, "full (4)"))
                assert_true(systemd_read(WAIT_MSEC));
        assert_int_equal(systemd.n, 4 + 1);
        assert_true(log_contains(w, "<3>The file descriptor store is full (4)"));

        end(w, &roles[0], 1);
        while (count_of(STORE_STDIN, roles + 2, 1) < 1 || *systemd.status)
                assert_true(systemd_read(WAIT_MSEC));
        assert_true(log_contains(w, "has everything again"));
        keeper_kill(w);
        end_all(roles + 1, 2);
        systemd_close();
}

/* Root without its capabilities: the kernel refuses to put descriptors into a queue. The keeper says so and
 * tries again, and meanwhile keeps what it has stored. */
static void test_too_many(void **state) {
        World *w = *state;
        Role roles[2];
        int pair[2], fds[200];
        char byte = 'x';

        w->noisy = true;
        systemd_open(w);
        systemd.is_limited = true;
        keeper_start(w);
        assert_int_equal(world_connect(w), 0);
        readers(w, roles, 2);
        systemd_wait(roles, 2);

        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        for (size_t i = 0; i < ELEMENTSOF(fds); i++)
                fds[i] = STDERR_FILENO;
        assert_int_equal(setresuid(hold_user(w->keeper), (uid_t) -1, (uid_t) -1), 0);
        assert_int_equal(socket_send_many(pair[0], &byte, 1, fds, ELEMENTSOF(fds)), 0);
        assert_int_equal(setresuid(0, (uid_t) -1, (uid_t) -1), 0);
        assert_int_equal(world_request(w, KEEPER_CLOSE_STDIN, roles[0].id), 0);
        while (!strstr(systemd.status, "Too many references"))
                assert_true(systemd_read(WAIT_MSEC));
        assert_true(log_contains(w, "<3>Cannot add to the file descriptor store"));
        assert_int_equal(count_on_shelves(STORE_PIDFD), 2);
        assert_int_equal(count_on_shelves(STORE_STDIN), 2);

        assert_int_equal(close(pair[0]) | close(pair[1]), 0);
        while (*systemd.status)
                assert_true(systemd_read(WAIT_MSEC));
        assert_int_equal(count_on_shelves(STORE_STDIN), 1);
        assert_int_equal(role_end(w, &roles[0]).exit.wait_status, 0);
        end(w, &roles[1], 1);
        systemd_wait_empty();
        keeper_kill(w);
        systemd_close();
}

/* What is no shelf, or not as a keeper has made it, is refused. */
static void test_no_shelf(void **state) {
        ShelfContents contents = { 0 };
        autofd hold = hold_open(), null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        uint64_t odd[2] = { 0 };

        assert_true(hold >= 0 && null >= 0);
        assert_int_equal(shelf_read(hold, &contents), 0);
        assert_int_equal(contents.n, 0);
        assert_int_equal(shelf_read(null, &contents), -ENOTSOCK);
        assert_int_equal(contents.n, 0);
        assert_int_equal(hold_replace_packet(hold, odd, sizeof(odd), &null, 1), 0);
        assert_int_equal(shelf_read(hold, &contents), -EBADMSG);
        assert_int_equal(contents.n, 0);
}

static int group_setup(void **state) {
        int r = world_group_setup(state);

        return r < 0 ? r : prctl(PR_SET_CHILD_SUBREAPER, 1);
}

/* However much comes and goes, there are no more shelves than what is on them needs. */
static void test_room(void **state) {
        static ShelfPlace places[2000];
        unsigned seed = 1;
        Shelves shelves;
        size_t weight = 0, n;

        shelves_init(&shelves);
        for (size_t i = 0; i < 20000; i++) {
                ShelfPlace *place = &places[(size_t) rand_r(&seed) % ELEMENTSOF(places)];
                Shelf *shelf = place->shelf;

                /* There are about 900 of them at any time. */
                if (!shelf && weight < 3600) {
                        assert_int_equal(shelves_put(&shelves, place, SHELF_CHILDREN,
                                                 1 + (size_t) rand_r(&seed) % SHELF_WEIGHT_MAX),
                                0);
                        weight += place->weight;
                        assert_between(place->shelf->weight, place->weight, SHELF_MAX);
                } else if (shelf) {
                        weight -= place->weight;
                        shelves_take(&shelves, place);
                        if (shelf_is_empty(shelf))
                                shelves_remove(&shelves, shelf);
                }
                n = 0;
                LIST_FOREACH (Shelf, link, each, &shelves.all)
                        n++;
                assert_between(n, weight / SHELF_MAX, 3600 / (SHELF_MAX - SHELF_WEIGHT_MAX) + 1);
        }
        for (size_t i = 0; i < ELEMENTSOF(places); i++) {
                Shelf *shelf = places[i].shelf;

                shelves_take(&shelves, &places[i]);
                if (shelf && shelf_is_empty(shelf))
                        shelves_remove(&shelves, shelf);
        }
        assert_false(list_is_linked(&shelves.changed));

        /* The last one stays. */
        n = 0;
        LIST_FOREACH (Shelf, link, last, &shelves.all) {
                assert_true(shelf_is_empty(last));
                n++;
        }
        assert_int_equal(n, 1);
        Shelf *last = LIST_FIRST(Shelf, link, &shelves.all);
        list_remove(&last->link);
        hold_end(last->hold_fd);
        free(last);
}

int main(int argc, char *argv[]) {
        sender_main(argc, argv);
#define WORLD(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
        const struct CMUnitTest tests[] = {
                WORLD(test_many),
                WORLD(test_close_stdin),
                WORLD(test_every_moment),
                WORLD(test_reexec),
                WORLD(test_notify),
                WORLD(test_notify_single),
                WORLD(test_either_form),
                WORLD(test_full),
                WORLD(test_too_many),
                cmocka_unit_test(test_pipes),
                cmocka_unit_test(test_no_shelf),
                cmocka_unit_test(test_room),
        };

        return cmocka_run_group_tests(tests, group_setup, NULL);
}
