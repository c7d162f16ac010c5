/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd-util.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif

int fd_close(int fd) {
        if (fd >= 0) {
                int saved = errno;

                /* Not repeated after EINTR: the descriptor is closed in any case, and its number may be in
                 * use again. */
                (void) close(fd);
                errno = saved;
        }

        return -EBADF;
}

void fd_closep(int *fd) {
        (void) fd_close(*fd);
}

static int fd_flag(int fd, int get, int set, int flag, bool on) {
        int flags, want;

        flags = fcntl(fd, get);
        if (flags < 0)
                return -errno;

        want = on ? flags | flag : flags & ~flag;
        if (want != flags && fcntl(fd, set, want) < 0)
                return -errno;

        return 0;
}

int fd_nonblock(int fd, bool nonblock) {
        return fd_flag(fd, F_GETFL, F_SETFL, O_NONBLOCK, nonblock);
}

int fd_cloexec(int fd, bool cloexec) {
        return fd_flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC, cloexec);
}

int fd_close_all_except(const int *keep, size_t n_keep) {
        unsigned from = 3;

        /* Without allocation, because this runs in children of a process that may be short of memory. */
        for (;;) {
                unsigned next = UINT_MAX;

                for (size_t i = 0; i < n_keep; i++)
                        if (keep[i] >= 0 && (unsigned) keep[i] >= from && (unsigned) keep[i] < next)
                                next = (unsigned) keep[i];

                if (next > from && close_range(from, next == UINT_MAX ? UINT_MAX : next - 1, 0) < 0)
                        return -errno;
                if (next == UINT_MAX)
                        return 0;

                from = next + 1;
        }
}

/* The list of ten thousand descriptors takes 8 ms. */
static int fd_count_listed(void) {
        _cleanup_closedir_ DIR *dir = opendir("/proc/self/fd");
        int n = 0;

        if (!dir)
                return -errno;
        for (struct dirent *d; (d = readdir(dir));)
                n += d->d_name[0] != '.';
        return n - 1; /* the directory itself */
}

int fd_count_open(void) {
        struct stat st;

        /* From Linux 6.2 on the size is their number; before that it is 0. */
        if (stat("/proc/self/fd", &st) >= 0 && st.st_size > 0)
                return st.st_size < INT_MAX ? (int) st.st_size : -EOVERFLOW;
        return fd_count_listed();
}

int file_open(int dir_fd, const char *path, int flags) {
        struct stat st;

        /* Without O_NONBLOCK the open of a FIFO waits for a writer, and that of a device for the device. */
        autofd fd = openat(dir_fd, path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0)
                /* A socket, a FIFO that nobody reads, or a symlink. Without O_NOFOLLOW it is a circle of
                 * them, which is no file either. */
                return errno == ENXIO || errno == ELOOP ? -EBADFD : -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return S_ISDIR(st.st_mode) ? -EISDIR : -EBADFD;
        return fd_steal(&fd);
}

int file_read_all(int fd, size_t max, char **ret, size_t *ret_size) {
        _cleanup_free_ char *buffer = NULL;
        size_t size = 0, room = 0;

        for (;;) {
                ssize_t n;

                if (size == room) {
                        char *larger;

                        room = room > 0 ? room * 2 : 4096;
                        larger = realloc(buffer, room + 1);
                        if (!larger)
                                return -ENOMEM;
                        buffer = larger;
                }

                n = read(fd, buffer + size, room - size);
                if (n < 0) {
                        if (errno == EINTR)
                                continue;
                        return -errno;
                }
                if (n == 0)
                        break;

                size += (size_t) n;
                if (size > max)
                        return -EFBIG;
        }

        buffer[size] = '\0';
        *ret = buffer;
        buffer = NULL;
        if (ret_size)
                *ret_size = size;
        return 0;
}

static int file_read_flags(
        int dir_fd, const char *path, int flags, size_t max, char **ret, size_t *ret_size) {
        autofd fd = file_open(dir_fd, path, O_RDONLY | flags);

        return fd < 0 ? fd : file_read_all(fd, max, ret, ret_size);
}

int file_read(int dir_fd, const char *path, size_t max, char **ret, size_t *ret_size) {
        return file_read_flags(dir_fd, path, 0, max, ret, ret_size);
}

int file_read_own(int dir_fd, const char *path, size_t max, char **ret, size_t *ret_size) {
        return file_read_flags(dir_fd, path, O_NOFOLLOW, max, ret, ret_size);
}

static int fd_write_all(int fd, const void *data, size_t size) {
        const char *p = data;

        while (size > 0) {
                ssize_t n = write(fd, p, size);

                if (n < 0) {
                        if (errno == EINTR)
                                continue;
                        return -errno;
                }
                p += n;
                size -= (size_t) n;
        }

        return 0;
}

int directory_make_at(int dir_fd, const char *name) {
        if (mkdirat(dir_fd, name, 0700) < 0 && errno != EEXIST)
                return -errno;
        int fd = openat(dir_fd, name, O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        return fd < 0 ? -errno : fd;
}

int directory_read_at(int dir_fd, DIR **ret) {
        autofd fd = openat(dir_fd, ".", O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
                return -errno;
        *ret = fdopendir(fd);
        if (!*ret)
                return -errno;
        (void) fd_steal(&fd);
        return 0;
}

#define TEMPORARY_SUFFIX ".new"

static int temporary_open(int dir_fd, const char *name) {
        int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

        return fd < 0 ? -errno : fd;
}

static int file_replace_sync(int dir_fd, const char *name, const void *data, size_t size, bool durable) {
        _cleanup_free_ char *temporary = NULL;
        autofd fd = -EBADF;
        int r;

        /* The name is fixed: a process that dies here leaves one file at most, and the next call, or
         * file_replace_clean(), removes it. */
        if (asprintf(&temporary, ".%s" TEMPORARY_SUFFIX, name) < 0) {
                temporary = NULL;
                return -ENOMEM;
        }
        fd = temporary_open(dir_fd, temporary);
        if (fd == -EEXIST) {
                if (unlinkat(dir_fd, temporary, 0) < 0 && errno != ENOENT)
                        return -errno;
                fd = temporary_open(dir_fd, temporary);
        }
        if (fd < 0)
                return fd;

        r = fd_write_all(fd, data, size);
        if (r >= 0 && durable && fsync(fd) < 0)
                r = -errno;
        if (r >= 0 && renameat(dir_fd, temporary, dir_fd, name) < 0)
                r = -errno;
        if (r < 0) {
                (void) unlinkat(dir_fd, temporary, 0);
                return r;
        }
        return durable && fsync(dir_fd) < 0 ? -errno : r;
}

int file_replace(int dir_fd, const char *name, const void *data, size_t size) {
        return file_replace_sync(dir_fd, name, data, size, false);
}

int file_replace_durable(int dir_fd, const char *name, const void *data, size_t size) {
        return file_replace_sync(dir_fd, name, data, size, true);
}

int file_replace_clean(int dir_fd) {
        _cleanup_closedir_ DIR *dir = NULL;
        int r;

        r = directory_read_at(dir_fd, &dir);
        if (r < 0 || !dir) /* it is NULL in no other case, which analyzers do not see */
                return r;
        for (struct dirent *d; (d = readdir(dir));) {
                const size_t size = strlen(d->d_name);

                if (d->d_name[0] == '.' && size > strlen(TEMPORARY_SUFFIX) &&
                        strcmp(d->d_name + size - strlen(TEMPORARY_SUFFIX), TEMPORARY_SUFFIX) == 0 &&
                        unlinkat(dir_fd, d->d_name, 0) < 0 && r == 0)
                        r = -errno;
        }
        return r;
}

int memfd_new(const char *name) {
        /* With vm.memfd_noexec=2 the flag is required; kernels before 6.3 do not support it. */
        int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

        if (fd < 0 && errno == EINVAL)
                fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
        return fd < 0 ? -errno : fd;
}

int memfd_new_sealed(const char *name, const void *data, size_t size) {
        return memfd_new_sealed_pieces(
                name, &(struct iovec){ .iov_base = (void *) data, .iov_len = size }, 1);
}

int memfd_new_sealed_pieces(const char *name, const struct iovec *pieces, size_t n) {
        autofd fd = memfd_new(name);
        int r = 0;

        if (fd < 0)
                return fd;

        for (size_t i = 0; r >= 0 && i < n; i++)
                r = fd_write_all(fd, pieces[i].iov_base, pieces[i].iov_len);
        if (r < 0)
                return r;

        if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
                return -errno;

        return fd_steal(&fd);
}

int memfd_read(int fd, size_t max, char **ret, size_t *ret_size) {
        _cleanup_free_ char *data = NULL;
        size_t size = 0;
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        if ((uint64_t) st.st_size > max)
                return -E2BIG;
        /* One byte more, so that there is always something to allocate. */
        data = malloc((size_t) st.st_size + 1);
        if (!data)
                return -ENOMEM;

        while (size < (size_t) st.st_size) {
                ssize_t n = pread(fd, data + size, (size_t) st.st_size - size, (off_t) size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                size += (size_t) n;
        }

        *ret = data;
        data = NULL;
        *ret_size = size;
        return 0;
}

int memfd_read_sealed(int fd, size_t max, char **ret, size_t *ret_size) {
        const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
        int r;

        r = fcntl(fd, F_GET_SEALS);
        if (r < 0 || (r & seals) != seals)
                return -EBADMSG;
        return memfd_read(fd, max, ret, ret_size);
}

int file_write_string(const char *path, const char *s) {
        autofd fd = -EBADF;
        size_t size = strlen(s);
        ssize_t n;

        fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return -errno;

        /* In one call, because sysfs takes each write for a value of its own. */
        do
                n = write(fd, s, size);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;

        return (size_t) n == size ? 0 : -EIO;
}

/* A terminal that accepts anything accepts this much, if each character is written as one. */
#define TERMINAL_PIECE_MAX 128U

/* Returns how much of the data the other end accepts without blocking if poll(2) reports POLLOUT, which does
 * not include the amount. */
static size_t piece(bool terminal, const char *data, size_t size) {
        size_t n = 1;

        if (!terminal)
                return size < PIPE_BUF ? size : PIPE_BUF;
        /* The terminal may write a control character as several characters, so it is written alone. */
        if ((unsigned char) *data >= ' ')
                while (n < size && n < TERMINAL_PIECE_MAX && (unsigned char) data[n] >= ' ')
                        n++;
        return n;
}

static ssize_t fd_write_pieces(int fd, bool terminal, const char *data, size_t size) {
        size_t done = 0;

        while (done < size) {
                struct pollfd room = { .fd = fd, .events = POLLOUT };
                if (poll(&room, 1, 0) < 0)
                        return -errno;
                if (!(room.revents & POLLOUT))
                        break;
                ssize_t n = write(fd, data + done, piece(terminal, data + done, size - done));
                if (n < 0)
                        return done > 0 ? (ssize_t) done : -errno;
                done += (size_t) n;
        }
        return done > 0 || size == 0 ? (ssize_t) done : -EAGAIN;
}

/* O_NONBLOCK belongs to the open file description, which other processes may share, so the file is opened
 * again. */
static ssize_t file_write_reopened(int fd, bool terminal, const char *data, size_t size) {
        char path[sizeof("/proc/self/fd/") + 10];

        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        int own = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (own < 0) {
                if (!terminal && errno == ENXIO) /* no process has it open for reading */
                        return -EPIPE;
                if (errno == EIO)
                        return -EIO;
                /* The terminal of another user, no /proc, or too many open files: then only poll(2) reports
                 * whether there is room, and another process at the same end may use it first. */
                return fd_write_pieces(fd, terminal, data, size);
        }
        ssize_t n = write(own, data, size);
        if (n < 0)
                n = -errno;
        (void) fd_close(own);
        return n;
}

ssize_t fd_write_nonblocking(int fd, const void *data, size_t size) {
        struct stat st;
        ssize_t n;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (S_ISFIFO(st.st_mode) || (S_ISCHR(st.st_mode) && isatty(fd)))
                return file_write_reopened(fd, S_ISCHR(st.st_mode), data, size);
        if (S_ISSOCK(st.st_mode))
                n = send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        else /* a regular file, a device that never blocks, or a terminal that has hung up */
                n = write(fd, data, size);
        return n < 0 ? -errno : n;
}

int socket_send_many(int fd, const void *data, size_t size, const int *fds, size_t n_fds) {
        union {
                struct cmsghdr header;
                char room[CMSG_SPACE(sizeof(int) * SOCKET_FDS_MANY)];
        } control;
        struct iovec iov = { .iov_base = (void *) data, .iov_len = size };
        struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
        ssize_t n;

        /* The peer would take an empty packet for the end of the connection. */
        if (size == 0 || n_fds > SOCKET_FDS_MANY)
                return -EINVAL;

        if (n_fds > 0) {
                struct cmsghdr *c;

                memset(&control, 0, CMSG_SPACE(sizeof(int) * n_fds));
                msg.msg_control = &control;
                msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
                c = CMSG_FIRSTHDR(&msg);
                c->cmsg_level = SOL_SOCKET;
                c->cmsg_type = SCM_RIGHTS;
                c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
                memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
        }

        do
                n = sendmsg(fd, &msg, MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;

        return (size_t) n == size ? 0 : -EMSGSIZE;
}

int socket_send(int fd, const void *data, size_t size, const int *fds, size_t n_fds) {
        return n_fds > SOCKET_FDS_MAX ? -EINVAL : socket_send_many(fd, data, size, fds, n_fds);
}

static ssize_t socket_receive(int fd, void *data, size_t size, int *fds, size_t *n_fds, int flags) {
        union {
                struct cmsghdr header;
                char room[CMSG_SPACE(sizeof(int) * SOCKET_FDS_MANY)];
        } control;
        struct iovec iov = { .iov_base = data, .iov_len = size };
        struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
        int received[CMSG_SPACE(sizeof(int) * SOCKET_FDS_MANY) / sizeof(int)];
        size_t room = n_fds ? *n_fds : 0, n_received = 0;
        struct cmsghdr *c;
        ssize_t n;

        if (room > 0) {
                msg.msg_control = &control;
                /* CMSG_LEN, not CMSG_SPACE, whose padding has room for one descriptor more. */
                msg.msg_controllen = CMSG_LEN(sizeof(int) * room);
        }

        do
                n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | flags);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;

        for (c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
                if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
                        size_t k = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

                        memcpy(received + n_received, CMSG_DATA(c), k * sizeof(int));
                        n_received += k;
                }

        if ((msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || n_received > room) {
                for (size_t i = 0; i < n_received; i++)
                        (void) fd_close(received[i]);
                return -EMSGSIZE;
        }

        if (n_fds) {
                if (n_received > 0) /* fds may be NULL otherwise, which is not allowed for memcpy() */
                        memcpy(fds, received, n_received * sizeof(int));
                *n_fds = n_received;
        }
        return n;
}

ssize_t socket_recv(int fd, void *data, size_t size, int *fds, size_t *n_fds) {
        return n_fds && *n_fds > SOCKET_FDS_MAX ? -EINVAL : socket_receive(fd, data, size, fds, n_fds, 0);
}

ssize_t socket_peek(int fd, void *data, size_t size, int *fds, size_t *n_fds) {
        return n_fds && *n_fds > SOCKET_FDS_MAX ? -EINVAL : socket_peek_many(fd, data, size, fds, n_fds);
}

ssize_t socket_peek_many(int fd, void *data, size_t size, int *fds, size_t *n_fds) {
        return n_fds && *n_fds > SOCKET_FDS_MANY ? -EINVAL
                                                 : socket_receive(fd, data, size, fds, n_fds, MSG_PEEK);
}

int rlimit_nofile_raise(uint64_t want) {
        struct rlimit rl;

        if (getrlimit(RLIMIT_NOFILE, &rl) < 0)
                return -errno;
        if (rl.rlim_cur >= want)
                return 0;

        rl.rlim_cur = rl.rlim_max < want ? rl.rlim_max : want;
        if (setrlimit(RLIMIT_NOFILE, &rl) < 0)
                return -errno;

        return 0;
}
