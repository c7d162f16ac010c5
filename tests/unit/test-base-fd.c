/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Descriptors and files. The number of open descriptors must be the same before and after each test. */

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "unit-test.h"

#include "base/fd-util.h"

static int n_open;

static int count_fds(void) {
        DIR *d = opendir("/proc/self/fd");
        int n = 0;

        assert_non_null(d);
        while (readdir(d))
                n++;
        assert_int_equal(closedir(d), 0);
        return n;
}

static int setup(void **state) {
        char *dir = strdup("/tmp/architect-test-XXXXXX");

        n_open = count_fds();
        *state = mkdtemp(dir);
        return *state ? 0 : -1;
}

static int teardown(void **state) {
        int r = rmdir(*state); /* fails if the directory is not empty */

        if (r < 0)
                print_error("%s is not empty\n", (char *) *state);
        free(*state);
        if (count_fds() != n_open) {
                print_error("descriptors before: %d, after: %d\n", n_open, count_fds());
                r = -1;
        }
        return r;
}

static int open_dir(void **state) {
        int fd = open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        assert_true(fd >= 0);
        return fd;
}

static void test_close(void **state) {
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), stolen;

        errno = 4711;
        assert_int_equal(fd_close(fd), -EBADF);
        assert_int_equal(errno, 4711);
        assert_int_equal(fcntl(fd, F_GETFD), -1);
        errno = 4711;
        assert_int_equal(fd_close(-EBADF), -EBADF);
        /* close() fails with EBADF, but errno of the caller does not change */
        assert_int_equal(fd_close(fd), -EBADF);
        assert_int_equal(errno, 4711);

        {
                autofd a = open("/dev/null", O_RDONLY | O_CLOEXEC);

                fd = a;
                assert_true(fcntl(fd, F_GETFD) >= 0);
        }
        assert_int_equal(fcntl(fd, F_GETFD), -1);

        {
                autofd a = open("/dev/null", O_RDONLY | O_CLOEXEC);

                stolen = fd_steal(&a);
                assert_int_equal(a, -EBADF);
        }
        assert_true(fcntl(stolen, F_GETFD) >= 0);
        assert_int_equal(fd_close(stolen), -EBADF);
}

static void test_flags(void **state) {
        autofd fd = open("/dev/null", O_WRONLY);

        assert_int_equal(fd_cloexec(fd, true), 0);
        assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
        assert_int_equal(fd_cloexec(fd, true), 0);
        assert_int_equal(fd_cloexec(fd, false), 0);
        assert_int_equal(fcntl(fd, F_GETFD), 0);
        assert_int_equal(fd_nonblock(fd, true), 0);
        assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
        assert_int_equal(fd_nonblock(fd, false), 0);
        assert_int_equal(fcntl(fd, F_GETFL) & (O_NONBLOCK | O_ACCMODE), O_WRONLY);
        assert_int_equal(fd_nonblock(-1, true), -EBADF);
        assert_int_equal(fd_cloexec(-1, true), -EBADF);
}

/* This runs in a child, because it closes descriptors. */
static void test_close_all_except(void **state) {
        static const int where[] = { 3, 4, 5, 7, 8, 60, 61, 62, 500, 1000 };
        pid_t pid = fork();
        int status;

        if (pid == 0) {
                for (size_t i = 0; i < ELEMENTSOF(where); i++)
                        if (dup2(0, where[i]) < 0)
                                _exit(1);

                /* The descriptors are in any order, with duplicates, negative numbers, standard streams, and
                 * numbers that are not open. */
                if (fd_close_all_except((int[]){ 61, -EBADF, 3, 500, 61, 1, 100, 7 }, 8) < 0)
                        _exit(2);
                for (int fd = 3; fd < 1100; fd++) {
                        bool kept = fd == 61 || fd == 3 || fd == 500 || fd == 7;

                        if ((fcntl(fd, F_GETFD) >= 0) != kept)
                                _exit(3);
                }
                for (int fd = 0; fd < 3; fd++)
                        if (fcntl(fd, F_GETFD) < 0)
                                _exit(4);
                if (fd_close_all_except(NULL, 0) < 0 || fcntl(3, F_GETFD) >= 0 || fcntl(500, F_GETFD) >= 0)
                        _exit(5);
                _exit(0);
        }

        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

static void test_file_read(void **state) {
        autofd dir = open_dir(state);
        autofd fd = openat(dir, "f", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        char block[10000], *text = NULL;
        size_t size = 4711;

        assert_int_equal(file_read(dir, "missing", 10, &text, &size), -ENOENT);
        assert_int_equal(file_read(dir, ".", 10, &text, &size), -EISDIR);
        assert_null(text);
        assert_int_equal(size, 4711);

        assert_int_equal(file_read(dir, "f", 0, &text, &size), 0);
        assert_int_equal(size, 0);
        assert_string_equal(text, "");
        free(text);
        text = NULL;

        memset(block, 'x', sizeof(block));
        assert_int_equal(write(fd, block, sizeof(block)), sizeof(block));
        assert_int_equal(file_read(dir, "f", sizeof(block) - 1, &text, NULL), -EFBIG);
        assert_null(text);
        assert_int_equal(file_read(dir, "f", sizeof(block), &text, &size), 0);
        assert_int_equal(size, sizeof(block));
        assert_int_equal(strlen(text), sizeof(block));
        free(text);

        /* The size of a file in /proc is not known in advance. */
        assert_int_equal(file_read(AT_FDCWD, "/proc/self/stat", 4096, &text, &size), 0);
        assert_true(size > 0);
        free(text);
        assert_int_equal(unlinkat(dir, "f", 0), 0);
}

/* Another object in the place of a file is neither read nor waited for. */
static void test_file_read_not_regular(void **state) {
        autofd dir = open_dir(state);
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        autofd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        char *text = NULL;

        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", (const char *) *state);
        assert_return_code(bind(fd, (struct sockaddr *) &address, sizeof(address)), errno);
        assert_return_code(mkfifoat(dir, "fifo", 0600), errno);
        assert_return_code(symlinkat("/dev/zero", dir, "device"), errno);
        assert_return_code(symlinkat("fifo", dir, "link"), errno);
        (void) alarm(10);
        assert_int_equal(file_read(dir, "fifo", 10, &text, NULL), -EBADFD);
        assert_int_equal(file_read(dir, "link", 10, &text, NULL), -EBADFD);
        assert_int_equal(file_read(dir, "socket", 10, &text, NULL), -EBADFD);
        assert_int_equal(file_read(dir, "device", 10, &text, NULL), -EBADFD);
        (void) alarm(0);
        assert_null(text);

        /* A writer at its other end makes no difference. */
        autofd writer = openat(dir, "fifo", O_RDWR | O_CLOEXEC);
        assert_int_equal(write(writer, "VERSION=1\n", 10), 10);
        assert_int_equal(file_read(dir, "fifo", 10, &text, NULL), -EBADFD);

        /* A link to a file is not a regular file. */
        assert_int_equal(file_replace(dir, "f", "x", 1), 0);
        assert_int_equal(unlinkat(dir, "link", 0), 0);
        assert_return_code(symlinkat("f", dir, "link"), errno);
        assert_int_equal(file_read(dir, "link", 10, &text, NULL), 0);
        assert_string_equal(text, "x");
        free(text);

        static const char *const names[] = { "fifo", "socket", "device", "link", "f" };
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                assert_int_equal(unlinkat(dir, names[i], 0), 0);
}

static void assert_file(int dir, const char *name, const char *expected) {
        char *text;

        assert_int_equal(file_read(dir, name, 4096, &text, NULL), 0);
        assert_string_equal(text, expected);
        free(text);
}

static void test_file_replace_clean(void **state) {
        autofd dir = open_dir(state);
        static const char *const names[] = { ".f.new", ".new", "f.new", ".f", "f" };
        struct stat st;

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                (void) fd_close(openat(dir, names[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        assert_int_equal(file_replace_clean(dir), 0);
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                assert_int_equal(fstatat(dir, names[i], &st, 0) < 0, i == 0);
                (void) unlinkat(dir, names[i], 0);
        }
        assert_int_equal(file_replace_clean(-EBADF), -EBADF);
}

static void test_file_replace(void **state) {
        autofd dir = open_dir(state), old = -EBADF;
        struct stat st;
        mode_t mask = umask(0);
        char c;

        assert_int_equal(file_replace(dir, "f", "one", 3), 0);
        assert_file(dir, "f", "one");
        assert_int_equal(fstatat(dir, "f", &st, 0), 0);
        assert_int_equal(st.st_mode & 07777, 0600);

        /* A process that has the old file open still reads the old contents, because it is another file. */
        old = openat(dir, "f", O_RDONLY | O_CLOEXEC);
        assert_int_equal(file_replace(dir, "f", "two", 3), 0);
        assert_file(dir, "f", "two");
        assert_int_equal(read(old, &c, 1), 1);
        assert_int_equal(c, 'o');

        /* The remains of a process that died during the replacement do not prevent a new one, and are
         * removed. */
        assert_int_equal(symlinkat("/dev/full", dir, ".f.new"), 0);
        assert_int_equal(file_replace(dir, "f", "three", 5), 0);
        assert_file(dir, "f", "three");
        assert_int_equal(fstatat(dir, ".f.new", &st, AT_SYMLINK_NOFOLLOW), -1);

        /* A failure leaves the old contents and nothing else. A directory cannot be replaced. */
        assert_int_equal(mkdirat(dir, "d", 0700), 0);
        assert_int_equal(file_replace(dir, "d", "x", 1), -EISDIR);
        assert_int_equal(fstatat(dir, ".d.new", &st, 0), -1);
        assert_int_equal(unlinkat(dir, "d", AT_REMOVEDIR), 0);

        assert_int_equal(file_replace(-EBADF, "f", "x", 1), -EBADF);
        assert_int_equal(unlinkat(dir, "f", 0), 0);
        (void) umask(mask);
}

/* The same applies if the disk becomes full during the write. Here a limit of the file size has this
 * effect. */
static void test_file_replace_full(void **state) {
        autofd dir = open_dir(state);
        char big[4096] = { 0 };
        struct stat st;
        int status;
        pid_t pid;

        assert_int_equal(file_replace(dir, "f", "old", 3), 0);
        pid = fork();
        if (pid == 0) {
                (void) signal(SIGXFSZ, SIG_IGN);
                if (setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 1000, 1000 }) < 0)
                        _exit(1);
                _exit(file_replace(dir, "f", big, sizeof(big)) == -EFBIG ? 0 : 2);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        assert_file(dir, "f", "old");
        assert_int_equal(fstatat(dir, ".f.new", &st, 0), -1);
        assert_int_equal(unlinkat(dir, "f", 0), 0);
}

static void test_memfd(void **state) {
        const int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
        autofd fd = memfd_new_sealed("test", "hello", 5);
        char buffer[6] = { 0 };

        assert_true(fd >= 0);
        assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
        assert_int_equal(fcntl(fd, F_GET_SEALS) & seals, seals);
        assert_int_equal(pread(fd, buffer, 6, 0), 5);
        assert_string_equal(buffer, "hello");
        assert_int_equal(pwrite(fd, "x", 1, 0), -1);
        assert_int_equal(errno, EPERM);
        assert_int_equal(ftruncate(fd, 0), -1);
}

static void test_memfd_read(void **state) {
        autofd fd = memfd_new("test"), dir = open_dir(state);
        size_t size = 7;
        char *data = NULL;

        assert_true(fd >= 0);
        assert_int_equal(memfd_read(fd, 0, &data, &size), 0);
        assert_non_null(data);
        assert_int_equal(size, 0);
        free(data);

        /* The offset is at the end. */
        assert_int_equal(write(fd, "he\0lo", 5), 5);
        assert_int_equal(memfd_read(fd, 5, &data, &size), 0);
        assert_int_equal(size, 5);
        assert_memory_equal(data, "he\0lo", 5);
        assert_int_equal(lseek(fd, 0, SEEK_CUR), 5);
        free(data);

        data = NULL;
        assert_int_equal(memfd_read(fd, 4, &data, &size), -E2BIG);
        assert_int_equal(memfd_read(dir, SIZE_MAX / 2, &data, &size), -EISDIR);
        assert_int_equal(memfd_read(-EBADF, 5, &data, &size), -EBADF);
        assert_null(data);
        assert_int_equal(size, 5);
}

static void test_write_string(void **state) {
        autofd dir = open_dir(state);
        char *path = NULL;

        assert_true(asprintf(&path, "%s/f", (char *) *state) > 0);
        assert_int_equal(file_write_string(path, "x"), -ENOENT); /* it never creates the file */
        assert_int_equal(file_replace(dir, "f", "", 0), 0);
        assert_int_equal(file_write_string(path, "value\n"), 0);
        assert_file(dir, "f", "value\n");
        assert_int_equal(file_write_string("/dev/full", "x"), -ENOSPC);
        assert_int_equal(unlink(path), 0);
        free(path);
}

static void pair(int ret[static 2]) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret), 0);
}

static void unpair(int fds[static 2]) {
        fds[0] = fd_close(fds[0]);
        fds[1] = fd_close(fds[1]);
}

static void test_socket(void **state) {
        int s[2], fds[SOCKET_FDS_MAX], none[1] = { 0 }, before;
        size_t n_fds = SOCKET_FDS_MAX;
        char buffer[16];

        pair(s);
        assert_int_equal(socket_recv(s[0], buffer, sizeof(buffer), fds, &n_fds), -EAGAIN);
        assert_int_equal(n_fds, SOCKET_FDS_MAX);

        assert_int_equal(socket_send(s[1], "hello", 5, NULL, 0), 0);
        assert_int_equal(socket_recv(s[0], buffer, sizeof(buffer), fds, &n_fds), 5);
        assert_int_equal(n_fds, 0);
        assert_memory_equal(buffer, "hello", 5);

        for (size_t k = 1; k <= SOCKET_FDS_MAX; k++) {
                for (size_t i = 0; i < k; i++)
                        fds[i] = (int) (i % 3);
                assert_int_equal(socket_send(s[1], "x", 1, fds, k), 0);
                n_fds = k;
                assert_int_equal(socket_recv(s[0], buffer, sizeof(buffer), fds, &n_fds), 1);
                assert_int_equal(n_fds, k);
                for (size_t i = 0; i < k; i++) {
                        struct stat a, b;

                        assert_int_equal(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
                        assert_int_equal(fstat(fds[i], &a), 0);
                        assert_int_equal(fstat((int) (i % 3), &b), 0);
                        assert_int_equal(a.st_ino, b.st_ino); /* in the order of the sender */
                        (void) fd_close(fds[i]);
                }
        }

        /* More descriptors than there is room for, by one or by several, or with no room at all. */
        before = count_fds();
        for (size_t room = 0; room < 3; room++)
                for (size_t k = room + 1; k <= SOCKET_FDS_MAX; k++) {
                        memset(fds, 0, sizeof(fds));
                        assert_int_equal(socket_send(s[1], "x", 1, fds, k), 0);
                        n_fds = room;
                        assert_int_equal(socket_recv(s[0], buffer, sizeof(buffer), fds, &n_fds), -EMSGSIZE);
                        assert_int_equal(n_fds, room);
                        assert_int_equal(count_fds(), before);
                }
        assert_int_equal(socket_send(s[1], "x", 1, none, 1), 0);
        assert_int_equal(socket_recv(s[0], buffer, sizeof(buffer), NULL, NULL), -EMSGSIZE);
        assert_int_equal(count_fds(), before);

        /* A packet that does not fit is an error; the next packet is complete. */
        assert_int_equal(socket_send(s[1], "0123456789", 10, none, 1), 0);
        assert_int_equal(socket_send(s[1], "next", 4, NULL, 0), 0);
        n_fds = SOCKET_FDS_MAX;
        assert_int_equal(socket_recv(s[0], buffer, 9, fds, &n_fds), -EMSGSIZE);
        assert_int_equal(count_fds(), before);
        assert_int_equal(socket_recv(s[0], buffer, 9, fds, &n_fds), 4);

        /* MSG_PEEK leaves the packet in the queue, with its descriptors. */
        assert_int_equal(socket_send(s[1], "look", 4, none, 1), 0);
        for (int i = 0; i < 3; i++) {
                n_fds = SOCKET_FDS_MAX;
                assert_int_equal((i < 2 ? socket_peek : socket_recv)(s[0], buffer, 9, fds, &n_fds), 4);
                assert_memory_equal(buffer, "look", 4);
                assert_int_equal(n_fds, 1);
                assert_int_equal(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
                (void) fd_close(fds[0]);
        }
        assert_int_equal(count_fds(), before);

        assert_int_equal(socket_send(s[1], "", 0, NULL, 0), -EINVAL);
        assert_int_equal(socket_send(s[1], "x", 1, none, SOCKET_FDS_MAX + 1), -EINVAL);
        n_fds = SOCKET_FDS_MAX + 1;
        assert_int_equal(socket_recv(s[0], buffer, 9, fds, &n_fds), -EINVAL);

        s[1] = fd_close(s[1]);
        (void) signal(SIGPIPE, SIG_DFL);
        n_fds = 1;
        assert_int_equal(socket_recv(s[0], buffer, 9, fds, &n_fds), 0);
        assert_int_equal(socket_send(s[0], "x", 1, NULL, 0), -EPIPE); /* and no SIGPIPE */
        unpair(s);
}

/* As many as the kernel allows in one packet, and no more. */
static void test_socket_many(void **state) {
        int s[2], fds[SOCKET_FDS_MANY + 1] = { 0 }, before;
        size_t n_fds;
        char buffer[16];

        pair(s);
        before = count_fds();
        assert_int_equal(socket_send_many(s[1], "x", 1, fds, SOCKET_FDS_MANY + 1), -EINVAL);
        assert_int_equal(socket_send_many(s[1], "many", 4, fds, SOCKET_FDS_MANY), 0);
        for (int i = 0; i < 2; i++) {
                n_fds = SOCKET_FDS_MANY;
                assert_int_equal(socket_peek_many(s[0], buffer, sizeof(buffer), fds, &n_fds), 4);
                assert_int_equal(n_fds, SOCKET_FDS_MANY);
                for (size_t k = 0; k < n_fds; k++) {
                        assert_int_equal(fcntl(fds[k], F_GETFD), FD_CLOEXEC);
                        (void) fd_close(fds[k]);
                }
        }
        n_fds = SOCKET_FDS_MANY - 1;
        assert_int_equal(socket_peek_many(s[0], buffer, sizeof(buffer), fds, &n_fds), -EMSGSIZE);
        n_fds = SOCKET_FDS_MANY + 1;
        assert_int_equal(socket_peek_many(s[0], buffer, sizeof(buffer), fds, &n_fds), -EINVAL);
        assert_int_equal(count_fds(), before);
        unpair(s);
}

/* If no descriptor is left to receive into, the result is an error, and never an incomplete message. */
static void test_socket_emfile(void **state) {
        int s[2], fds[2] = { 0, 0 }, before;
        struct rlimit old;
        char buffer[16];
        size_t n_fds = 2;
        int next;

        pair(s);
        before = count_fds();
        assert_int_equal(socket_send(s[1], "x", 1, fds, 2), 0);
        next = dup(0);
        assert_true(next >= 0);
        (void) fd_close(next);

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ (rlim_t) next + 1, old.rlim_max }), 0);
        assert_int_equal(socket_recv(s[0], buffer, sizeof(buffer), fds, &n_fds), -EMSGSIZE);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
        assert_int_equal(count_fds(), before);
        unpair(s);
}

static void test_rlimit_raise(void **state) {
        struct rlimit old, now;

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
        assert_true(old.rlim_max > 200);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 100, old.rlim_max }), 0);

        assert_int_equal(rlimit_nofile_raise(150), 0);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &now), 0);
        assert_int_equal(now.rlim_cur, 150);
        assert_int_equal(now.rlim_max, old.rlim_max);
        assert_int_equal(rlimit_nofile_raise(120), 0); /* it never lowers the limit */
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &now), 0);
        assert_int_equal(now.rlim_cur, 150);
        assert_int_equal(rlimit_nofile_raise(UINT64_MAX), 0);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &now), 0);
        assert_int_equal(now.rlim_cur, old.rlim_max);
        assert_int_equal(now.rlim_max, old.rlim_max);

        assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

/* If a write blocks, SIGALRM ends this process. */
#define WRITE_SECONDS 20

/* Writes lines until no more are accepted. Returns the number of bytes. */
static size_t fill(int fd) {
        static const char line[] =
                "12 April 2026\t04:05:06  \033[1mcam\033[m: Started, and ready for the night\n";
        size_t sum = 0;

        (void) alarm(WRITE_SECONDS);
        for (;;) {
                ssize_t n = fd_write_nonblocking(fd, line, sizeof(line) - 1);

                if (n == -EAGAIN)
                        break;
                assert_true(n > 0);
                sum += (size_t) n;
                assert_true(sum < 16 * 1024 * 1024);
        }
        (void) alarm(0);
        assert_false(fcntl(fd, F_GETFL) & O_NONBLOCK); /* processes that share the file are not affected */
        return sum;
}

static size_t drain(int fd) {
        static char buffer[65536];
        size_t sum = 0;

        for (struct pollfd p = { .fd = fd, .events = POLLIN }; poll(&p, 1, 0) > 0 && (p.revents & POLLIN);) {
                ssize_t n = read(fd, buffer, sizeof(buffer));

                assert_true(n > 0);
                sum += (size_t) n;
        }
        return sum;
}

static void write_pipe(bool may_open) {
        int fds[2];

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        struct rlimit old, none;
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
        none = (struct rlimit){ may_open ? old.rlim_cur : 3, old.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);

        size_t n = fill(fds[1]);
        assert_true(n > 0);
        assert_int_equal(drain(fds[0]), n);
        /* A line is written completely or not at all. */
        assert_true(fill(fds[1]) > 0);
        char c[100];
        assert_int_equal(read(fds[0], c, sizeof(c)), sizeof(c));
        assert_int_equal(fd_write_nonblocking(fds[1], c, sizeof(c)), -EAGAIN);
        (void) fd_close(fds[0]);
        assert_int_equal(fd_write_nonblocking(fds[1], c, sizeof(c)), may_open ? -EPIPE : -EAGAIN);
        (void) fd_close(fds[1]);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

static void write_terminal(bool may_open) {
        int master, slave;

        assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
        struct rlimit old, none;
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
        none = (struct rlimit){ may_open ? old.rlim_cur : 3, old.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);

        size_t n = fill(slave);
        assert_true(n > 0);
        assert_true(drain(master) > n); /* each newline became two characters */
        assert_true(fill(slave) > 0);
        (void) drain(master);

        /* as by Ctrl-S */
        assert_int_equal(tcflow(slave, TCOOFF), 0);
        assert_int_equal(fill(slave), 0);
        assert_int_equal(tcflow(slave, TCOON), 0);
        assert_true(fill(slave) > 0);

        (void) fd_close(master);
        assert_int_equal(fd_write_nonblocking(slave, "x", 1), -EIO);
        (void) fd_close(slave);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

static void test_write_nonblocking(void **state) {
        void (*sigpipe)(int) = signal(SIGPIPE, SIG_IGN);
        int fds[2];

        write_pipe(true);
        write_pipe(false);
        write_terminal(true);
        write_terminal(false);

        static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };
        for (size_t i = 0; i < ELEMENTSOF(types); i++) {
                assert_int_equal(socketpair(AF_UNIX, types[i] | SOCK_CLOEXEC, 0, fds), 0);
                assert_true(fill(fds[0]) > 0);
                (void) drain(fds[1]);
                assert_true(fill(fds[0]) > 0);
                (void) fd_close(fds[1]);
                if (types[i] == SOCK_STREAM)
                        assert_int_equal(fd_write_nonblocking(fds[0], "x", 1), -EPIPE);
                (void) fd_close(fds[0]);
        }
        (void) signal(SIGPIPE, sigpipe);
        assert_int_equal(fd_write_nonblocking(-1, "x", 1), -EBADF);
}

/* A file has one position for all processes that share it. */
static void test_write_nonblocking_file(void **state) {
        int dir = open(*state, O_DIRECTORY | O_CLOEXEC);
        int file = openat(dir, "log", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        int shared = dup(file), null = open("/dev/null", O_RDWR | O_CLOEXEC);
        char text[16] = "";

        assert_int_equal(fd_write_nonblocking(file, "one\n", 4), 4);
        assert_int_equal(write(shared, "two\n", 4), 4);
        assert_int_equal(fd_write_nonblocking(file, "three\n", 6), 6);
        assert_int_equal(pread(file, text, sizeof(text), 0), 14);
        assert_memory_equal(text, "one\ntwo\nthree\n", 14);
        assert_int_equal(fd_write_nonblocking(null, text, sizeof(text)), sizeof(text));
        assert_int_equal(unlinkat(dir, "log", 0), 0);
        (void) fd_close(null);
        (void) fd_close(shared);
        (void) fd_close(file);
        (void) fd_close(dir);
}

/* The same number as in the list, whichever way the kernel has to count them. */
static void test_count_open(void **state) {
        int fds[100], before = fd_count_open(), listed = 0;

        assert_true(before >= 3);
        for (size_t i = 0; i < ELEMENTSOF(fds); i++) {
                fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
                assert_return_code(fds[i], errno);
        }
        assert_int_equal(fd_count_open(), before + (int) ELEMENTSOF(fds));
        (void) close(fds[50]); /* a gap counts nothing */
        for (int fd = 0; fd < 1024; fd++)
                listed += fcntl(fd, F_GETFD) >= 0;
        assert_int_equal(fd_count_open(), listed);
        for (size_t i = 0; i < ELEMENTSOF(fds); i++)
                if (i != 50)
                        (void) close(fds[i]);
        assert_int_equal(fd_count_open(), before);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        const struct CMUnitTest tests[] = {
                T(test_count_open),
                T(test_close),
                T(test_flags),
                T(test_close_all_except),
                T(test_file_read),
                T(test_file_read_not_regular),
                T(test_file_replace_clean),
                T(test_file_replace),
                T(test_file_replace_full),
                T(test_memfd),
                T(test_memfd_read),
                T(test_write_string),
                T(test_socket),
                T(test_socket_many),
                T(test_socket_emfile),
                T(test_rlimit_raise),
                T(test_write_nonblocking),
                T(test_write_nonblocking_file),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
