/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd-util.h"
#include "base/stderr-log.h"
#include "keeper/hold.h"
#include "keeper/sockets.h"

/* A number that is reserved on another address already is tried again, at most this often. */
#define BIND_TRIES 64

static const char *port_protocol_name(const struct keeper_port *port) {
        return port->protocol == KEEPER_TCP ? "TCP" : "UDP";
}

static int port_address_read(const struct keeper_bind *m, union port_address *ret) {
        *ret = (union port_address){ .any.sa_family = m->ip_version == 4 ? AF_INET : AF_INET6 };
        switch (m->ip_version) {
        case 4:
                memcpy(&ret->in.sin_addr, m->address, sizeof(ret->in.sin_addr));
                return 0;
        case 0: /* any, which is all zeroes */
        case 6:
                memcpy(&ret->in6.sin6_addr, m->address, sizeof(ret->in6.sin6_addr));
                return 0;
        default:
                return -EINVAL;
        }
}

static uint64_t port_key(const struct keeper_port *port) {
        return (uint64_t) port->protocol << 16 | port->number;
}

struct reserved_socket *sockets_find(const Sockets *s, const struct keeper_port *port) {
        return id_map_get(&s->by_port, port_key(port));
}

void sockets_init(Sockets *s) {
        *s = (Sockets){ 0 };
        list_init(&s->changed);
        list_init(&s->forgotten);
}

static void sockets_changed(Sockets *s, struct reserved_socket *socket) {
        list_remove(&socket->to_store);
        list_append(&s->changed, &socket->to_store);
}

/* Takes ownership of the hold on success. Returns -EEXIST if the port is reserved already, on another
 * address. */
static int sockets_add(Sockets *s, const struct reserved_socket *socket, struct reserved_socket **ret) {
        struct reserved_socket *copy;
        int r;

        if (s->n >= KEEPER_PORTS_MAX)
                return -ENOBUFS;
        if (s->n == s->room) {
                const size_t room = s->room > 0 ? s->room * 2 : 16;
                struct reserved_socket **larger = realloc(s->all, room * sizeof(*larger));

                if (!larger)
                        return -ENOMEM;
                s->all = larger;
                s->room = room;
        }
        copy = malloc(sizeof(*copy));
        if (!copy)
                return -ENOMEM;
        r = id_map_put(&s->by_port, port_key(&socket->port), copy);
        if (r < 0) {
                free(copy);
                return r;
        }

        *copy = *socket;
        list_init(&copy->of_child);
        list_init(&copy->to_store);
        sockets_changed(s, copy);
        copy->index = s->n;
        s->all[s->n++] = copy;
        if (ret)
                *ret = copy;
        return 0;
}

static void sockets_forget(Sockets *s, struct reserved_socket *socket) {
        struct reserved_socket *last = s->all[--s->n];

        s->all[socket->index] = last;
        last->index = socket->index;
        (void) id_map_remove(&s->by_port, port_key(&socket->port));
        list_remove(&socket->of_child);
        list_remove(&socket->to_store);
        hold_end(socket->hold_fd);
        socket->hold_fd = -EBADF;
        if (socket->stored || socket->on_shelf.shelf)
                list_append(&s->forgotten, &socket->to_store);
        else
                free(socket);
}

static int sockets_try_bind(
        Sockets *s, const struct keeper_bind *m, union port_address *address, struct reserved_socket *ret) {
        int r = port_guard_open(m->protocol, address, &ret->address);

        if (m->ip_version == 0 && address->any.sa_family == AF_INET6 &&
                (r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL)) {
                *address = (union port_address){ .in = { .sin_family = AF_INET,
                                                         .sin_port = address->in6.sin6_port } };
                r = port_guard_open(m->protocol, address, &ret->address);
        }
        if (r >= 0)
                r = hold_new(r);
        if (r < 0)
                return r;

        ret->hold_fd = r;
        ret->port =
                (struct keeper_port){ .number = port_address_number(&ret->address), .protocol = m->protocol };
        r = sockets_add(s, ret, NULL);
        if (r < 0 && r != -EEXIST)
                hold_end(ret->hold_fd);
        return r;
}

/* A number that is reserved on another address is kept until another one has been chosen, so that the kernel
 * does not choose it again. */
static int sockets_bind_one(
        Sockets *s, const struct keeper_bind *m, union port_address *address, uint16_t *ret) {
        int kept[BIND_TRIES], n = 0, r;
        struct reserved_socket socket = { 0 };

        while ((r = sockets_try_bind(s, m, address, &socket)) == -EEXIST) {
                kept[n++] = socket.hold_fd;
                if (n == BIND_TRIES) {
                        r = -EADDRINUSE;
                        break;
                }
        }
        while (n > 0)
                hold_end(kept[--n]);
        *ret = socket.port.number;
        return r;
}

/* Frees those that the request has reserved before it failed. */
static void sockets_undo_bind(Sockets *s, size_t n_before) {
        while (s->n > n_before)
                sockets_forget(s, s->all[s->n - 1]);
}

static int sockets_bind_all(Sockets *s, const struct keeper_bind *m, uint16_t *ret_numbers) {
        const size_t n_before = s->n;
        union port_address address;
        int r;

        if (s->n + m->n > KEEPER_PORTS_MAX)
                return -ENOBUFS;
        r = port_address_read(m, &address);
        for (size_t i = 0; r >= 0 && i < m->n; i++)
                r = sockets_bind_one(s, m, &address, &ret_numbers[i]);
        if (r < 0)
                sockets_undo_bind(s, n_before);
        return r;
}

static int sockets_bind_number(
        Sockets *s, const struct keeper_bind *m, union port_address *address, uint16_t number) {
        const struct keeper_port port = { .number = number, .protocol = m->protocol };
        struct reserved_socket socket = { 0 };

        if (sockets_find(s, &port))
                return -EEXIST;
        if (address->any.sa_family == AF_INET6)
                address->in6.sin6_port = htons(number);
        else
                address->in.sin_port = htons(number);
        return sockets_try_bind(s, m, address, &socket);
}

/* All of these numbers. If one cannot be reserved, it is the first one in the reply. */
static int sockets_bind_numbers(Sockets *s, const struct keeper_bind_ports *m,
        const struct keeper_bind *plain, union port_address *address, struct keeper_bound *reply) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < m->n; i++) {
                r = sockets_bind_number(s, plain, address, m->numbers[i]);
                reply->numbers[r < 0 ? 0 : i] = m->numbers[i];
        }
        reply->n = r < 0 ? 1 : m->n;
        return r;
}

/* The first ones of the range that are free. */
static int sockets_bind_range(Sockets *s, const struct keeper_bind_ports *m, const struct keeper_bind *plain,
        union port_address *address, struct keeper_bound *reply) {
        for (unsigned number = m->first; number <= m->last && reply->n < m->n; number++) {
                int r = sockets_bind_number(s, plain, address, (uint16_t) number);

                if (r >= 0)
                        reply->numbers[reply->n++] = (uint16_t) number;
                else if (r != -EEXIST && r != -EADDRINUSE) {
                        reply->n = 0;
                        return r;
                }
        }
        if (reply->n == m->n)
                return 0;
        reply->n = 0;
        return -EADDRINUSE;
}

/* Returns a negative errno if the role's socket may go on receiving. */
static int sockets_rest(Sockets *s, struct reserved_socket *socket) {
        autofd fd = socket->hold_fd >= 0 ? hold_look_second(socket->hold_fd) : -EBADF;

        socket->child = 0;
        list_remove(&socket->of_child);
        sockets_changed(s, socket);
        socket->port.release = 0;
        return fd >= 0 ? port_socket_revoke(fd) : 0;
}

void sockets_rest_child(Sockets *s, ListLink *lent, const char *role) {
        struct reserved_socket *socket;

        while ((socket = LIST_FIRST(struct reserved_socket, of_child, lent))) {
                /* A child that is killed directly before its exec cannot give the port back, and another
                 * process may bind it first. */
                if (socket->hold_fd < 0) {
                        int fd = port_guard_open(socket->port.protocol, &socket->address, &socket->address);

                        socket->hold_fd = fd >= 0 ? hold_new(fd) : fd;
                }
                if (socket->hold_fd < 0) {
                        log_warning(
                                "Role %s died while it took over %s port %u, which is no longer reserved: %s",
                                role, port_protocol_name(&socket->port), socket->port.number,
                                strerror(-socket->hold_fd));
                        sockets_forget(s, socket);
                } else
                        (void) sockets_rest(s, socket);
        }
}

/* Nothing is left of the role that had the port, so its socket is closed everywhere, unless a process of
 * another one has it. That does no harm to TCP, where revoking it is final. */
static int sockets_take_back(Sockets *s, struct reserved_socket *socket) {
        const int revoked = sockets_rest(s, socket);
        autofd guard = socket->hold_fd >= 0 ? hold_look(socket->hold_fd) : -EBADF,
               had = socket->hold_fd >= 0 ? hold_look_second(socket->hold_fd) : -EBADF;
        uint64_t cookie = 0;
        int r;

        if (guard < 0 || had < 0)
                return 0;
        r = port_socket_cookie(had, &cookie);
        if (r >= 0)
                r = hold_replace(socket->hold_fd, &guard, 1);
        if (r < 0) {
                log_warning("Cannot close the socket that the last role had of %s port %u: %s",
                        port_protocol_name(&socket->port), socket->port.number, strerror(-r));
                return r;
        }
        (void) fd_close(fd_steal(&had));
        if (socket->port.protocol == KEEPER_TCP) {
                socket->kept = revoked < 0;
                return 0;
        }
        r = port_socket_exists(guard, cookie);
        if (r < 0)
                log_warning("Cannot ask the kernel whether a process has kept a socket of UDP port %u: %s",
                        socket->port.number, strerror(-r));
        socket->kept = r != 0;
        return 0;
}

void sockets_forget_child(ListLink *lent) {
        struct reserved_socket *socket;

        while ((socket = LIST_FIRST(struct reserved_socket, of_child, lent)))
                list_remove(&socket->of_child);
}

int sockets_on_bind(Sockets *s, const void *packet, size_t size, struct keeper_bound *ret) {
        const struct keeper_bind *m = packet;
        int r;

        if (size != sizeof(*m) || m->n == 0 || m->n > KEEPER_BIND_MAX || m->protocol > KEEPER_UDP)
                return -EBADMSG;

        *ret = (struct keeper_bound){ .header = { .type = KEEPER_BOUND } };
        r = sockets_bind_all(s, m, ret->numbers);
        if (r < 0)
                ret->error = r;
        else
                ret->n = m->n;
        return 0;
}

static bool bind_ports_is_valid(const struct keeper_bind_ports *m) {
        const bool range = m->first > 0;

        if (m->n == 0 || m->n > KEEPER_BIND_MAX || m->protocol > KEEPER_UDP)
                return false;
        if (range ? m->last < m->first || m->last - m->first >= (int) KEEPER_BIND_RANGE_MAX : m->last != 0)
                return false;
        for (size_t i = 0; i < KEEPER_BIND_MAX; i++)
                if ((m->numbers[i] != 0) != (!range && i < m->n))
                        return false;
        return true;
}

int sockets_on_bind_ports(Sockets *s, const void *packet, size_t size, struct keeper_bound *ret) {
        const struct keeper_bind_ports *m = packet;
        struct keeper_bind plain = { 0 };
        const size_t n_before = s->n;
        union port_address address;
        int r;

        if (size != sizeof(*m) || !bind_ports_is_valid(m))
                return -EBADMSG;

        *ret = (struct keeper_bound){ .header = { .type = KEEPER_BOUND } };
        plain.protocol = m->protocol;
        plain.ip_version = m->ip_version;
        memcpy(plain.address, m->address, sizeof(plain.address));
        r = s->n + m->n > KEEPER_PORTS_MAX ? -ENOBUFS : port_address_read(&plain, &address);
        if (r >= 0)
                r = m->first > 0 ? sockets_bind_range(s, m, &plain, &address, ret)
                                 : sockets_bind_numbers(s, m, &plain, &address, ret);
        if (r < 0) {
                sockets_undo_bind(s, n_before);
                ret->error = r;
        }
        return 0;
}

int sockets_on_ports(Sockets *s, const void *packet, size_t size, struct keeper_ports *ret_kept) {
        const struct keeper_ports *m = packet;
        const size_t ports_size = size - keeper_ports_size(0);
        size_t n_kept = 0;

        if (m->header.type != KEEPER_RELEASE_PORTS && m->header.type != KEEPER_REST_PORTS)
                return -EOPNOTSUPP;
        if (size > sizeof(*m) || ports_size % sizeof(m->ports[0]) != 0)
                return -EBADMSG;

        ret_kept->header = (struct keeper_header){ .type = KEEPER_PORTS_KEPT };
        for (size_t i = 0; i < ports_size / sizeof(m->ports[0]); i++) {
                struct reserved_socket *socket = sockets_find(s, &m->ports[i]);

                if (!socket)
                        continue;
                if (m->header.type == KEEPER_REST_PORTS) {
                        (void) sockets_take_back(s, socket);
                        if (!socket->kept)
                                continue;
                        log_warning("%s port %u is no longer reserved: a process has kept its socket",
                                port_protocol_name(&socket->port), socket->port.number);
                        ret_kept->ports[n_kept++] =
                                (struct keeper_port){ socket->port.number, socket->port.protocol, 0 };
                }
                sockets_forget(s, socket);
        }
        return (int) n_kept;
}

void sockets_release_all(Sockets *s) {
        while (s->n > 0)
                sockets_forget(s, s->all[s->n - 1]);
}

size_t sockets_tell(const Sockets *s, size_t left, struct keeper_ports *ret) {
        const size_t n = left < KEEPER_PORTS_PACKET ? left : KEEPER_PORTS_PACKET;

        *ret = (struct keeper_ports){ .header = { .type = KEEPER_PORTS } };
        for (size_t i = 0; i < n; i++)
                /* A port that a child has released since the HELLO is reported as number 0. */
                if (left - n + i < s->n)
                        ret->ports[i] = s->all[left - n + i]->port;
        return n;
}

/* Returns what the child receives: a new socket, or the guard itself if its exec releases the port. */
static int sockets_open_for(Sockets *s, struct reserved_socket *socket, bool release) {
        int r = sockets_take_back(s, socket);

        if (r < 0 || socket->kept)
                return r < 0 ? r : -EADDRINUSE;
        autofd guard = hold_look(socket->hold_fd);
        return guard < 0 || release ? fd_steal(&guard) : port_socket_open(socket->port.protocol, guard);
}

/* From now on the keeper can revoke the socket, also the next keeper. */
static int sockets_remember(const struct reserved_socket *socket, int fd) {
        autofd guard = hold_look(socket->hold_fd);

        return guard < 0 ? guard : hold_replace(socket->hold_fd, (int[]){ guard, fd }, 2);
}

int sockets_lend(Sockets *s, uint64_t child, ListLink *lent, const struct keeper_port *ports, size_t n,
        struct child_sockets *ret) {
        struct reserved_socket *found[KEEPER_FORK_PORTS_MAX];
        size_t n_found = 0;
        int r = 0;

        ret->n = ret->n_handed = 0;
        ret->release_fd = -EBADF;
        for (; r >= 0 && n_found < n; n_found++) {
                struct reserved_socket *socket = sockets_find(s, &ports[n_found]);

                if (!socket || socket->hold_fd < 0)
                        r = -EADDRNOTAVAIL;
                else if (socket->child != 0)
                        r = -EBUSY; /* also if it is named twice */
                else
                        r = sockets_open_for(s, socket, ports[n_found].release);
                if (r < 0)
                        break;
                ret->fds[ret->n++] = r;
                ret->ports[n_found] = ports[n_found];
                found[n_found] = socket;
                socket->child = child;
                if (!ports[n_found].release)
                        ret->n_handed++;
        }
        for (size_t i = 0; r >= 0 && i < ret->n_handed; i++)
                r = sockets_remember(found[i], ret->fds[i]);
        for (size_t i = 0; i < n_found; i++)
                if (r < 0)
                        found[i]->child = 0;
                else {
                        list_append(lent, &found[i]->of_child);
                        sockets_changed(s, found[i]);
                        found[i]->port.release = ports[i].release;
                }
        if (r < 0)
                child_sockets_close(ret);
        return r < 0 ? r : 0;
}

int sockets_on_handover(Sockets *s, uint64_t child, ListLink *lent, int fd) {
        struct keeper_handover m;
        struct reserved_socket *socket;
        int received = -EBADF;
        size_t n_fds = 1;
        ssize_t n;

        n = socket_recv(fd, &m, sizeof(m), &received, &n_fds);
        if (n == -EAGAIN)
                return 0;
        if (n != sizeof(m)) {
                if (n > 0 && n_fds > 0)
                        (void) fd_close(received);
                return n < 0 ? (int) n : -ECONNRESET;
        }

        if (m.port.number == 0) {
                LIST_FOREACH (struct reserved_socket, of_child, given, lent)
                        if (given->port.release) {
                                hold_end(given->hold_fd);
                                given->hold_fd = -EBADF;
                        }
                return socket_send(fd, &m, sizeof(m), NULL, 0) < 0 ? -ECONNRESET : 1;
        }

        socket = sockets_find(s, &m.port);
        if (n_fds == 1 && socket && socket->child == child && socket->hold_fd < 0)
                socket->hold_fd = hold_new(received);
        else if (n_fds == 1)
                (void) fd_close(received); /* released in the meantime */
        return 1;
}

void sockets_released(Sockets *s, ListLink *lent) {
        LIST_FOREACH_SAFE (struct reserved_socket, of_child, socket, lent)
                if (socket->port.release)
                        sockets_forget(s, socket);
}

/* An older keeper has lent the only socket that it had of a port. */
static int sockets_convert(const struct reserved_socket *socket) {
        autofd guard = hold_look(socket->hold_fd);
        int r = guard < 0 ? guard : socket->child != 0 ? -EADDRINUSE : port_guard_adopt(guard);

        if (r >= 0)
                return socket->hold_fd;
        hold_end(socket->hold_fd);
        return r;
}

int sockets_take_over(Sockets *s, const struct reserved_socket *socket, ListLink *lent) {
        struct reserved_socket own = *socket, *added;
        bool old;
        int r;

        if (own.hold_fd >= 0) {
                own.hold_fd = hold_adopt(own.hold_fd, &old);
                if (own.hold_fd >= 0 && old)
                        own.hold_fd = sockets_convert(&own);
                if (own.hold_fd == -ENODATA)
                        return 0; /* it was released, but systemd still stored it */
                if (own.hold_fd < 0) {
                        log_error("Cannot take over port %u, which is no longer reserved: %s",
                                own.port.number, strerror(-own.hold_fd));
                        return 0;
                }
        }
        r = sockets_add(s, &own, &added);
        if (r == -EEXIST) {
                /* Older keepers could reserve a number twice, on two addresses. The second one could not be
                 * used. */
                hold_end(own.hold_fd);
                return 0;
        }
        if (r < 0)
                (void) fd_close(own.hold_fd);
        else if (lent)
                list_append(lent, &added->of_child);
        return r;
}
