/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reserved ports are bound sockets that outlive the node and the roles that use them. The keeper creates
 * them, because the restrictions of a sandbox on the creator of a socket stay with the socket.
 *
 * What a role has had is never lent again. Each role has a socket of its own beside the guard
 * (port-socket.h); both are in the hold of the port, so that the socket can be revoked when the role ends,
 * also by the next keeper. The structs are plain values, one for each port, which can be written and read
 * back. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/id-map.h"
#include "base/list.h"
#include "keeper/exec/exec-parameters.h"
#include "keeper/port-socket.h"
#include "keeper/shelf.h"
#include "proto/keeper-protocol.h"

struct reserved_socket {
        struct keeper_port port;
        int hold_fd; /* hold.h; negative if its child is about to exec and has it */
        union port_address address;
        uint64_t child;    /* the child to which it is lent, until the child ends; 0 if there is none */
        ListLink of_child; /* in the list of the ports of one child */
        size_t index;
        bool kept; /* a process has kept the socket of a role, so no other role can have the port */
        ShelfPlace on_shelf;
        uint64_t stored; /* without shelves, the inode that systemd stores; 0 if there is none */
        /* In Sockets.changed, if what is stored may be out of date, or in Sockets.forgotten. */
        ListLink to_store;
};

typedef struct Sockets {
        struct reserved_socket **all; /* not sorted */
        size_t n;
        size_t room;
        IdMap by_port;
        ListLink changed;
        ListLink forgotten; /* released, but still stored by systemd */
} Sockets;

void sockets_init(Sockets *s);

/* Returns NULL if the port is not reserved. */
struct reserved_socket *sockets_find(const Sockets *s, const struct keeper_port *port);

/* Handle requests of any size and contents. Return -EBADMSG if the packet is malformed, -EOPNOTSUPP if the
 * type is not one of these. */
int sockets_on_bind(Sockets *s, const void *packet, size_t size, struct keeper_bound *ret);
int sockets_on_bind_ports(Sockets *s, const void *packet, size_t size, struct keeper_bound *ret);
/* Returns how many ports are no longer reserved because a process has kept the socket of a role, in
 * ret_kept. */
int sockets_on_ports(Sockets *s, const void *packet, size_t size, struct keeper_ports *ret_kept);

void sockets_release_all(Sockets *s);

/* Stores as many of the last left ports as fit into one packet. Returns their number. */
size_t sockets_tell(const Sockets *s, size_t left, struct keeper_ports *ret);

/* The ports of a child are in a list of its own, lent; these functions find no other ports.
 *
 * The child has ended. Its ports remain reserved, but connections are refused and datagrams dropped. */
void sockets_rest_child(Sockets *s, ListLink *lent, const char *role);
/* The child is forgotten, and may run nevertheless (an orphan). Its ports stay lent to its number until the
 * node has them rested. */
void sockets_forget_child(ListLink *lent);

/* Lends all ports or none to the child that is created next. Returns -EADDRNOTAVAIL if one is not reserved,
 * -EBUSY if another child has it, -EADDRINUSE if a process has the socket of a previous role. */
int sockets_lend(Sockets *s, uint64_t child, ListLink *lent, const struct keeper_port *ports, size_t n,
        struct child_sockets *ret);

/* Reads one packet of a child from the keeper's end of its release_fd. Returns 1 to continue, 0 if there is
 * none now, negative if the other end is closed. */
int sockets_on_handover(Sockets *s, uint64_t child, ListLink *lent, int fd);
/* The child has passed its exec, so the ports are free. */
void sockets_released(Sockets *s, ListLink *lent);

/* Takes over a port of another keeper. Takes ownership of hold_fd, also on failure. lent is the list of the
 * child that has the port, or NULL. Returns a negative errno. */
int sockets_take_over(Sockets *s, const struct reserved_socket *socket, ListLink *lent);
