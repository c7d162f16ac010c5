/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reserved ports with the real keeper. They are bound all or none, lent to a child and taken back, and
 * reported after a HELLO. What a role does with them is tested in tests/system. */

#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
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
#include "keeper/keeper-requests.h"
#include "keeper/shelf.h"

static int bind_at(World *w, uint8_t protocol, uint16_t n, uint8_t ip_version, uint8_t host, uint16_t *ret) {
        const struct keeper_bind m = { .header = { .type = KEEPER_BIND },
                .n = n,
                .protocol = protocol,
                .ip_version = ip_version,
                .address = { ip_version == 4 ? 192 : 0, 0, 2, host } };
        const struct keeper_bound *bound;
        int fds[WORLD_FDS_MAX];
        Packet p;

        node_send(w->node, &m, sizeof(m));
        assert_int_equal(world_receive(w, KEEPER_BOUND, 0, &p, fds), 0);
        bound = (const struct keeper_bound *) p.raw;
        assert_int_equal(bound->n, bound->error < 0 ? 0 : n);
        if (bound->error >= 0)
                memcpy(ret, bound->numbers, n * sizeof(*ret));
        return bound->error;
}

static int bind_ports(World *w, uint8_t protocol, uint16_t n, uint8_t ip_version, uint16_t *ret) {
        return bind_at(w, protocol, n, ip_version, 1, ret);
}

static struct keeper_ports list(uint32_t type, uint8_t protocol, const uint16_t *numbers, size_t n) {
        struct keeper_ports m = { .header = { .type = type } };

        for (size_t i = 0; i < n; i++)
                m.ports[i] = (struct keeper_port){ .number = numbers[i], .protocol = protocol };
        return m;
}

static void request_ports(World *w, uint32_t type, uint8_t protocol, const uint16_t *numbers, size_t n) {
        const struct keeper_ports m = list(type, protocol, numbers, n);
        int fds[WORLD_FDS_MAX];
        Packet p;

        node_send(w->node, &m, keeper_ports_size(n));
        assert_int_equal(world_receive(w, KEEPER_DONE, 0, &p, fds), 0);
        assert_int_equal(p.done.request, type);
        assert_int_equal(p.done.error, 0);
}

static uint16_t number_of(int fd) {
        struct sockaddr_in6 a = { 0 }; /* the number is at the same offset as in sockaddr_in */

        assert_int_equal(getsockname(fd, (struct sockaddr *) &a, &(socklen_t){ sizeof(a) }), 0);
        return ntohs(a.sin6_port);
}

static int try_bind(int type, uint16_t port) {
        const struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(port) };
        autofd fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        return bind(fd, (const struct sockaddr *) &any, sizeof(any)) < 0 ? errno : 0;
}

static int try_connect(uint16_t port) {
        const struct sockaddr_in to = {
                .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
        };
        const struct timeval patience = { .tv_sec = 10 };
        autofd fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)), 0);
        return connect(fd, (const struct sockaddr *) &to, sizeof(to)) < 0 ? errno : 0;
}

struct fork_ports {
        struct keeper_fork fork;
        struct keeper_port ports[8];
};

static void send_fork(World *w, const struct keeper_port *ports, size_t n) {
        struct fork_ports m = { .fork = { .header = { .type = KEEPER_FORK, .child = ++w->last_id },
                                        .role = "cam" } };

        if (n > 0)
                memcpy(m.ports, ports, n * sizeof(*ports));
        node_send(w->node, &m, sizeof(m.fork) + n * sizeof(*ports));
}

static int receive_forked(World *w, Role *ret) {
        int fds[WORLD_FDS_MAX];
        size_t n_fds;
        Packet p;

        n_fds = world_receive(w, KEEPER_FORKED, w->last_id, &p, fds);
        if (p.forked.error < 0)
                return p.forked.error;
        assert_int_equal(n_fds, 2);
        *ret = (Role){ .id = w->last_id,
                .pid = p.forked.pid,
                .start_time = p.forked.start_time,
                .pidfd = fds[0],
                .gate = fds[1],
                .record = -EBADF,
                .stream = -EBADF,
                .stdin_fd = -EBADF,
                .terminal = -EBADF,
                .master = -EBADF };
        return 0;
}

static int fork_with(World *w, const struct keeper_port *ports, size_t n, Role *ret) {
        send_fork(w, ports, n);
        return receive_forked(w, ret);
}

static Role run_with(World *w, const struct keeper_port *ports, size_t n) {
        Role role;

        assert_int_equal(fork_with(w, ports, n, &role), 0);
        role_open(&role, QUIET(.command = COMMAND("/bin/sleep", "600")));
        role_listen(&role);
        assert_int_equal(role.n_reports, 0);
        return role;
}

static void test_reserve(void **state) {
        World *w = *state;
        uint16_t tcp[KEEPER_BIND_MAX], udp[2];

        assert_int_equal(bind_ports(w, KEEPER_TCP, KEEPER_BIND_MAX, 0, tcp), 0);
        assert_int_equal(bind_ports(w, KEEPER_UDP, 2, 0, udp), 0);
        for (size_t i = 0; i < ELEMENTSOF(tcp); i++) {
                assert_int_equal(try_bind(SOCK_STREAM, tcp[i]), EADDRINUSE);
                assert_int_equal(try_connect(tcp[i]), ECONNREFUSED);
        }
        assert_int_equal(try_bind(SOCK_DGRAM, udp[0]), EADDRINUSE);
        request_ports(w, KEEPER_RELEASE_PORTS, KEEPER_TCP, tcp, 1);
        assert_int_equal(try_bind(SOCK_STREAM, tcp[0]), 0);
        assert_int_equal(try_bind(SOCK_STREAM, tcp[1]), EADDRINUSE);
        /* Repeated, and for the other protocol; neither has an effect. */
        request_ports(w, KEEPER_RELEASE_PORTS, KEEPER_TCP, tcp, 1);
        request_ports(w, KEEPER_RELEASE_PORTS, KEEPER_UDP, tcp + 1, 1);
        assert_int_equal(try_bind(SOCK_STREAM, tcp[1]), EADDRINUSE);
        request_ports(w, KEEPER_RELEASE_PORTS, KEEPER_TCP, tcp, ELEMENTSOF(tcp));
        request_ports(w, KEEPER_RELEASE_PORTS, KEEPER_UDP, udp, 2);
        assert_int_equal(try_bind(SOCK_DGRAM, udp[0]), 0);
}

static void few_files(World *w) {
        const struct rlimit rl = { 40, 40 };

        assert_int_equal(setrlimit(RLIMIT_NOFILE, &rl), 0);
}

/* The descriptors are used up in the middle of the request, and no port remains reserved. */
static void test_all_or_none(void **state) {
        World *w = *state;
        uint16_t numbers[KEEPER_BIND_MAX];
        int fds;

        world_start(w, &(struct start){ .before_exec = few_files });
        w->noisy = true; /* it cannot raise its limit */
        fds = count_process_fds(w->keeper);
        assert_int_equal(bind_ports(w, KEEPER_TCP, 100, 0, numbers), -EMFILE);
        assert_int_equal(count_process_fds(w->keeper), fds);
        assert_int_equal(bind_ports(w, KEEPER_TCP, 5, 0, numbers), 0);
        assert_int_equal(count_process_fds(w->keeper), fds + 5);
        request_ports(w, KEEPER_RELEASE_PORTS, KEEPER_TCP, numbers, 5);

        /* 192.0.2.1 is not an address of this system. */
        assert_int_equal(bind_ports(w, KEEPER_TCP, 1, 4, numbers), -EADDRNOTAVAIL);
        assert_int_equal(bind_ports(w, KEEPER_UDP, 1, 5, numbers), -EINVAL);
        assert_int_equal(count_process_fds(w->keeper), fds);
}

static void test_lend(void **state) {
        World *w = *state;
        uint16_t numbers[2];
        Role role, none;

        assert_int_equal(bind_ports(w, KEEPER_TCP, 2, 0, numbers), 0);
        const struct keeper_port first = { numbers[0], KEEPER_TCP, 0 },
                                 second = { numbers[1], KEEPER_TCP, 0 },
                                 unknown = { numbers[1], KEEPER_UDP, 0 };

        role = run_with(w, &first, 1);
        assert_int_equal(try_connect(numbers[0]), 0);
        assert_int_equal(try_connect(numbers[1]), ECONNREFUSED);
        /* All or none: the second one is not lent either. */
        assert_int_equal(fork_with(w, (struct keeper_port[]){ second, first }, 2, &none), -EBUSY);
        assert_int_equal(fork_with(w, (struct keeper_port[]){ second, unknown }, 2, &none), -EADDRNOTAVAIL);

        /* No socket listens before the exit is reported, and the port can be lent again. The zombie does not
         * have it. */
        assert_int_equal(kill(role.pid, SIGKILL), 0);
        (void) role_ended(w, &role);
        assert_int_equal(try_connect(numbers[0]), ECONNREFUSED);
        assert_int_equal(try_bind(SOCK_STREAM, numbers[0]), EADDRINUSE);
        none = run_with(w, (struct keeper_port[]){ first, second }, 2);
        assert_int_equal(try_connect(numbers[0]), 0);
        assert_int_equal(try_connect(numbers[1]), 0);
        (void) role_end(w, &role);

        /* It does not listen any more, even if another process has it open. */
        request_ports(w, KEEPER_REST_PORTS, KEEPER_TCP, numbers, 2);
        assert_int_equal(try_connect(numbers[0]), ECONNREFUSED);
        assert_int_equal(try_connect(numbers[1]), ECONNREFUSED);
        assert_int_equal(kill(none.pid, SIGKILL), 0);
        (void) role_end(w, &none);
        request_ports(w, KEEPER_RELEASE_PORTS, KEEPER_TCP, numbers, 2);
}

/* A child that waits at its gate has no copies of the ports of other children. */
static void test_closed_in_others(void **state) {
        World *w = *state;
        uint16_t number;
        Role role;

        assert_int_equal(bind_ports(w, KEEPER_TCP, 1, 0, &number), 0);
        role = role_fork(w, 0);
        role_wait_at_gate(&role);
        request_ports(w, KEEPER_RELEASE_PORTS, KEEPER_TCP, &number, 1);
        assert_int_equal(try_bind(SOCK_STREAM, number), 0);
        assert_int_equal(kill(role.pid, SIGKILL), 0);
        (void) role_end(w, &role);
}

/* The stream that comes with the request is not in the way of the ports, whose numbers begin at 3, as its
 * does. */
static void test_beside_a_stream(void **state) {
        World *w = *state;
        struct keeper_port ports[8];
        uint16_t numbers[8];
        int pair[2];
        char text[32] = "";
        Role role;

        assert_int_equal(bind_ports(w, KEEPER_TCP, 8, 0, numbers), 0);
        for (size_t i = 0; i < 8; i++)
                ports[i] = (struct keeper_port){ numbers[i], KEEPER_TCP, 0 };
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(fork_with(w, ports, 8, &role), 0);
        role_open_with(&role,
                REQUEST(.stream = LAUNCH_STREAM_SHARED, .command = SHELL("echo line; exec sleep 600")),
                pair[0]);
        role_listen(&role);
        assert_int_equal(role.n_reports, 0);
        assert_int_equal(recv(pair[1], text, 5, MSG_WAITALL), 5);
        assert_string_equal(text, "line\n");
        for (size_t i = 0; i < 8; i++)
                assert_int_equal(try_connect(numbers[i]), 0);
        assert_int_equal(kill(role.pid, SIGKILL), 0);
        (void) role_end(w, &role);
        (void) fd_close(pair[0]);
        (void) fd_close(pair[1]);
        request_ports(w, KEEPER_RELEASE_PORTS, KEEPER_TCP, numbers, 8);
}

static bool are_free(void *numbers) {
        const uint16_t *n = numbers;

        return try_bind(SOCK_STREAM, n[0]) == 0 && try_bind(SOCK_DGRAM, n[1]) == 0;
}

static void test_release_by_exec(void **state) {
        World *w = *state;
        uint16_t numbers[2];
        struct keeper_port ports[2];
        Role role;

        for (int fails = 1; fails >= 0; fails--) {
                assert_int_equal(bind_ports(w, KEEPER_TCP, 1, 0, numbers), 0);
                assert_int_equal(bind_ports(w, KEEPER_UDP, 1, 0, numbers + 1), 0);
                ports[0] = (struct keeper_port){ numbers[0], KEEPER_TCP, 1 };
                ports[1] = (struct keeper_port){ numbers[1], KEEPER_UDP, 1 };
                if (fails) {
                        assert_int_equal(fork_with(w, ports, 2, &role), 0);
                        role_open(&role, QUIET(.command = COMMAND("/nowhere")));
                        role_listen(&role);
                        assert_int_equal(role.n_reports, 1);
                        assert_int_equal(role.reports[0].stage, LAUNCH_STAGE_EXEC);
                        (void) role_ended(w, &role);
                        assert_int_equal(try_bind(SOCK_STREAM, numbers[0]), EADDRINUSE);
                        assert_int_equal(try_bind(SOCK_DGRAM, numbers[1]), EADDRINUSE);
                        (void) role_end(w, &role);
                }
                role = run_with(w, ports, 2);
                /* Other processes can bind them once the kernel has completed the exec. */
                assert_true(wait_for(are_free, numbers));
                assert_int_equal(kill(role.pid, SIGKILL), 0);
                (void) role_end(w, &role);
        }
}

/* Returns a copy of the socket that a role has, as a process has it to which the role has passed it on. */
static int leak(const Role *role) {
        int fd = (int) syscall(SYS_pidfd_getfd, role->pidfd, 3, 0);

        assert_true(fd >= 0);
        return fd;
}

static void set_option(int fd, int option, int value) {
        assert_int_equal(setsockopt(fd, SOL_SOCKET, option, &value, sizeof(value)), 0);
}

/* So that no other program can set one. */
static void lock_own_filter(int fd) {
        struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);
        const struct sock_fprog program = { .len = 1, .filter = &all };

        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)), 0);
        set_option(fd, SO_LOCK_FILTER, 1);
}

enum tricks {
        TRICK_REUSEADDR = 1 << 0,
        TRICK_NO_REUSEPORT = 1 << 1,
        TRICK_FILTER = 1 << 2,
        TRICK_NONBLOCK = 1 << 3,
        TRICK_LOOPBACK = 1 << 4, /* a process that is not root can do this once */
        _TRICKS = 1 << 5,
};

static void play(int fd, unsigned tricks) {
        if (tricks & TRICK_REUSEADDR)
                set_option(fd, SO_REUSEADDR, 1);
        if (tricks & TRICK_NO_REUSEPORT)
                set_option(fd, SO_REUSEPORT, 0);
        if (tricks & TRICK_FILTER)
                lock_own_filter(fd);
        if (tricks & TRICK_NONBLOCK)
                assert_int_equal(fd_nonblock(fd, true), 0);
        if (tricks & TRICK_LOOPBACK)
                assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3), 0);
}

/* What an ordinary user can do with a socket that a role has had, to receive from its port again. */
static void use_again_as_user(int fd, unsigned tricks) {
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                const struct sockaddr none = { .sa_family = AF_UNSPEC };

                if (setresgid(1000, 1000, 1000) < 0 || setresuid(1000, 1000, 1000) < 0)
                        _exit(1);
                (void) connect(fd, &none, sizeof(none));
                (void) setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "", 0);
                (void) setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3);
                (void) setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &(int){ 0 }, sizeof(int));
                (void) setsockopt(
                        fd, SOL_SOCKET, SO_REUSEADDR, &(int){ !!(tricks & TRICK_REUSEADDR) }, sizeof(int));
                (void) setsockopt(
                        fd, SOL_SOCKET, SO_REUSEPORT, &(int){ !(tricks & TRICK_NO_REUSEPORT) }, sizeof(int));
                (void) listen(fd, SOMAXCONN);
                _exit(0);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

static int connect_to(uint16_t port) {
        const struct sockaddr_in to = {
                .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
        };
        const struct timeval patience = { .tv_sec = 10 };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)), 0);
        assert_int_equal(connect(fd, (const struct sockaddr *) &to, sizeof(to)), 0);
        return fd;
}

/* A role passes its socket on, which then gets no connection any more, neither while the port is only
 * reserved nor while the next role has it. */
static void test_leaked_tcp(void **state) {
        World *w = *state;
        uint16_t number;

        for (unsigned tricks = 0; tricks < _TRICKS; tricks++) {
                assert_int_equal(bind_ports(w, KEEPER_TCP, 1, 0, &number), 0);
                const struct keeper_port port = { number, KEEPER_TCP, 0 };
                Role role = run_with(w, &port, 1), next;
                autofd leaked = leak(&role), next_socket = -EBADF;

                play(leaked, tricks);
                if (!(tricks & TRICK_LOOPBACK))
                        assert_int_equal(try_bind(SOCK_STREAM, number), EADDRINUSE);
                assert_int_equal(kill(role.pid, SIGKILL), 0);
                (void) role_end(w, &role);
                assert_int_equal(try_connect(number), ECONNREFUSED);
                use_again_as_user(leaked, tricks);
                assert_int_equal(try_connect(number), ECONNREFUSED);
                if (tricks % 2 == 0) /* the node may not have requested it yet */
                        request_ports(w, KEEPER_REST_PORTS, KEEPER_TCP, &number, 1);

                next = run_with(w, &port, 1);
                next_socket = leak(&next);
                assert_int_equal(fcntl(next_socket, F_GETFL) & O_NONBLOCK, 0);
                use_again_as_user(leaked, tricks);
                assert_int_equal(fd_nonblock(leaked, true), 0);
                assert_int_equal(fd_nonblock(next_socket, true), 0); /* a connection is there at once */
                for (int i = 0; i < 8; i++) {
                        autofd client = connect_to(number), accepted = -EBADF;

                        assert_true(client >= 0);
                        assert_int_equal(accept(leaked, NULL, NULL), -1);
                        accepted = accept(next_socket, NULL, NULL);
                        assert_true(accepted >= 0);
                        /* The side of the role closes first, so the kernel remembers the connection. */
                }
                assert_int_equal(kill(next.pid, SIGKILL), 0);
                (void) role_end(w, &next);
                request_ports(w, KEEPER_RELEASE_PORTS, KEEPER_TCP, &number, 1);
        }
}

static void test_time_wait(void **state) {
        World *w = *state;
        uint16_t number;

        assert_int_equal(bind_ports(w, KEEPER_TCP, 1, 0, &number), 0);
        for (int i = 0; i < 3; i++) {
                Role role = run_with(w, &(struct keeper_port){ number, KEEPER_TCP, 0 }, 1);
                autofd socket = leak(&role);

                for (int k = 0; k < 5; k++) {
                        int client = connect_to(number), accepted = accept(socket, NULL, NULL);
                        char byte;

                        assert_true(accepted >= 0);
                        (void) fd_close(accepted);
                        assert_int_equal(read(client, &byte, 1), 0);
                        (void) fd_close(client);
                }
                assert_int_equal(kill(role.pid, SIGKILL), 0);
                (void) role_end(w, &role);
        }
        request_ports(w, KEEPER_RELEASE_PORTS, KEEPER_TCP, &number, 1);
}

static int count_datagrams(int fd, uint16_t port) {
        const struct sockaddr_in to = {
                .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
        };
        char byte;
        int n = 0;

        for (int i = 0; i < 100; i++) {
                autofd from = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0); /* from another port each time */

                assert_int_equal(sendto(from, "x", 1, 0, (const struct sockaddr *) &to, sizeof(to)), 1);
        }
        while (recv(fd, &byte, 1, MSG_DONTWAIT) > 0)
                n++;
        return n;
}

/* Only the role gets the datagrams, all of them. No other socket has the port, whatever the role sets. */
static void test_udp(void **state) {
        World *w = *state;
        uint16_t number;

        for (unsigned tricks = 0; tricks < TRICK_LOOPBACK; tricks++) {
                assert_int_equal(bind_ports(w, KEEPER_UDP, 1, 0, &number), 0);
                for (int i = 0; i < 2; i++) {
                        Role role = run_with(w, &(struct keeper_port){ number, KEEPER_UDP, 0 }, 1);
                        autofd socket_of_role = leak(&role),
                               other = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
                        const struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(number) };

                        play(socket_of_role, tricks);
                        set_option(other, SO_REUSEADDR, 1);
                        assert_int_equal(bind(other, (const struct sockaddr *) &any, sizeof(any)), -1);
                        set_option(other, SO_REUSEPORT, 1);
                        assert_int_equal(bind(other, (const struct sockaddr *) &any, sizeof(any)), -1);
                        assert_int_equal(count_datagrams(socket_of_role, number), 100);
                        socket_of_role = fd_close(socket_of_role);
                        assert_int_equal(kill(role.pid, SIGKILL), 0);
                        (void) role_end(w, &role);
                        request_ports(w, KEEPER_REST_PORTS, KEEPER_UDP, &number, 1);
                }
                request_ports(w, KEEPER_RELEASE_PORTS, KEEPER_UDP, &number, 1);
        }
}

static void assert_given_up(World *w, uint16_t number) {
        const struct keeper_ports m = list(KEEPER_REST_PORTS, KEEPER_UDP, &number, 1);
        const struct keeper_ports *kept;
        int fds[WORLD_FDS_MAX];
        Role none;
        Packet p;

        node_send(w->node, &m, keeper_ports_size(1));
        assert_int_equal(world_receive(w, KEEPER_PORTS_KEPT, 0, &p, fds), 0);
        kept = (const struct keeper_ports *) p.raw;
        assert_int_equal(kept->ports[0].number, number);
        assert_int_equal(kept->ports[0].protocol, KEEPER_UDP);
        assert_int_equal(
                fork_with(w, &(struct keeper_port){ number, KEEPER_UDP, 0 }, 1, &none), -EADDRNOTAVAIL);
}

/* A UDP socket cannot be taken back, so the port is given up, and no role gets it. */
static void test_leaked_udp(void **state) {
        World *w = *state;

        w->noisy = true;
        for (unsigned tricks = 0; tricks < TRICK_LOOPBACK; tricks++) {
                uint16_t number;
                Role role, none;

                assert_int_equal(bind_ports(w, KEEPER_UDP, 1, 0, &number), 0);
                role = run_with(w, &(struct keeper_port){ number, KEEPER_UDP, 0 }, 1);
                autofd leaked = leak(&role);
                play(leaked, tricks);
                assert_int_equal(kill(role.pid, SIGKILL), 0);
                (void) role_end(w, &role);
                assert_int_equal(count_datagrams(leaked, number), 0);
                use_again_as_user(leaked, tricks);
                if (tricks % 2 == 0)
                        assert_int_equal(
                                fork_with(w, &(struct keeper_port){ number, KEEPER_UDP, 0 }, 1, &none),
                                -EADDRINUSE);
                assert_given_up(w, number);
        }
}

static void test_release_all(void **state) {
        World *w = *state;
        const struct keeper_header all = { .type = KEEPER_RELEASE_ALL_PORTS };
        const struct keeper_bind bind_one = { .header = { .type = KEEPER_BIND }, .n = 1 };
        uint16_t numbers[3];
        int fds[WORLD_FDS_MAX];
        Packet p;

        assert_int_equal(bind_ports(w, KEEPER_TCP, 2, 0, numbers), 0);
        /* The node has not read the reply when it sends the next request. */
        node_send(w->node, &bind_one, sizeof(bind_one));
        node_send(w->node, &all, sizeof(all));
        assert_int_equal(world_receive(w, KEEPER_BOUND, 0, &p, fds), 0);
        numbers[2] = ((const struct keeper_bound *) p.raw)->numbers[0];
        assert_int_equal(world_receive(w, KEEPER_DONE, 0, &p, fds), 0);
        assert_int_equal(p.done.error, 0);
        for (size_t i = 0; i < ELEMENTSOF(numbers); i++)
                assert_int_equal(try_bind(SOCK_STREAM, numbers[i]), 0);
}

/* Returns the inode of the socket of this port, as seen by its role. */
static char *inode_of(World *w, uint16_t number) {
        static const char script[] = "readlink /proc/self/fd/3 >\"$FILE\"";
        char *path = world_path(w, "inode"), *variable, *text;
        Role role;

        assert_true(asprintf(&variable, "FILE=%s", path) > 0);
        assert_int_equal(fork_with(w, &(struct keeper_port){ number, KEEPER_TCP, 0 }, 1, &role), 0);
        role_open(&role, QUIET(.command = SHELL(script), .environment = ENVIRONMENT(variable)));
        role_listen(&role);
        assert_int_equal(role.n_reports, 0);
        assert_int_equal(role_end(w, &role).exit.wait_status, 0);
        text = world_read(w, "inode");
        assert_non_null(strstr(text, "socket:"));
        free(variable);
        free(path);
        return text;
}

/* Each role has a socket of its own. A child that fails to execute its command gives the port back. */
static void test_own_socket(void **state) {
        World *w = *state;
        char *before, *after;
        uint16_t number;
        Role role;

        assert_int_equal(bind_ports(w, KEEPER_TCP, 1, 0, &number), 0);
        before = inode_of(w, number);
        assert_int_equal(fork_with(w, &(struct keeper_port){ number, KEEPER_TCP, 1 }, 1, &role), 0);
        role_open(&role, QUIET(.command = COMMAND("/nowhere")));
        role_listen(&role);
        assert_int_equal(role.n_reports, 1);
        (void) role_end(w, &role);
        after = inode_of(w, number);
        assert_string_not_equal(before, after);
        request_ports(w, KEEPER_RELEASE_PORTS, KEEPER_TCP, &number, 1);
        free(before);
        free(after);
}

/* -- stored by systemd -- */

static void set_notify(World *w) {
        (void) setenv("NOTIFY_SOCKET", world_path(w, "notify"), 1);
}

/* Receives the descriptors of this many ports, as a slow or hung systemd would have them. They are on one
 * shelf, of which a later one replaces what was there. */
static void keep_ports(int notify_fd, size_t n, int *ret) {
        const char *const stored = "FDSTORE=1\nFDPOLL=0\nFDNAME=q";
        autofd shelf = -EBADF;

        for (size_t kept = 0; kept < n;) {
                struct pollfd p = { .fd = notify_fd, .events = POLLIN };
                ShelfContents contents = { 0 };
                char message[256] = { 0 };
                size_t n_fds = 1;
                int fd = -EBADF;

                assert_int_equal(poll(&p, 1, 60000), 1);
                assert_true(socket_recv(notify_fd, message, sizeof(message) - 1, &fd, &n_fds) > 0);
                if (strncmp(message, stored, strlen(stored)) == 0) {
                        assert_int_equal(n_fds, 1);
                        (void) fd_close(shelf);
                        shelf = fd;
                } else if (n_fds > 0)
                        (void) fd_close(fd);
                if (shelf >= 0)
                        assert_int_equal(shelf_read(shelf, &contents), 0);
                for (kept = 0; kept < contents.n; kept++)
                        if (contents.n == n)
                                ret[kept] = contents.fds[kept];
                        else
                                (void) fd_close(contents.fds[kept]);
        }
}

/* A port that is released, by a request or by an exec, is free at once all the same. A port that is not
 * released is stored for the next keeper. */
static void test_kept(void **state) {
        World *w = *state;
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        autofd notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        uint16_t numbers[4];
        int kept[4], copy;
        Role role;

        assert_true(notify_fd >= 0);
        (void) snprintf(a.sun_path, sizeof(a.sun_path), "%s/notify", w->dir);
        assert_int_equal(bind(notify_fd, (struct sockaddr *) &a, sizeof(a)), 0);
        world_start(w, &(struct start){ .before_exec = set_notify });

        assert_int_equal(bind_ports(w, KEEPER_TCP, 2, 0, numbers), 0);
        assert_int_equal(bind_ports(w, KEEPER_UDP, 1, 0, numbers + 2), 0);
        assert_int_equal(bind_ports(w, KEEPER_TCP, 1, 0, numbers + 3), 0);
        keep_ports(notify_fd, ELEMENTSOF(kept), kept);
        for (size_t i = 0; i < ELEMENTSOF(kept); i++) {
                copy = hold_look(kept[i]);
                assert_true(copy >= 0);
                (void) fd_close(copy);
        }

        request_ports(w, KEEPER_RELEASE_PORTS, KEEPER_TCP, numbers, 1);
        assert_int_equal(try_bind(SOCK_STREAM, numbers[0]), 0);
        const struct keeper_port ports[] = { { numbers[1], KEEPER_TCP, 1 }, { numbers[2], KEEPER_UDP, 1 } };
        role = run_with(w, ports, ELEMENTSOF(ports));
        assert_true(wait_for(are_free, numbers + 1));
        assert_int_equal(kill(role.pid, SIGKILL), 0);
        (void) role_end(w, &role);

        /* Keeper and role have gone, and only the test, in the place of systemd, still has the port. */
        assert_int_equal(kill(w->keeper, SIGKILL), 0);
        assert_int_equal(waitpid(w->keeper, NULL, 0), w->keeper);
        w->keeper = 0;
        world_disconnect(w);
        assert_int_equal(try_bind(SOCK_STREAM, numbers[3]), EADDRINUSE);
        for (size_t i = 0; i < ELEMENTSOF(kept); i++) {
                copy = hold_look(kept[i]);
                if (copy >= 0)
                        assert_int_equal(number_of(copy), numbers[3]);
                else
                        assert_int_equal(copy, -ENODATA);
                (void) fd_close(copy);
                hold_end(kept[i]);
        }
        assert_int_equal(try_bind(SOCK_STREAM, numbers[3]), 0);
}

/* A child that has just been cloned has copies of all descriptors of the keeper until it runs. */
static void test_release_behind_fork(void **state) {
        World *w = *state;

        for (int i = 0; i < 200; i++) {
                struct keeper_ports m;
                uint16_t number;
                int fds[WORLD_FDS_MAX];
                Role role;
                Packet p;

                assert_int_equal(bind_ports(w, KEEPER_TCP, 1, 0, &number), 0);
                m = list(KEEPER_RELEASE_PORTS, KEEPER_TCP, &number, 1);
                send_fork(w, NULL, 0);
                node_send(w->node, &m, keeper_ports_size(1));
                assert_int_equal(receive_forked(w, &role), 0);
                assert_int_equal(world_receive(w, KEEPER_DONE, 0, &p, fds), 0);
                assert_int_equal(try_bind(SOCK_STREAM, number), 0);
                assert_int_equal(kill(role.pid, SIGKILL), 0);
                (void) role_end(w, &role);
        }
}

static uint32_t hello_ports(World *w, uint16_t *ret, size_t room) {
        uint32_t left, all;
        int fds[WORLD_FDS_MAX];
        size_t n_fds, n = 0;
        Packet p;

        node_hello(w->node, KEEPER_PROTOCOL_VERSION_MIN, KEEPER_PROTOCOL_VERSION, &p);
        assert_int_equal(p.welcome.error, 0);
        assert_int_equal(p.welcome.n_children, 0);
        for (left = all = p.welcome.n_ports; left > 0;) {
                const struct keeper_ports *m = (const struct keeper_ports *) p.raw;
                size_t k =
                        (node_receive(w->node, &p, fds, &n_fds) - keeper_ports_size(0)) / sizeof(m->ports[0]);

                assert_int_equal(p.header.type, KEEPER_PORTS);
                assert_true(k > 0 && k <= left);
                for (size_t i = 0; i < k && n < room; i++)
                        ret[n++] = m->ports[i].number;
                left -= (uint32_t) k;
        }
        return all;
}

static bool contains(const uint16_t *numbers, size_t n, uint16_t number) {
        for (size_t i = 0; i < n; i++)
                if (numbers[i] == number)
                        return true;
        return false;
}

static void test_told(void **state) {
        World *w = *state;
        uint16_t numbers[1500], told[1500];

        assert_int_equal(hello_ports(w, told, ELEMENTSOF(told)), 0);
        for (size_t i = 0; i < ELEMENTSOF(numbers); i += 250)
                assert_int_equal(bind_ports(w, KEEPER_TCP, 250, 0, numbers + i), 0);
        world_disconnect(w);
        w->node = node_connect(w);
        assert_int_equal(hello_ports(w, told, ELEMENTSOF(told)), ELEMENTSOF(numbers));
        for (size_t i = 0; i < ELEMENTSOF(numbers); i++)
                assert_true(contains(told, ELEMENTSOF(told), numbers[i]));

        assert_int_equal(hello_ports(w, told, ELEMENTSOF(told)), ELEMENTSOF(numbers));
        request_ports(w, KEEPER_RELEASE_PORTS, KEEPER_TCP, numbers, 1000);
        request_ports(w, KEEPER_RELEASE_PORTS, KEEPER_TCP, numbers + 1000, 500);
}

/* The requests that a node has sent before it goes are all executed, although the replies cannot be
 * received. */
static void test_last_words(void **state) {
        World *w = *state;
        uint16_t numbers[3];
        int status;

        for (int i = 0; i < 20; i++) {
                assert_int_equal(bind_ports(w, KEEPER_TCP, 3, 0, numbers), 0);
                assert_int_equal(kill(w->keeper, SIGSTOP), 0);
                assert_int_equal(waitpid(w->keeper, &status, WUNTRACED), w->keeper);
                for (size_t k = 0; k < 3; k++) {
                        const struct keeper_ports m = list(KEEPER_RELEASE_PORTS, KEEPER_TCP, numbers + k, 1);

                        node_send(w->node, &m, keeper_ports_size(1));
                }
                world_disconnect(w);
                assert_int_equal(kill(w->keeper, SIGCONT), 0);
                assert_int_equal(world_connect(w), 0);
                for (size_t k = 0; k < 3; k++)
                        assert_int_equal(try_bind(SOCK_STREAM, numbers[k]), 0);
        }
}

static void test_limit(void **state) {
        World *w = *state;
        uint16_t numbers[KEEPER_PORTS_MAX];

        for (size_t i = 0; i < KEEPER_PORTS_MAX; i += KEEPER_BIND_MAX)
                assert_int_equal(bind_ports(w, KEEPER_UDP, KEEPER_BIND_MAX, 0, numbers + i), 0);
        assert_int_equal(bind_ports(w, KEEPER_TCP, 1, 0, numbers), -ENOBUFS);
        for (size_t i = 0; i < KEEPER_PORTS_MAX; i += KEEPER_PORTS_PACKET)
                request_ports(w, KEEPER_RELEASE_PORTS, KEEPER_UDP, numbers + i, KEEPER_PORTS_PACKET);
}

static void write_setting(const char *path, const char *value) {
        int fd = open(path, O_WRONLY | O_CLOEXEC);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, value, strlen(value)), strlen(value));
        assert_int_equal(close(fd), 0);
}

/* A port is identified by its number. A number that is reserved on one address is not chosen for another one,
 * where it would be free. */
static void test_two_addresses(void **state) {
        World *w = *state;
        uint16_t first[3], second, third;
        int before = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

        assert_true(before >= 0);
        assert_int_equal(unshare(CLONE_NEWNET), 0);
        write_setting("/proc/sys/net/ipv4/ip_local_port_range", "40000 40003");
        write_setting("/proc/sys/net/ipv4/ip_nonlocal_bind", "1");
        world_start(w, &(struct start){ 0 });
        assert_int_equal(setns(before, CLONE_NEWNET), 0);
        assert_int_equal(close(before), 0);

        assert_int_equal(bind_at(w, KEEPER_TCP, 3, 4, 1, first), 0);
        assert_int_equal(bind_at(w, KEEPER_TCP, 1, 4, 2, &second), 0);
        for (size_t i = 0; i < ELEMENTSOF(first); i++)
                assert_int_not_equal(first[i], second);
        assert_int_equal(bind_at(w, KEEPER_TCP, 1, 4, 3, &third), -EADDRINUSE);
        assert_int_equal(bind_at(w, KEEPER_UDP, 1, 4, 3, &third), 0); /* these are others */

        request_ports(w, KEEPER_RELEASE_PORTS, KEEPER_TCP, first, 1);
        assert_int_equal(bind_at(w, KEEPER_TCP, 1, 4, 3, &third), 0);
        assert_int_equal(third, first[0]);
        request_ports(
                w, KEEPER_RELEASE_PORTS, KEEPER_TCP, (uint16_t[]){ first[1], first[2], second, third }, 4);
        request_ports(w, KEEPER_RELEASE_PORTS, KEEPER_UDP, (uint16_t[]){ 40000, 40001, 40002, 40003 }, 4);
        world_check(w);
}

static void test_malformed(void **state) {
        World *w = *state;
        const struct keeper_bind good = { .header = { .type = KEEPER_BIND }, .n = 1 };
        struct keeper_bind none = good, many = good, other = good;
        const struct keeper_ports ports = { .header = { .type = KEEPER_RELEASE_PORTS } };
        struct fork_ports wrong_order = { .fork = { .header = { .type = KEEPER_FORK, .child = 1 },
                                                  .role = "cam" },
                .ports = { { 1, 0, 1 }, { 2, 0, 0 } } };
        const struct {
                const void *data;
                size_t size;
        } packets[] = {
                { &none, sizeof(none) },
                { &many, sizeof(many) },
                { &other, sizeof(other) },
                { &good, sizeof(good) - 1 },
                { &ports, keeper_ports_size(1) - 1 },
                { &wrong_order, sizeof(wrong_order.fork) + 2 * sizeof(struct keeper_port) },
                { &wrong_order, sizeof(wrong_order.fork) + 1 },
        };
        int fds[WORLD_FDS_MAX];
        size_t n_fds;
        Packet p;

        none.n = 0;
        many.n = KEEPER_BIND_MAX + 1;
        other.protocol = 2;
        w->noisy = true;
        for (size_t i = 0; i < ELEMENTSOF(packets); i++) {
                node_send(w->node, packets[i].data, packets[i].size);
                assert_int_equal(node_receive(w->node, &p, fds, &n_fds), 0);
                world_disconnect(w);
                assert_int_equal(world_connect(w), 0);
        }
}

static void request_done(Keeper *k, const void *m, size_t size) {
        assert_int_equal(keeper_on_request(k, m, size), 0);
        assert_int_equal(k->reply.done.error, 0);
        k->reply_size = 0;
}

/* The node has this keeper forget the child of a dead one, which runs on, with its port. */
static void test_forgotten_orphan(void **state) {
        const struct keeper_self self = { .pid = getpid(), .protocol_max = KEEPER_PROTOCOL_VERSION };
        const struct sockaddr_un any = { .sun_family = AF_UNIX };
        const struct keeper_header reap = { .type = KEEPER_REAP, .child = 7 };
        struct keeper_bind bind_request = {
                .header = { .type = KEEPER_BIND }, .n = 1, .protocol = KEEPER_TCP
        };
        struct keeper_ports ports = { .header = { .type = KEEPER_REST_PORTS } };
        struct child_sockets lent;
        ListLink other;
        Keeper k;
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        Child *child = calloc(1, sizeof(*child));

        assert_true(fd >= 0 && child);
        assert_int_equal(bind(fd, (const struct sockaddr *) &any, sizeof(sa_family_t)), 0);
        assert_int_equal(keeper_init(&k, &self, fd), 0);
        k.welcomed = true;
        k.version = KEEPER_PROTOCOL_VERSION;
        assert_int_equal(keeper_on_request(&k, &bind_request, sizeof(bind_request)), 0);
        assert_int_equal(k.reply.bound.error, 0);
        ports.ports[0] = (struct keeper_port){ .number = k.reply.bound.numbers[0], .protocol = KEEPER_TCP };

        child_init(child, 7, "cam");
        child->orphan = true;
        child->pid = getpid();
        child->pidfd = pidfd_open_pid(getpid());
        assert_int_equal(keeper_add_child(&k, child, &k.children), 0);
        assert_int_equal(sockets_lend(&k.sockets, 7, &child->sockets, ports.ports, 1, &lent), 0);
        child_sockets_close(&lent);

        request_done(&k, &reap, sizeof(reap));
        assert_null(keeper_find_child(&k, 7));
        struct reserved_socket *socket = sockets_find(&k.sockets, &ports.ports[0]);
        assert_non_null(socket);
        assert_false(list_is_linked(&socket->of_child)); /* that list has gone with the child */
        /* It still has the port, until the node says that it has ended. */
        list_init(&other);
        assert_int_equal(sockets_lend(&k.sockets, 8, &other, ports.ports, 1, &lent), -EBUSY);
        request_done(&k, &ports, keeper_ports_size(1));
        assert_int_equal(sockets_lend(&k.sockets, 8, &other, ports.ports, 1, &lent), 0);
        child_sockets_close(&lent);
        assert_true(list_is_linked(&other));
        ports.header.type = KEEPER_RELEASE_PORTS;
        request_done(&k, &ports, keeper_ports_size(1));
        assert_false(list_is_linked(&other));
        assert_int_equal(k.sockets.n, 0);

        free(k.sockets.all);
        id_map_clear(&k.sockets.by_port);
        id_map_clear(&k.children_by_id);
        (void) fd_close(k.signal_fd);
        (void) fd_close(k.epoll_fd);
        (void) fd_close(k.listen_fd);
}

/* A request by numbers, or of a range without them. Stores what the reply has. */
static int bind_by_number(World *w, uint8_t protocol, const uint16_t *numbers, uint16_t n, uint16_t first,
        uint16_t last, uint16_t *ret, uint32_t *ret_n) {
        struct keeper_bind_ports m = { .header = { .type = KEEPER_BIND_PORTS },
                .n = n,
                .protocol = protocol,
                .first = first,
                .last = last };
        const struct keeper_bound *bound;
        int fds[WORLD_FDS_MAX];
        Packet p;

        if (numbers)
                memcpy(m.numbers, numbers, n * sizeof(*numbers));
        node_send(w->node, &m, sizeof(m));
        assert_int_equal(world_receive(w, KEEPER_BOUND, 0, &p, fds), 0);
        bound = (const struct keeper_bound *) p.raw;
        *ret_n = bound->n;
        memcpy(ret, bound->numbers, bound->n * sizeof(*ret));
        return bound->error;
}

/* The first of eight numbers in a row that are free. */
static uint16_t free_numbers(void) {
        for (uint16_t first = 20000; first < 60000; first += 8) {
                uint16_t i = 0;

                while (i < 8 && try_bind(SOCK_STREAM, first + i) == 0 && try_bind(SOCK_DGRAM, first + i) == 0)
                        i++;
                if (i == 8)
                        return first;
        }
        fail_msg("no eight ports in a row are free");
        return 0;
}

static void test_by_number(void **state) {
        World *w = *state;
        const uint16_t a = free_numbers();
        const uint16_t wanted[] = { a + 1, a, a + 5 }, more[] = { a + 2, a + 5, a + 3 };
        uint16_t got[KEEPER_BIND_MAX];
        uint32_t n;

        for (uint8_t protocol = KEEPER_TCP; protocol <= KEEPER_UDP; protocol++) {
                const int type = protocol == KEEPER_TCP ? SOCK_STREAM : SOCK_DGRAM;

                assert_int_equal(bind_by_number(w, protocol, wanted, 3, 0, 0, got, &n), 0);
                assert_int_equal(n, 3);
                assert_memory_equal(got, wanted, sizeof(wanted));
                for (size_t i = 0; i < 3; i++)
                        assert_int_equal(try_bind(type, wanted[i]), EADDRINUSE);
                /* All or none, and the one that is meant is named. */
                assert_int_equal(bind_by_number(w, protocol, more, 3, 0, 0, got, &n), -EEXIST);
                assert_int_equal(n, 1);
                assert_int_equal(got[0], a + 5);
                assert_int_equal(try_bind(type, a + 2), 0);
                request_ports(w, KEEPER_RELEASE_PORTS, protocol, wanted, 3);
                assert_int_equal(try_bind(type, a), 0);
        }

        /* Another process has it. */
        const struct sockaddr_in other = { .sin_family = AF_INET, .sin_port = htons(a + 5) };
        autofd fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(fd, (const struct sockaddr *) &other, sizeof(other)), 0);
        assert_int_equal(bind_by_number(w, KEEPER_TCP, more, 3, 0, 0, got, &n), -EADDRINUSE);
        assert_int_equal(n, 1);
        assert_int_equal(got[0], a + 5);
        assert_int_equal(try_bind(SOCK_STREAM, a + 2), 0);

        /* The range passes over it, and over what is reserved. */
        assert_int_equal(bind_by_number(w, KEEPER_TCP, (uint16_t[]){ a + 3 }, 1, 0, 0, got, &n), 0);
        assert_int_equal(bind_by_number(w, KEEPER_TCP, NULL, 3, a + 2, a + 7, got, &n), 0);
        assert_int_equal(n, 3);
        assert_memory_equal(got, ((uint16_t[]){ a + 2, a + 4, a + 6 }), 3 * sizeof(uint16_t));
        assert_int_equal(bind_by_number(w, KEEPER_TCP, NULL, 2, a + 2, a + 7, got, &n), -EADDRINUSE);
        assert_int_equal(n, 0);
        assert_int_equal(try_bind(SOCK_STREAM, a + 7), 0); /* it would have been one */
        assert_int_equal(bind_by_number(w, KEEPER_TCP, NULL, 1, a + 7, a + 7, got, &n), 0);
        assert_int_equal(got[0], a + 7);
        request_ports(
                w, KEEPER_RELEASE_PORTS, KEEPER_TCP, (uint16_t[]){ a + 2, a + 3, a + 4, a + 6, a + 7 }, 5);
}

/* What is no list of different ports, and no range. */
static void test_by_number_malformed(void **state) {
        World *w = *state;
        const struct keeper_bind_ports good = {
                .header = { .type = KEEPER_BIND_PORTS }, .n = 1, .numbers = { 20000 }
        };
        const struct keeper_bind_ports wrong[] = {
                { .header = good.header },                                      /* none */
                { .header = good.header, .n = 1 },                              /* 0 */
                { .header = good.header, .n = 2, .numbers = { 20000 } },        /* too few */
                { .header = good.header, .n = 1, .numbers = { 20000, 20001 } }, /* too many */
                { .header = good.header, .n = 1, .numbers = { 20000 }, .last = 5 },
                { .header = good.header, .n = 1, .numbers = { 20000 }, .first = 1, .last = 5 },
                { .header = good.header, .n = 1, .first = 5, .last = 4 },
                { .header = good.header, .n = 1, .first = 1, .last = 4097 }, /* too large */
                { .header = good.header, .n = KEEPER_BIND_MAX + 1, .first = 1, .last = 4096 },
                { .header = good.header, .n = 1, .protocol = 2, .numbers = { 20000 } },
        };
        int fds[WORLD_FDS_MAX];
        size_t n_fds;
        Packet p;

        w->noisy = true;
        for (size_t i = 0; i <= ELEMENTSOF(wrong); i++) {
                node_send(w->node, i > 0 ? &wrong[i - 1] : &good, i > 0 ? sizeof(good) : sizeof(good) - 1);
                assert_int_equal(node_receive(w->node, &p, fds, &n_fds), 0);
                world_disconnect(w);
                assert_int_equal(world_connect(w), 0);
        }
}

#define CONNECTED(name) cmocka_unit_test_setup_teardown(name, world_setup_connected, world_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                CONNECTED(test_reserve),
                cmocka_unit_test_setup_teardown(test_all_or_none, world_setup, world_teardown),
                CONNECTED(test_by_number),
                CONNECTED(test_by_number_malformed),
                CONNECTED(test_lend),
                CONNECTED(test_closed_in_others),
                CONNECTED(test_beside_a_stream),
                CONNECTED(test_release_by_exec),
                CONNECTED(test_own_socket),
                CONNECTED(test_leaked_tcp),
                CONNECTED(test_time_wait),
                CONNECTED(test_udp),
                CONNECTED(test_leaked_udp),
                CONNECTED(test_release_all),
                cmocka_unit_test_setup_teardown(test_kept, world_setup, world_teardown),
                cmocka_unit_test_setup_teardown(test_two_addresses, world_setup, world_teardown),
                CONNECTED(test_release_behind_fork),
                CONNECTED(test_told),
                CONNECTED(test_last_words),
                CONNECTED(test_limit),
                CONNECTED(test_malformed),
                cmocka_unit_test(test_forgotten_orphan),
        };

        return cmocka_run_group_tests(tests, world_group_setup, NULL);
}
