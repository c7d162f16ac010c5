/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/notify-socket.h"
#include "base/parse-util.h"
#include "keeper/listen.h"
#include "proto/keeper-protocol.h"

/* A check takes five seconds at most, but the keeper also waits for a node that does not read. */
#define REEXEC_SEC 20

/* Returns whether the socket listens and has the right type. */
static bool socket_is_listening(int fd) {
        socklen_t size = sizeof(int);
        int type, listening;

        return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) >= 0 && type == SOCK_SEQPACKET &&
               getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) >= 0 && listening;
}

int listen_inherited(uint32_t *ret_n, char **ret_names) {
        const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS"),
                   *names = getenv("LISTEN_FDNAMES");
        uint32_t n_fds, listen_pid;
        int found = -EINVAL;

        if (!pid || !fds || parse_u32(pid, &listen_pid) < 0 || parse_u32(fds, &n_fds) < 0 ||
                listen_pid != (uint32_t) getpid())
                return -ENOENT;

        for (uint32_t i = 0; i < n_fds; i++) {
                if (!socket_is_listening(LISTEN_FD + (int) i))
                        continue;
                if (found >= 0)
                        return -EINVAL;
                found = LISTEN_FD + (int) i;
        }
        if (found < 0)
                return found;

        *ret_n = n_fds;
        *ret_names = strdup(names ? names : "");
        if (!*ret_names)
                return -ENOMEM;
        /* The variables are for this process only, not for its children. */
        (void) unsetenv("LISTEN_PID");
        (void) unsetenv("LISTEN_FDS");
        (void) unsetenv("LISTEN_FDNAMES");
        return found;
}

int listen_at(const char *path) {
        struct sockaddr_un address;
        autofd fd = -EBADF, probe = -EBADF;
        struct stat st;
        socklen_t size;
        mode_t mask;
        int r;

        r = socket_address(path, &address, &size);
        if (r < 0)
                return r;

        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        probe = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        if (fd < 0 || probe < 0)
                return -errno;

        /* Removes the remains of a keeper that was killed, but neither the file of another user nor another
         * kind of file. */
        if (lstat(path, &st) >= 0 && S_ISSOCK(st.st_mode) &&
                connect(probe, (struct sockaddr *) &address, size) < 0 && errno == ECONNREFUSED)
                (void) unlink(path);

        mask = umask(0177);
        r = bind(fd, (struct sockaddr *) &address, size) < 0 ? -errno : 0;
        (void) umask(mask);
        if (r < 0)
                return r;
        if (listen(fd, SOMAXCONN) < 0)
                return -errno;

        return fd_steal(&fd);
}

int accept_from(int listen_fd, uid_t uid, int flags) {
        struct ucred peer;
        socklen_t size = sizeof(peer);
        autofd fd = -EBADF;

        fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | flags);
        if (fd < 0)
                return errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM ? -errno
                                                                                                 : -EAGAIN;
        /* The mode of the file does not keep a privileged process of another user out. */
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.uid != uid)
                return -EPERM;
        return fd_steal(&fd);
}

int socket_directory(int listen_fd, const char *beside, char ret[static PATH_MAX]) {
        struct sockaddr_un address = { 0 };
        socklen_t size = sizeof(address);
        char *name, *parent;

        if (getsockname(listen_fd, (struct sockaddr *) &address, &size) < 0)
                return -errno;
        /* Not an abstract address, nor one that was bound with a relative path. */
        if (size <= offsetof(struct sockaddr_un, sun_path) || address.sun_path[0] != '/')
                return -EOPNOTSUPP;
        if (size == sizeof(address))
                address.sun_path[sizeof(address.sun_path) - 1] = '\0';

        name = strrchr(address.sun_path, '/');
        *name++ = '\0';
        parent = strrchr(address.sun_path, '/');
        if (!parent)
                return -EOPNOTSUPP;
        *parent = '\0';
        (void) snprintf(ret, PATH_MAX, "%s/%s/%s", address.sun_path, beside, name);
        return 0;
}

static int directory_make(const char *path, mode_t mode) {
        struct stat st;

        if (mkdir(path, mode) < 0 && errno != EEXIST)
                return -errno;
        if (lstat(path, &st) < 0)
                return -errno;
        return S_ISDIR(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & 022) == 0 ? 0 : -EPERM;
}

int socket_directory_make(const char *directory, mode_t mode) {
        char parent[PATH_MAX];
        mode_t mask = umask(022);
        int r;

        (void) snprintf(parent, sizeof(parent), "%s", directory);
        *strrchr(parent, '/') = '\0';
        r = directory_make(parent, 0755);
        if (r >= 0)
                r = directory_make(directory, mode);
        (void) umask(mask);
        return r;
}

int ask_reexec(const char *path) {
        const struct keeper_header request = { .type = KEEPER_REEXEC };
        struct sockaddr_un address;
        struct keeper_done done;
        struct pollfd p;
        autofd fd = -EBADF;
        socklen_t size;
        ssize_t n;
        int r;

        r = socket_address(path, &address, &size);
        if (r < 0)
                return r;
        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *) &address, size) < 0)
                return -errno;
        r = socket_send(fd, &request, sizeof(request), NULL, 0);
        if (r < 0)
                return r;

        p = (struct pollfd){ .fd = fd, .events = POLLIN };
        r = poll(&p, 1, REEXEC_SEC * 1000);
        if (r <= 0)
                return r < 0 ? -errno : -ETIMEDOUT;
        n = socket_recv(fd, &done, sizeof(done), NULL, NULL);
        if (n < 0)
                return (int) n;
        if (n == 0)
                return -ECONNRESET;
        if (n != sizeof(done) || done.header.type != KEEPER_DONE || done.request != KEEPER_REEXEC)
                return -EPROTO;
        return done.error;
}
