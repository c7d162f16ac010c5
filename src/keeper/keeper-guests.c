/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Handles new connections. A guest is a node, a node that is refused, or a process that requests a
 * re-execution. */

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/stderr-log.h"
#include "keeper/keeper-guests.h"
#include "keeper/keeper-node.h"
#include "keeper/keeper-reexec.h"
#include "keeper/keeper-requests.h"
#include "keeper/listen.h"

static bool guest_hung_up(int fd) {
        struct pollfd p = { .fd = fd };

        return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR));
}

void keeper_close_refused(Keeper *k) {
        if (k->refused_fd >= 0)
                keeper_unwatch(k, k->refused_fd);
        k->refused_fd = fd_close(k->refused_fd);
}

static void guest_refuse(Keeper *k, int fd) {
        struct keeper_welcome m = { .header = { .type = KEEPER_WELCOME }, .error = -EBUSY };

        /* The connection is not closed at once, because the HELLO of the peer would fail before it has read
         * the reason. */
        keeper_close_refused(k);
        (void) socket_send(fd, &m, sizeof(m), NULL, 0);
        if (keeper_watch(k, EPOLL_CTL_ADD, fd, EPOLLRDHUP, &k->refused_watch) >= 0)
                k->refused_fd = fd;
        else
                (void) fd_close(fd);
}

static void guest_become_node(Keeper *k, int fd, const struct keeper_hello *hello) {
        /* A node that was just restarted must not find its place occupied by the connection of its
         * predecessor. */
        while (k->node_fd >= 0 && guest_hung_up(k->node_fd))
                keeper_on_node(k, EPOLLHUP);
        if (k->node_fd >= 0) {
                guest_refuse(k, fd);
                return;
        }
        if (keeper_watch(k, EPOLL_CTL_ADD, fd, EPOLLIN, &k->node_watch) < 0) {
                (void) fd_close(fd);
                return;
        }
        k->node_fd = fd;
        (void) keeper_on_hello(k, hello);
        keeper_flush(k);
}

/* The first packet decides what the guest is. */
void keeper_on_guest(Keeper *k, size_t i) {
        union {
                struct keeper_header header;
                struct keeper_hello hello;
                char room[KEEPER_PACKET_MAX];
        } packet;
        autofd fd = -EBADF;
        ssize_t n;

        n = socket_recv(k->guests[i].fd, &packet, sizeof(packet), NULL, NULL);
        if (n == -EAGAIN)
                return;

        keeper_unwatch(k, k->guests[i].fd);
        fd = fd_steal(&k->guests[i].fd);
        if (n == 0 || n == -ECONNRESET)
                return;
        if (n == sizeof(packet.hello) && packet.header.type == KEEPER_HELLO && packet.header.reserved == 0)
                guest_become_node(k, fd_steal(&fd), &packet.hello);
        else if (n == sizeof(packet.header) && packet.header.type == KEEPER_REEXEC &&
                 packet.header.reserved == 0)
                reexec_ask(k, fd_steal(&fd));
        else
                log_warning("Closing a connection that does not speak the protocol: %s",
                        strerror(n < 0 ? (int) -n : EBADMSG));
}

void keeper_on_listener(Keeper *k) {
        autofd fd = -EBADF;
        size_t i;

        fd = accept_from(k->listen_fd, geteuid(), SOCK_NONBLOCK);
        if (fd == -EPERM)
                log_warning("Refusing a connection of another user");
        else if (fd < 0 && fd != -EAGAIN) {
                log_error("Cannot accept a connection, trying again in a while: %s", strerror(-fd));
                k->listener_paused = keeper_watch(k, EPOLL_CTL_MOD, k->listen_fd, 0, &k->listener_watch) >= 0;
        }
        if (fd < 0)
                return;

        i = k->next_guest;
        k->next_guest = (i + 1) % ELEMENTSOF(k->guests);
        if (k->guests[i].fd >= 0)
                keeper_on_guest(k, i); /* the packet may have arrived already */
        if (k->guests[i].fd >= 0) {
                keeper_unwatch(k, k->guests[i].fd);
                k->guests[i].fd = fd_close(k->guests[i].fd);
        }
        if (keeper_watch(k, EPOLL_CTL_ADD, fd, EPOLLIN, &k->guests[i].watch) >= 0)
                k->guests[i].fd = fd_steal(&fd);
}
