/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/macro.h"
#include "keeper/port-socket.h"
#include "proto/keeper-protocol.h"

/* If a number that was just free has been bound by another process, another number is tried, at most this
 * often. */
#define BIND_TRIES 64
#define DATAGRAMS_MAX 65536
#define DIAG_PACKET_MAX 32768

/* The owners of guards. The first one is in a range that no system assigns; the second one is for a container
 * that has few uids, and is -1 in 16 bits. */
static const uid_t guard_uids[] = { UINT32_C(0xfffffff0), 65535 };

static socklen_t port_address_size(const union port_address *a) {
        return a->any.sa_family == AF_INET ? sizeof(a->in) : sizeof(a->in6);
}

uint16_t port_address_number(const union port_address *a) {
        return ntohs(a->any.sa_family == AF_INET ? a->in.sin_port : a->in6.sin6_port);
}

static int socket_enable(int fd, int level, int option, int value) {
        return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int socket_set_filter(int fd, int option, uint32_t result) {
        struct sock_filter filter = BPF_STMT(BPF_RET | BPF_K, result);
        struct sock_fprog program = { .len = 1, .filter = &filter };

        return setsockopt(fd, SOL_SOCKET, option, &program, sizeof(program)) < 0 ? -errno : 0;
}

/* Datagrams for a port that is only reserved have no receiver. They must neither accumulate nor reach the
 * next role. */
static int socket_drop_all(int fd) {
        return socket_set_filter(fd, SO_ATTACH_FILTER, 0);
}

static int socket_open(uint8_t protocol, const union port_address *address) {
        autofd fd = -EBADF;
        int r = 0;

        fd = socket(address->any.sa_family,
                (protocol == KEEPER_TCP ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        if (address->any.sa_family == AF_INET6)
                r = socket_enable(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
        if (r >= 0 && protocol == KEEPER_UDP)
                r = socket_drop_all(fd);
        return r < 0 ? r : fd_steal(&fd);
}

static int socket_bind(int fd, const union port_address *address) {
        return bind(fd, &address->any, port_address_size(address)) < 0 ? -errno : 0;
}

static int guard_take_owner(int fd) {
        int r = 0;

        /* In the instance of a user the owner stays that user. */
        for (size_t i = 0; i < ELEMENTSOF(guard_uids) && geteuid() == 0; i++) {
                r = fchown(fd, guard_uids[i], (gid_t) -1) < 0 ? -errno : 0;
                if (r != -EINVAL)
                        return r;
        }
        return r == -EINVAL ? 0 : r; /* a container that has neither of them */
}

/* The number is bound without SO_REUSEPORT, so that the guard of another keeper cannot have it. */
static int guard_open_at(uint8_t protocol, const union port_address *address) {
        autofd fd = socket_open(protocol, address);
        int r;

        if (fd < 0)
                return fd;
        r = guard_take_owner(fd);
        if (r >= 0)
                r = socket_bind(fd, address);
        if (r >= 0)
                r = socket_enable(fd, SOL_SOCKET, SO_REUSEPORT, 1);
        return r < 0 ? r : fd_steal(&fd);
}

/* The kernel chooses the number, and then the number is bound explicitly, because the kernel releases a
 * number that it has chosen as soon as the socket stops listening. */
int port_guard_open(uint8_t protocol, const union port_address *address, union port_address *ret) {
        *ret = *address;
        if (port_address_number(address) != 0)
                return guard_open_at(protocol, address);

        for (int i = 0; i < BIND_TRIES; i++) {
                socklen_t size = sizeof(*ret);
                int fd, r;

                fd = socket_open(protocol, address);
                if (fd < 0)
                        return fd;
                r = socket_bind(fd, address);
                if (r >= 0 && getsockname(fd, &ret->any, &size) < 0)
                        r = -errno;
                (void) fd_close(fd);
                if (r < 0)
                        return r;

                fd = guard_open_at(protocol, ret);
                if (fd != -EADDRINUSE)
                        return fd;
        }

        return -EADDRINUSE;
}

int port_guard_adopt(int fd) {
        int r = guard_take_owner(fd);

        return r < 0 ? r : socket_enable(fd, SOL_SOCKET, SO_REUSEPORT, 1);
}

/* The sockets of a UDP port are a group, of which one receives each datagram. The guard is number 0, and the
 * socket of the role is number 1 (see SO_ATTACH_REUSEPORT_CBPF in socket(7)). */
static int socket_receive_all(int fd) {
        return socket_set_filter(fd, SO_ATTACH_REUSEPORT_CBPF, 1);
}

int port_socket_open(uint8_t protocol, int guard_fd) {
        union port_address address = { 0 };
        socklen_t size = sizeof(address);
        autofd fd = -EBADF;
        struct stat st;
        int r = 0;

        if (getsockname(guard_fd, &address.any, &size) < 0 || fstat(guard_fd, &st) < 0)
                return -errno;
        fd = socket_open(protocol, &address);
        if (fd < 0)
                return fd;
        if (st.st_uid != geteuid())
                r = fchown(fd, st.st_uid, (gid_t) -1) < 0 ? -errno : 0;
        if (r >= 0)
                r = socket_enable(fd, SOL_SOCKET, SO_REUSEPORT, 1);
        /* The port remains usable if the address has gone from its interface for a while. */
        if (r >= 0)
                r = socket_enable(fd, IPPROTO_IP, IP_FREEBIND, 1);
        if (r >= 0)
                r = socket_bind(fd, &address);
        if (r >= 0 && protocol == KEEPER_UDP)
                r = socket_receive_all(fd);
        return r < 0 ? r : fd_steal(&fd);
}

int port_socket_revoke(int fd) {
        char c;
        int r;

        /* No interface has this number. A process without CAP_NET_RAW cannot change it again, but for UDP, by
         * connect(2). */
        r = socket_enable(fd, SOL_SOCKET, SO_BINDTOIFINDEX, INT_MAX);
        /* As the role should have left them, so that the next socket does not conflict. */
        (void) socket_enable(fd, SOL_SOCKET, SO_REUSEADDR, 0);
        (void) socket_enable(fd, SOL_SOCKET, SO_REUSEPORT, 1);
        /* The role may have locked a filter of its own. */
        if (socket_drop_all(fd) >= 0)
                (void) socket_enable(fd, SOL_SOCKET, SO_LOCK_FILTER, 1);
        /* A UDP socket sends nothing from now on. */
        (void) shutdown(fd, SHUT_RDWR);
        /* The loop is limited, because a socket that was shut down reads as empty for ever. */
        for (int i = 0; i < DATAGRAMS_MAX && recv(fd, &c, sizeof(c), MSG_DONTWAIT) > 0; i++)
                ;
        return r;
}

int port_socket_cookie(int fd, uint64_t *ret) {
        return getsockopt(fd, SOL_SOCKET, SO_COOKIE, ret, &(socklen_t){ sizeof(*ret) }) < 0 ? -errno : 0;
}

/* Returns 1 if the socket is in this packet, 0 if it is in the next one at best, -ENOENT at the end. */
static int diag_find(struct nlmsghdr *h, size_t size, uint64_t cookie) {
        for (; NLMSG_OK(h, size); h = NLMSG_NEXT(h, size)) {
                const struct inet_diag_msg *m = NLMSG_DATA(h);
                const struct nlmsgerr *e = NLMSG_DATA(h);

                if (h->nlmsg_type == NLMSG_DONE)
                        return -ENOENT;
                if (h->nlmsg_type == NLMSG_ERROR)
                        return h->nlmsg_len >= NLMSG_LENGTH(sizeof(*e)) && e->error < 0 && e->error != -ENOENT
                                       ? e->error
                                       : -EOPNOTSUPP;
                if (h->nlmsg_type == SOCK_DIAG_BY_FAMILY && h->nlmsg_len >= NLMSG_LENGTH(sizeof(*m)) &&
                        ((uint64_t) m->id.idiag_cookie[1] << 32 | m->id.idiag_cookie[0]) == cookie)
                        return 1;
        }
        return 0;
}

int port_socket_exists(int guard_fd, uint64_t cookie) {
        union port_address address = { 0 };
        socklen_t size = sizeof(address);
        struct {
                struct nlmsghdr header;
                struct inet_diag_req_v2 request;
        } m = { .header = { .nlmsg_len = sizeof(m),
                        .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                        .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP } };
        union {
                struct nlmsghdr header;
                char room[DIAG_PACKET_MAX];
        } reply;
        autofd fd = -EBADF;
        ssize_t n;
        int r = 0;

        if (getsockname(guard_fd, &address.any, &size) < 0)
                return -errno;
        m.request = (struct inet_diag_req_v2){
                .sdiag_family = (uint8_t) address.any.sa_family,
                .sdiag_protocol = IPPROTO_UDP,
                .idiag_states = UINT32_MAX,
                .id.idiag_sport = htons(port_address_number(&address)),
        };
        fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
        if (fd < 0 || send(fd, &m, sizeof(m), MSG_NOSIGNAL) < 0)
                return -errno;
        /* The kernel writes each packet when it is read, so this does not wait. */
        do {
                n = recv(fd, &reply, sizeof(reply), MSG_DONTWAIT);
                if (n < 0 && errno == EINTR)
                        continue;
                r = n < 0 ? -errno : diag_find(&reply.header, (size_t) n, cookie);
        } while (r == 0);
        return r == -ENOENT ? 0 : r;
}
