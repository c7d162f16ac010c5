/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The parts of architect-terminal: the ring, the clients and the output. The whole program is tested in
 * test-keeper-terminal.c and in the system tests. */

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit-test.h"

#include "base/fd-util.h"
#include "base/macro.h"
#include "terminal/client.h"
#include "terminal/confine.h"
#include "terminal/output.h"
#include "terminal/ring.h"

/* Returns the byte at a position; the values make every mix-up visible. */
static char byte_at(uint64_t position) {
        return (char) ('a' + (position + position / 26 + position / 65536) % 26);
}

static void write_bytes(Ring *ring, size_t n) {
        for (; n > 0; n--) {
                char c = byte_at(ring->end);
                ring_write(ring, &c, 1);
        }
}

static uint64_t assert_rest(const Ring *ring, uint64_t position) {
        const char *data;
        size_t n;

        while ((n = ring_peek(ring, position, &data)) > 0)
                for (; n > 0; n--)
                        assert_int_equal(*data++, byte_at(position++));
        return position;
}

static void test_ring(void **state) {
        static Ring ring;
        char *many = malloc(3 * TERMINAL_RING_SIZE + 7);

        memset(&ring, 0, sizeof(ring));
        assert_int_equal(ring_begin(&ring), 0);
        assert_int_equal(assert_rest(&ring, 0), 0);
        write_bytes(&ring, 100);
        assert_int_equal(ring_begin(&ring), 0);
        assert_int_equal(assert_rest(&ring, 0), 100);
        assert_int_equal(assert_rest(&ring, 40), 100);
        write_bytes(&ring, TERMINAL_RING_SIZE - 100);
        assert_int_equal(ring_begin(&ring), 0); /* it is full, and complete */
        assert_int_equal(assert_rest(&ring, 0), TERMINAL_RING_SIZE);
        write_bytes(&ring, 1);
        assert_int_equal(ring_begin(&ring), 1);
        assert_int_equal(assert_rest(&ring, 1), TERMINAL_RING_SIZE + 1);

        /* More than the ring holds, in one call. */
        for (size_t i = 0; i < 3 * TERMINAL_RING_SIZE + 7; i++)
                many[i] = byte_at(ring.end + i);
        ring_write(&ring, many, 3 * TERMINAL_RING_SIZE + 7);
        assert_int_equal(ring.end, 4 * TERMINAL_RING_SIZE + 8);
        assert_int_equal(ring_begin(&ring), 3 * TERMINAL_RING_SIZE + 8);
        assert_int_equal(assert_rest(&ring, ring_begin(&ring)), ring.end);
        free(many);
}

static Client *new_client(int *ret_other, uint64_t position) {
        Client *client;
        int pair[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(client_new(pair[0], -EBADF, position, &client), 0);
        *ret_other = pair[1];
        return client;
}

static size_t read_all(int fd, char *data, size_t size) {
        size_t done = 0;
        ssize_t n;

        while (done < size && (n = recv(fd, data + done, size - done, MSG_DONTWAIT)) > 0)
                done += (size_t) n;
        return done;
}

/* A client that does not read for a while gets what was in its socket, then a mark with the exact number of
 * lost bytes, and then the contents of the ring; and this again. */
static void test_slow_client(void **state) {
        static Ring ring;
        char *data = calloc(1, 4 * 1024 * 1024), *at;
        unsigned long long lost;
        uint64_t position = 0;
        Client *client;
        size_t n;
        int fd, length;

        memset(&ring, 0, sizeof(ring));
        client = new_client(&fd, 0);
        assert_int_equal(client_send(client, &ring), 0);
        assert_false(client->behind);

        for (int round = 0; round < 2; round++) {
                uint64_t taken;

                for (int i = 0; i < 100; i++) {
                        write_bytes(&ring, 10000);
                        assert_int_equal(client_send(client, &ring), 0);
                }
                assert_true(client->behind);
                taken = client->position;
                write_bytes(&ring, 2 * TERMINAL_RING_SIZE);

                n = read_all(fd, data, 4 * 1024 * 1024 - 1);
                while (client->behind) {
                        assert_int_equal(client_send(client, &ring), 0);
                        n += read_all(fd, data + n, 4 * 1024 * 1024 - 1 - n);
                }
                data[n] = '\0';
                at = strstr(data, "\r\n[");
                assert_non_null(at);
                for (char *c = data; c < at; c++)
                        assert_int_equal(*c, byte_at(position++));
                assert_true(position <= taken);
                assert_int_equal(sscanf(at, "\r\n[%llu bytes lost]\r\n%n", &lost, &length), 1);
                position += lost;
                assert_int_equal(position, ring_begin(&ring));
                for (char *c = strstr(at, "lost]\r\n") + strlen("lost]\r\n"); c < data + n; c++)
                        assert_int_equal(*c, byte_at(position++));
                assert_int_equal(position, ring.end);
        }

        assert_int_equal(close(fd), 0);
        write_bytes(&ring, 1);
        assert_int_equal(client_send(client, &ring), -EPIPE);
        (void) client_free(client);
        free(data);
}

/* Input of a client is read only when its previous input has been written, so memory does not grow. */
static void test_typing(void **state) {
        char block[65536] = { 0 }, data[8192];
        Client *client;
        int fd, p[2];
        ssize_t n, total = 0;

        client = new_client(&fd, 0);
        assert_int_equal(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
        while ((n = send(fd, block, sizeof(block), MSG_DONTWAIT)) > 0)
                total += n;
        while (client_read(client) == 0 && client_write(client, p[1]) == 0)
                ;
        assert_int_equal(client_write(client, p[1]), -EAGAIN);
        n = client->input_end;
        assert_int_equal(client_read(client), 0); /* no more */
        assert_int_equal(client->input_end, n);

        while ((n = read(p[0], data, sizeof(data))) > 0)
                total -= n;
        assert_int_equal(client_write(client, p[1]), 0);
        assert_int_equal(close(fd), 0);
        while (!client->input_closed) {
                assert_int_equal(client_read(client), 0);
                (void) client_write(client, p[1]);
                while ((n = read(p[0], data, sizeof(data))) > 0)
                        total -= n;
        }
        assert_int_equal(total, 0);
        assert_int_equal(close(p[0]), 0);
        assert_int_equal(close(p[1]), 0);
        (void) client_free(client);
}

/* A client reads EOF in the end, even if some of its input was not read. */
static void test_farewell(void **state) {
        static Ring ring;
        char data[256];
        Client *client;
        int fd;

        memset(&ring, 0, sizeof(ring));
        client = new_client(&fd, 0);
        write_bytes(&ring, 100);
        assert_int_equal(client_send(client, &ring), 0);
        assert_int_equal(send(fd, "typed", 5, MSG_DONTWAIT), 5);
        (void) client_free(client);
        assert_int_equal(recv(fd, data, sizeof(data), 0), 100);
        assert_int_equal(recv(fd, data, sizeof(data), 0), 0);
        assert_int_equal(close(fd), 0);
}

static void assert_output(Output *output, int fd, const char *text) {
        char data[256] = { 0 };

        output_flush(output);
        assert_false(output_is_pending(output));
        (void) !read(fd, data, sizeof(data) - 1);
        assert_string_equal(data, text);
}

static void test_output(void **state) {
        static Output output = { .fd = -EBADF };
        static char block[16384];
        ssize_t n, total = 0;
        int p[2];

        /* There is none, so everything is accepted. */
        output_add(&output, "x", 1);
        assert_false(output_is_pending(&output));

        assert_int_equal(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
        output_init(&output, true, false);
        output_set(&output, p[1], &(struct ucred){ 0 });
        output_add(&output, "one\r\ntwo\r\r\nthree\rfour\n", 23);
        assert_output(&output, p[0], "one\ntwo\r\nthree\rfour\n");

        /* In pieces that are cut at any position. */
        output_add(&output, "five\r", 5);
        assert_output(&output, p[0], "five");
        output_add(&output, "\nsix\r", 5);
        assert_output(&output, p[0], "\nsix");
        output_add(&output, "seven\r", 6);
        assert_output(&output, p[0], "\rseven");
        output_add(&output, "\r", 1);
        assert_output(&output, p[0], "\r");
        output_finish(&output);
        assert_output(&output, p[0], "\r");

        /* The longest input; pending data is not lost. */
        memset(block, 'x', sizeof(block));
        while (!output_is_pending(&output)) {
                output_add(&output, block, sizeof(block));
                output_flush(&output);
                total += sizeof(block);
        }
        while ((n = read(p[0], block, sizeof(block))) > 0) {
                total -= n;
                output_flush(&output);
        }
        assert_int_equal(total, 0);

        /* Without a reader the output is dropped, and not waited for. */
        assert_int_equal(close(p[0]), 0);
        output_add(&output, "x", 1);
        output_flush(&output);
        assert_false(output_is_pending(&output));
        output.fd = fd_close(output.fd);
}

static void test_timestamps(void **state) {
        static Output output;
        char data[sizeof(output.data)], lines[1024];
        const char *p;
        ssize_t n;
        size_t most;
        int pair[2];

        assert_int_equal(pipe2(pair, O_CLOEXEC | O_NONBLOCK), 0);
        output_init(&output, false, true);
        output_set(&output, pair[1], &(struct ucred){ 0 });
        /* A line that comes in pieces has one time, an empty line has its own, and what is not of a terminal
         * keeps its carriage returns. */
        output_add(&output, "one\r\n\ntw", 8);
        output_flush(&output);
        output_add(&output, "o", 1);
        output_flush(&output);
        output_add(&output, "\r\nthree", 7);
        output_flush(&output);
        n = read(pair[0], data, sizeof(data) - 1);
        assert_true(n > 0);
        data[n] = '\0';
        p = assert_stamped(data, "one\r\n");
        p = assert_stamped(p, "\n");
        p = assert_stamped(p, "two\r\n");
        p = assert_stamped(p, "three");
        assert_string_equal(p, "");

        /* The most that may be added has room, also if it is all lines. */
        most = output_chunk_max(&output);
        assert_in_range(most, 256, sizeof(lines));
        memset(lines, '\n', most);
        output_add(&output, lines, most);
        output_flush(&output);
        n = read(pair[0], data, sizeof(data));
        assert_int_equal(n, most + (most - 1) * strlen("2026-12-01T03:14:15.926535Z "));
        close(pair[0]);
        output.fd = fd_close(output.fd);

        /* Those of a terminal go, and one at the end is there. */
        assert_int_equal(pipe2(pair, O_CLOEXEC | O_NONBLOCK), 0);
        output_init(&output, true, true);
        output_set(&output, pair[1], &(struct ucred){ 0 });
        output_add(&output, "one\r\n\r", 6);
        output_flush(&output);
        output_finish(&output);
        output_flush(&output);
        n = read(pair[0], data, sizeof(data) - 1);
        assert_true(n > 0);
        data[n] = '\0';
        p = assert_stamped(data, "one\n");
        p = assert_stamped(p, "\r");
        assert_string_equal(p, "");
        close(pair[0]);
        output.fd = fd_close(output.fd);
}

/* The output is sent to a socket with the credentials of its sender, as long as that process exists. */
static void test_sender(void **state) {
        static Output output = { .fd = -EBADF };
        const int on = 1;
        pid_t pid;
        int pair[2];

        pid = fork();
        if (pid == 0) {
                (void) pause();
                _exit(0);
        }
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
        output_init(&output, true, false);
        output_set(&output, pair[0], &(struct ucred){ .pid = pid, .uid = 4711, .gid = 4712 });

        for (int i = 0; i < 2; i++) {
                _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct ucred))];
                char data[16];
                struct iovec iov = { .iov_base = data, .iov_len = sizeof(data) };
                struct msghdr msg = { .msg_iov = &iov,
                        .msg_iovlen = 1,
                        .msg_control = control,
                        .msg_controllen = sizeof(control) };
                struct ucred sender = { 0 };
                struct cmsghdr *c;

                if (i == 1) {
                        assert_int_equal(kill(pid, SIGKILL), 0);
                        assert_int_equal(waitpid(pid, NULL, 0), pid);
                }
                output_add(&output, "line\n", 5);
                output_flush(&output);
                assert_int_equal(recvmsg(pair[1], &msg, MSG_DONTWAIT), 5);
                c = CMSG_FIRSTHDR(&msg);
                assert_non_null(c);
                if (c)
                        memcpy(&sender, CMSG_DATA(c), sizeof(sender));
                assert_int_equal(sender.pid, i == 0 ? pid : getpid());
                assert_int_equal(sender.uid, i == 0 ? 4711 : 0);
                assert_int_equal(sender.gid, i == 0 ? 4712 : 0);
        }
        assert_int_equal(close(pair[1]), 0);
        output.fd = fd_close(output.fd);
}

/* -- confinement -- */

#if defined(__SANITIZE_ADDRESS__)
#define IS_FILTERED false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IS_FILTERED false
#endif
#endif
#ifndef IS_FILTERED
#define IS_FILTERED true
#endif

/* Returns the number of the first system call that does not fail with EPERM, or 0. */
static int confined_try(pid_t parent, int socket_fd) {
        const int on = 1;
        int n = 0;

#define DENIED(call) (n++, errno = 0, (long) (call) < 0 && errno == EPERM)
        if (!DENIED(open("/etc/passwd", O_RDONLY | O_CLOEXEC)) || !DENIED(socket(AF_UNIX, SOCK_STREAM, 0)) ||
                !DENIED(kill(parent, 0)) || !DENIED(ptrace(PTRACE_TRACEME, 0, 0, 0)) || !DENIED(fork()) ||
                !DENIED(execl("/bin/true", "true", NULL)) || !DENIED(syscall(SYS_setuid, 0)) ||
                !DENIED(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)) || !DENIED(unshare(CLONE_NEWNS)) ||
                !DENIED(ioctl(socket_fd, TIOCSTI, "x")) ||
                !DENIED(setsockopt(socket_fd, SOL_SOCKET, SO_SNDBUFFORCE, &on, sizeof(on))) ||
                !DENIED(syscall(
                        SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)))
                return n;
        return 0;
}

/* A process that is confined, has sent a line as the other one, and waits for a byte. */
static pid_t confined_new(int fd, bool send_as, const struct ucred *sender) {
        static Output output = { .fd = -EBADF };
        const pid_t parent = getpid();
        pid_t pid = fork();
        char byte;

        if (pid != 0)
                return pid;
        output_init(&output, true, false);
        output_set(&output, fd, sender);
        (void) prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (terminal_confine(4711, 4712, send_as) < 0)
                _exit(101);
        output_add(&output, "line\n", 5);
        output_flush(&output);
        if (output_is_pending(&output))
                _exit(102);
        (void) read(fd, &byte, 1);
        _exit(IS_FILTERED ? confined_try(parent, fd) : 0);
}

static pid_t receive_line_from(int fd) {
        _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct ucred))];
        char data[16];
        struct iovec iov = { .iov_base = data, .iov_len = sizeof(data) };
        struct msghdr msg = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
        };
        struct ucred sender = { 0 };

        assert_int_equal(recvmsg(fd, &msg, 0), 5);
        assert_non_null(CMSG_FIRSTHDR(&msg));
        if (CMSG_FIRSTHDR(&msg))
                memcpy(&sender, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(sender));
        assert_int_equal(sender.uid, 4711);
        return sender.pid;
}

static void assert_status(pid_t pid, const char *line) {
        _cleanup_free_ char *text = NULL;
        char path[64];

        (void) snprintf(path, sizeof(path), "/proc/%d/status", (int) pid);
        assert_int_equal(file_read(AT_FDCWD, path, 64 * 1024, &text, NULL), 0);
        if (!strstr(text, line))
                fail_msg("no \"%s\" in %s", line, text);
}

/* Returns what a process of the same user may do with it: 1 trace, 2 read its memory, 4 kill. */
static int probe_as_user(pid_t target) {
        char path[64];
        int status, n = 0;
        pid_t pid = fork();

        if (pid == 0) {
                (void) snprintf(path, sizeof(path), "/proc/%d/mem", (int) target);
                if (setresgid(4712, 4712, 4712) < 0 || setresuid(4711, 4711, 4711) < 0)
                        _exit(101);
                n |= ptrace(PTRACE_SEIZE, target, 0, 0) == 0 ? 1 : 0;
                n |= open(path, O_RDONLY | O_CLOEXEC) >= 0 ? 2 : 0;
                n |= kill(target, 0) == 0 ? 4 : 0;
                _exit(n);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status);
}

/* Once confined it is a process of the user that can do nothing but its work. With the journal as its output
 * it still sends as the role. */
static void test_confined(void **state) {
        const int on = 1;

        for (int i = 0; i < 2; i++) {
                const bool send_as = i == 1;
                pid_t other = fork(), pid;
                int pair[2], status;

                if (other == 0) {
                        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                        (void) pause();
                        _exit(0);
                }
                assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
                assert_int_equal(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
                pid = confined_new(
                        pair[0], send_as, &(struct ucred){ .pid = other, .uid = 4711, .gid = 4712 });
                assert_int_equal(receive_line_from(pair[1]), send_as ? other : pid);
                assert_status(pid, "Uid:\t4711\t4711\t4711\t4711\n");
                assert_status(pid, "Gid:\t4712\t4712\t4712\t4712\n");
                assert_status(pid, "Groups:\t \n");
                assert_status(pid, "CapInh:\t0000000000000000\n");
                assert_status(pid, send_as ? "CapPrm:\t0000000000200000\n" : "CapPrm:\t0000000000000000\n");
                assert_status(pid, "CapAmb:\t0000000000000000\n");
                assert_status(pid, "NoNewPrivs:\t1\n");
                if (IS_FILTERED) {
                        assert_status(pid, "Seccomp:\t2\n");
                        assert_int_equal(probe_as_user(pid), 4);
                }
                assert_int_equal(write(pair[1], "x", 1), 1);
                assert_int_equal(waitpid(pid, &status, 0), pid);
                assert_int_equal(status, 0);
                assert_int_equal(kill(other, SIGKILL), 0);
                assert_int_equal(waitpid(other, NULL, 0), other);
                assert_int_equal(close(pair[0]), 0);
                assert_int_equal(close(pair[1]), 0);
        }
}

/* -1 is no user, but "no change" for the system calls. */
static void test_confined_as_nobody(void **state) {
        pid_t pid = fork();
        int status;

        if (pid == 0)
                _exit(terminal_confine((uid_t) -1, 4712, false) == -EINVAL &&
                                        terminal_confine(4711, (gid_t) -1, false) == -EINVAL
                                ? 0
                                : 1);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ring),
                cmocka_unit_test(test_slow_client),
                cmocka_unit_test(test_typing),
                cmocka_unit_test(test_farewell),
                cmocka_unit_test(test_output),
                cmocka_unit_test(test_timestamps),
                cmocka_unit_test(test_sender),
                cmocka_unit_test(test_confined),
                cmocka_unit_test(test_confined_as_nobody),
        };

        (void) signal(SIGPIPE, SIG_IGN);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
