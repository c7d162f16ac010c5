/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * Processes that try all the time to bind reserved ports, as root and as an ordinary user, in every way,
 * never succeed, neither while a port is reserved nor on its way to a role and back, and no start fails
 * because of them. A socket that a role has passed on receives nothing after the end of the role. */

#include <netinet/in.h>
#include <pwd.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net.h"
#include "testlib.h"

#define N_LANES 10
#define N_ROUNDS 100

/* The ports that the thieves try to bind; shared with them. */
static struct booty {
        _Atomic uint16_t tcp[N_LANES + 1]; /* 0 if there is none at the moment */
        _Atomic uint16_t udp;
        _Atomic uint64_t tries[2];
        _Atomic uint64_t stolen[2];
        _Atomic uint32_t how; /* of the last theft */
} * booty;

static void try_one(int who, int type, _Atomic uint16_t *slot, size_t place, unsigned options) {
        uint16_t port = atomic_load(slot);

        if (port == 0)
                return;
        atomic_fetch_add(&booty->tries[who], 1);
        /* If it was released in between, it was no theft. */
        if (steal(type, port, place, options) && atomic_load(slot) == port) {
                atomic_store(&booty->how,
                        (uint32_t) (place << 8 | options << 4 | (uint32_t) (type == SOCK_DGRAM)));
                atomic_fetch_add(&booty->stolen[who], 1);
        }
}

static pid_t thief_start(int who, uid_t uid, gid_t gid) {
        pid_t parent = getpid(), pid = fork();

        if (pid != 0)
                return pid;
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent ||
                setpriority(PRIO_PROCESS, 0, 5) < 0)
                _exit(1);
        if (uid != 0 && (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0 ||
                                prctl(PR_SET_PDEATHSIG, SIGKILL) < 0))
                _exit(1);
        for (;;)
                for (size_t place = 0; place < N_PLACES; place++)
                        for (unsigned options = 0; options < 4; options++) {
                                for (size_t i = 0; i < G_N_ELEMENTS(booty->tcp); i++)
                                        try_one(who, SOCK_STREAM, &booty->tcp[i], place, options);
                                try_one(who, SOCK_DGRAM, &booty->udp, place, options);
                        }
}

static pid_t thieves[2];

static int setup(void **state) {
        struct passwd *alice = getpwnam("alice");

        if (case_setup(state) < 0)
                return -1;
        assert_non_null(alice);
        booty = mmap(NULL, sizeof(*booty), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_ptr_not_equal(booty, MAP_FAILED);
        thieves[0] = thief_start(0, 0, 0);
        thieves[1] = thief_start(1, alice->pw_uid, alice->pw_gid);
        return 0;
}

static int teardown(void **state) {
        for (size_t i = 0; i < G_N_ELEMENTS(thieves); i++) {
                (void) kill(thieves[i], SIGKILL);
                (void) waitpid(thieves[i], NULL, 0);
        }
        (void) munmap(booty, sizeof(*booty));
        return case_teardown(state);
}

static void wait_tries(void) {
        uint64_t before[2] = { atomic_load(&booty->tries[0]), atomic_load(&booty->tries[1]) };

        WAIT_UNTIL(atomic_load(&booty->tries[0]) > before[0] + 2000 &&
                   atomic_load(&booty->tries[1]) > before[1] + 2000);
}

static void assert_nothing_stolen(void) {
        if (atomic_load(&booty->stolen[0]) > 0 || atomic_load(&booty->stolen[1]) > 0)
                fail_msg("root stole %" G_GUINT64_FORMAT ", alice %" G_GUINT64_FORMAT
                         ", place|options|udp %x",
                        (guint64) atomic_load(&booty->stolen[0]), (guint64) atomic_load(&booty->stolen[1]),
                        atomic_load(&booty->how));
}

/* The thieves work: a port that is held in the way of most servers is bound at once. */
static void test_thieves(void **state) {
        struct sockaddr_in any = { .sin_family = AF_INET };
        socklen_t size = sizeof(any);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

        assert_return_code(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), errno);
        assert_return_code(bind(fd, (void *) &any, sizeof(any)), errno);
        assert_return_code(getsockname(fd, (void *) &any, &size), errno);
        atomic_store(&booty->tcp[0], ntohs(any.sin_port));
        WAIT_UNTIL(atomic_load(&booty->stolen[0]) > 0 && atomic_load(&booty->stolen[1]) > 0);
        close(fd);
}

static void test_reserved(void **state) {
        Bus *bus = *state;
        uint16_t tcp, udp;

        bind_ports(bus, "TCP", 1, &tcp);
        bind_ports(bus, "UDP", 1, &udp);
        atomic_store(&booty->tcp[0], tcp);
        atomic_store(&booty->udp, udp);
        wait_tries();
        node_crash(bus); /* the node does not hold them */
        wait_tries();
        assert_nothing_stolen();
        atomic_store(&booty->tcp[0], 0);
        atomic_store(&booty->udp, 0);
        release_port(bus, "TCP", tcp);
        release_port(bus, "UDP", udp);
}

static guint32 send_all(Bus *bus, guint32 *serials, GVariant *(*make)(guint lane, uint16_t port),
        const char *method, const uint16_t *ports) {
        for (guint i = 0; i < N_LANES; i++)
                serials[i] = node_send(bus, method, make(i, ports[i]));
        return 0;
}

static GVariant *one_port(guint lane, uint16_t port) {
        return g_variant_new("(u)", 1);
}

static GVariant *serve(guint lane, uint16_t port) {
        return start_args(role_name_n("lane", lane), port_option("tcp-ports", port), actor(), "serve",
                "/dev/null", NULL);
}

static GVariant *name(guint lane, uint16_t port) {
        return g_variant_new("(s)", role_name_n("lane", lane));
}

static GVariant *its_port(guint lane, uint16_t port) {
        return port_args(port);
}

static void wait_all(Bus *bus, const guint32 *serials) {
        for (guint i = 0; i < N_LANES; i++)
                g_variant_unref(bus_result(bus, serials[i]));
}

/* One thousand times: reserve, start, serve, stop, release. */
static void test_cycles(void **state) {
        Bus *bus = *state;
        uint16_t ports[N_LANES] = {};
        guint32 serials[N_LANES];
        gint64 begin = g_get_monotonic_time();

        for (int round = 0; round < N_ROUNDS; round++) {
                send_all(bus, serials, one_port, "BindTCP", ports);
                for (guint i = 0; i < N_LANES; i++) {
                        g_autoptr(GVariant) reply = bus_result(bus, serials[i]), numbers = NULL;

                        numbers = g_variant_get_child_value(reply, 0);
                        g_variant_get_child(numbers, 0, "q", &ports[i]);
                        atomic_store(&booty->tcp[i], ports[i]);
                        assert_int_equal(ask_tcp(ports[i]), -ECONNREFUSED);
                }
                send_all(bus, serials, serve, "Start", ports);
                wait_all(bus, serials);
                for (guint i = 0; i < N_LANES; i++) {
                        pid_t pid = role_pid(bus, role_name_n("lane", i));

                        for (int k = 0; k < 3; k++)
                                assert_int_equal(ask_tcp(ports[i]), pid);
                }
                send_all(bus, serials, name, "Stop", ports);
                wait_all(bus, serials);
                for (guint i = 0; i < N_LANES; i++)
                        assert_int_equal(ask_tcp(ports[i]), -ECONNREFUSED);
                assert_nothing_stolen();
                for (guint i = 0; i < N_LANES; i++)
                        atomic_store(&booty->tcp[i], 0);
                send_all(bus, serials, its_port, "ReleaseTCP", ports);
                wait_all(bus, serials);
        }
        assert_ports(bus, "");
        assert_true(atomic_load(&booty->tries[0]) > 10000);
        assert_true(atomic_load(&booty->tries[1]) > 10000);
        print_message("%d cycles in %.1f s, %" G_GUINT64_FORMAT " tries of thieves\n", N_LANES * N_ROUNDS,
                (double) (g_get_monotonic_time() - begin) / G_USEC_PER_SEC,
                (guint64) (atomic_load(&booty->tries[0]) + atomic_load(&booty->tries[1])));
}

/* The same port is passed from role to role. */
static void test_from_role_to_role(void **state) {
        Bus *bus = *state;
        uint16_t port;

        bind_ports(bus, "TCP", 1, &port);
        atomic_store(&booty->tcp[0], port);
        for (guint i = 0; i < 50; i++) {
                const char *role = role_name_n("heir", i % 3);

                start(bus, role, port_option("tcp-ports", port), actor(), "serve", "/dev/null", NULL);
                assert_int_equal(ask_tcp(port), role_pid(bus, role));
                stop(bus, role);
                assert_int_equal(ask_tcp(port), -ECONNREFUSED);
        }
        assert_nothing_stolen();
        atomic_store(&booty->tcp[0], 0);
        release_port(bus, "TCP", port);
}

/* A start that fails in its last step has had the ports, and gives them back. */
static void test_failed_starts(void **state) {
        Bus *bus = *state;
        uint16_t tcp, udp;

        bind_ports(bus, "TCP", 1, &tcp);
        bind_ports(bus, "UDP", 1, &udp);
        atomic_store(&booty->tcp[0], tcp);
        atomic_store(&booty->udp, udp);
        for (guint i = 0; i < 200; i++)
                start_fails(bus,
                        start_args(role_name("fails"), OPTIONS("{'release-ports': <[%q, %q]>}", tcp, udp),
                                "/nowhere", NULL),
                        "ExecFailed", NULL);
        assert_nothing_stolen();
        atomic_store(&booty->tcp[0], 0);
        atomic_store(&booty->udp, 0);
        release_port(bus, "TCP", tcp);
        release_port(bus, "UDP", udp);
}

/* -- roles that pass their sockets on -- */

static int receiver_new(const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        (void) g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
        assert_return_code(bind(fd, (void *) &address, sizeof(address)), errno);
        return fd;
}

static int receive_fd(int receiver) {
        union {
                struct cmsghdr header;
                char room[CMSG_SPACE(sizeof(int))];
        } control;
        char byte;
        struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
        struct msghdr m = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
        };
        int fd;

        assert_int_equal(recvmsg(receiver, &m, MSG_CMSG_CLOEXEC), 1);
        assert_int_equal(control.header.cmsg_len, CMSG_LEN(sizeof(int)));
        memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
        return fd;
}

/* Everything by which alice could receive from the port again, with the socket that she was given. */
static void try_everything(int fd) {
        struct passwd *alice = getpwnam("alice");
        pid_t pid = fork();
        int status;

        assert_true(pid >= 0);
        if (pid == 0) {
                const struct sockaddr none = { .sa_family = AF_UNSPEC };
                int zero = 0, one = 1;

                if (setresgid(alice->pw_gid, alice->pw_gid, alice->pw_gid) < 0 ||
                        setresuid(alice->pw_uid, alice->pw_uid, alice->pw_uid) < 0)
                        _exit(1);
                for (unsigned options = 0; options < 4; options++) {
                        (void) connect(fd, &none, sizeof(none));
                        (void) setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "", 0);
                        (void) setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &zero, sizeof(zero));
                        (void) setsockopt(
                                fd, SOL_SOCKET, SO_REUSEADDR, options & 1 ? &one : &zero, sizeof(int));
                        (void) setsockopt(
                                fd, SOL_SOCKET, SO_REUSEPORT, options & 2 ? &one : &zero, sizeof(int));
                        (void) listen(fd, SOMAXCONN);
                }
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

static const char *value(unsigned tricks, unsigned trick) {
        return tricks & trick ? "1" : "0";
}

/* Starts a role that sets options of the socket of its port, and passes it on. Returns that socket. */
static int start_and_receive(Bus *bus, const char *role, const char *key, uint16_t port, unsigned tricks,
        int receiver, const char *path, Fifo *fifo) {
        start(bus, role, port_option(key, port), actor(), "set", "3", "reuseaddr", value(tricks, 1), "set",
                "3", "reuseport", value(tricks, 2), "set", "3", "nonblock", value(tricks, 4), "pass", "3",
                path, "say", fifo_path(fifo), "passed", "pause", NULL);
        fifo_expect_pid(fifo, "passed");
        return receive_fd(receiver);
}

/* A role sets options and passes its socket on. All connections go to the next role. */
static void test_passed_on(void **state) {
        Bus *bus = *state;
        const char *role = role_name("leaks"), *next = role_name("heir"), *path = scratch("receiver");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        int receiver = receiver_new(path);
        uint16_t port;

        bind_ports(bus, "TCP", 1, &port);
        atomic_store(&booty->tcp[0], port);
        for (unsigned tricks = 0; tricks < 8; tricks++) {
                int fd = start_and_receive(bus, role, "tcp-ports", port, tricks, receiver, path, fifo);

                wait_tries();
                stop(bus, role);
                try_everything(fd);
                assert_int_equal(ask_tcp(port), -ECONNREFUSED);
                wait_tries();
                start(bus, next, port_option("tcp-ports", port), actor(), "serve", fifo_path(fifo), NULL);
                fifo_expect_pid(fifo, "serve");
                try_everything(fd);
                for (int i = 0; i < 20; i++)
                        assert_int_equal(ask_tcp(port), role_pid(bus, next));
                wait_tries();
                stop(bus, next);
                close(fd);
                assert_nothing_stolen();
        }
        atomic_store(&booty->tcp[0], 0);
        release_port(bus, "TCP", port);
        close(receiver);
}

static bool is_listed(Bus *bus, uint16_t port) {
        g_autofree char *line = list_port(bus, "UDP", port);

        return line != NULL;
}

/* The same for UDP. While the role has the socket nobody else can bind the port. When a process has kept it,
 * the port is given up, and nobody is told that it is still reserved. */
static void test_passed_on_udp(void **state) {
        Bus *bus = *state;
        const char *role = role_name("leaks"), *path = scratch("receiver");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        int receiver = receiver_new(path);

        for (unsigned tricks = 0; tricks < 8; tricks++) {
                uint16_t port;

                bind_ports(bus, "UDP", 1, &port);
                atomic_store(&booty->udp, port);
                int fd = start_and_receive(bus, role, "udp-ports", port, tricks, receiver, path, fifo);

                wait_tries();
                assert_nothing_stolen();
                atomic_store(&booty->udp, 0);
                stop(bus, role);
                WAIT_UNTIL(!is_listed(bus, port));
                start_fails(bus, start_args(role, port_option("udp-ports", port), actor(), "pause", NULL),
                        "PortsUnavailable", "a process has kept", NULL);
                close(fd);
        }
        close(receiver);
}

#define THIEF_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                THIEF_TEST(test_thieves),
                THIEF_TEST(test_reserved),
                THIEF_TEST(test_cycles),
                THIEF_TEST(test_from_role_to_role),
                THIEF_TEST(test_failed_starts),
                THIEF_TEST(test_passed_on),
                THIEF_TEST(test_passed_on_udp),
        };
        return run_case("ports-thief", tests);
}
