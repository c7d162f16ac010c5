/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <sys/socket.h>

#include "base/fd-util.h"
#include "keeper/hold.h"

int hold_new(int fd) {
        autofd taken = fd, in = -EBADF, out = -EBADF;
        int ends[2], r;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
                return -errno;
        in = ends[0];
        out = ends[1];
        r = socket_send(in, "", 1, &taken, 1);
        return r < 0 ? r : fd_steal(&out);
}

int hold_look(int hold_fd) {
        size_t n_fds = 1;
        int fd = -EBADF, domain;
        char byte;

        if (getsockopt(hold_fd, SOL_SOCKET, SO_DOMAIN, &domain, &(socklen_t){ sizeof(domain) }) < 0)
                return -errno;
        if (domain != AF_UNIX)
                return -ENOTSOCK;
        ssize_t n = socket_peek(hold_fd, &byte, sizeof(byte), &fd, &n_fds);
        if (n < 0)
                return (int) n;
        return n_fds == 1 ? fd : -ENODATA;
}

void hold_end(int hold_fd) {
        size_t n_fds = 1;
        int fd = -EBADF;
        char byte;

        if (hold_fd < 0)
                return;
        if (socket_recv(hold_fd, &byte, sizeof(byte), &fd, &n_fds) >= 0 && n_fds == 1)
                (void) fd_close(fd);
        (void) fd_close(hold_fd);
}

int hold_adopt(int fd) {
        int copy = hold_look(fd);

        if (copy >= 0) {
                (void) fd_close(copy);
                return fd;
        }
        if (copy == -ENOTSOCK)
                return hold_new(fd);
        (void) fd_close(fd);
        return copy;
}
