/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/macro.h"
#include "keeper/hold.h"

void hold_empty(int hold_fd) {
        char byte;

        /* The end of an old hold reads as 0. */
        while (recv(hold_fd, &byte, sizeof(byte), MSG_DONTWAIT) > 0)
                ;
}

int hold_open(void) {
        autofd fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        socklen_t size = sizeof(address);

        /* An abstract name that the kernel chooses. */
        if (fd < 0 || bind(fd, (const struct sockaddr *) &address, sizeof(sa_family_t)) < 0 ||
                getsockname(fd, (struct sockaddr *) &address, &size) < 0 ||
                connect(fd, (const struct sockaddr *) &address, size) < 0)
                return -errno;
        /* From now on no other socket can send to this one, but one could until now. */
        char byte;
        while (recv(fd, &byte, sizeof(byte), 0) >= 0)
                ;
        return fd_steal(&fd);
}

int hold_new(int fd) {
        autofd taken = fd, hold = hold_open();
        int r;

        if (hold < 0)
                return hold;
        r = hold_replace(hold, &taken, 1);
        return r < 0 ? r : fd_steal(&hold);
}

static int hold_look_at(int hold_fd, size_t which) {
        size_t n_fds = HOLD_MAX;
        int fds[HOLD_MAX], domain;
        uint64_t id;

        if (getsockopt(hold_fd, SOL_SOCKET, SO_DOMAIN, &domain, &(socklen_t){ sizeof(domain) }) < 0)
                return -errno;
        if (domain != AF_UNIX)
                return -ENOTSOCK;
        ssize_t n = socket_peek(hold_fd, &id, sizeof(id), fds, &n_fds);
        if (n < 0)
                return n == -EAGAIN ? -ENODATA : (int) n;
        for (size_t i = 0; i < n_fds; i++)
                if (i != which)
                        (void) fd_close(fds[i]);
        return which < n_fds ? fds[which] : -ENODATA;
}

int hold_look(int hold_fd) {
        return hold_look_at(hold_fd, 0);
}

int hold_look_second(int hold_fd) {
        return hold_look_at(hold_fd, 1);
}

/* The kernel counts what is in queues, and the pages of pipes, for the real user of who sends or makes them,
 * and refuses others of this user what it permits a keeper with its capabilities. So for the moment of the
 * call that is a user of nobody, and one for each keeper. Where that is not permitted, or in a user namespace
 * without such a user, nothing changes. */
static bool hold_user_enter(void) {
        return geteuid() == 0 && setresuid(hold_user(getpid()), (uid_t) -1, (uid_t) -1) >= 0;
}

/* The next child must not have this user. For root, which always exists, this allocates nothing that could
 * fail. */
static void hold_user_leave(uid_t real) {
        if (setresuid(real, (uid_t) -1, (uid_t) -1) < 0)
                abort();
}

static int hold_send(int hold_fd, const void *packet, size_t size, const int *fds, size_t n) {
        const uid_t real = getuid();
        const bool changed = hold_user_enter();

        int r = socket_send_many(hold_fd, packet, size, fds, n);
        if (changed)
                hold_user_leave(real);
        return r;
}

int hold_pipe(int ret[static 2]) {
        const uid_t real = getuid();
        const bool changed = hold_user_enter();

        int r = pipe2(ret, O_CLOEXEC) < 0 ? -errno : 0;
        if (changed)
                hold_user_leave(real);
        return r;
}

/* At every moment the first packet is the old one or the new one, and either of them is true, because the
 * keeper acts before it drops a socket, and after it has added one. */
int hold_replace_packet(int hold_fd, uint64_t *packet, size_t size, const int *fds, size_t n) {
        uint64_t first;
        int r;

        if (getrandom(packet, sizeof(*packet), 0) != sizeof(*packet))
                return -errno;
        r = hold_send(hold_fd, packet, size, fds, n);
        if (r < 0)
                return r;
        while (recv(hold_fd, &first, sizeof(first), MSG_PEEK | MSG_DONTWAIT) > 0 && first != *packet)
                (void) recv(hold_fd, &first, sizeof(first), MSG_DONTWAIT);
        return 0;
}

int hold_replace(int hold_fd, const int *fds, size_t n) {
        uint64_t id;

        return hold_replace_packet(hold_fd, &id, sizeof(id), fds, n);
}

void hold_end(int hold_fd) {
        if (hold_fd < 0)
                return;
        hold_empty(hold_fd);
        (void) fd_close(hold_fd);
}

int hold_adopt(int fd, bool *ret_old) {
        int copy = hold_look(fd), type = SOCK_STREAM;

        (void) getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &(socklen_t){ sizeof(type) });
        *ret_old = copy == -ENOTSOCK || type != SOCK_DGRAM;
        if (copy == -ENOTSOCK)
                return hold_new(fd);
        if (copy >= 0 && !*ret_old) {
                (void) fd_close(copy);
                return fd;
        }
        /* It is not emptied, because systemd has it until the new one is stored. */
        (void) fd_close(fd);
        return copy < 0 ? copy : hold_new(copy);
}
