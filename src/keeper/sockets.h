/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reserved ports: bound sockets that outlive the node and the roles they are handed to. The keeper makes them, since what a
 * sandbox does to the maker of a socket sticks to it.
 *
 * Never SO_REUSEADDR, never SO_REUSEPORT: with one of them on, even for a moment, somebody else can bind the same port.
 * Plain values, one a port: they can be written down and read back. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/id-map.h"
#include "base/list.h"
#include "keeper/exec/exec-parameters.h"
#include "proto/keeper-protocol.h"

union port_address {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
};

struct reserved_socket {
        struct keeper_port port;
        int hold_fd; /* hold.h; negative: its child is about to exec, and has it */
        union port_address address;
        uint64_t child;    /* whom it has been lent to, until that ends; 0: nobody */
        ListLink of_child; /* in the list of those that the same child has */
        size_t index;
        uint64_t stored; /* the inode that systemd keeps for us; 0: none */
        ListLink
                to_store; /* in Sockets.changed, where that may not be true any more, or in Sockets.forgotten */
};

typedef struct Sockets {
        struct reserved_socket **all; /* in no order */
        size_t n;
        size_t room;
        IdMap by_port;
        ListLink changed;
        ListLink forgotten; /* released, and systemd still has them */
} Sockets;

void sockets_init(Sockets *s);

/* NULL: it is not reserved. */
struct reserved_socket *sockets_find(const Sockets *s, const struct keeper_port *port);

/* Requests, of any size and contents: -EBADMSG, and it is none of ours: -EOPNOTSUPP. */
int sockets_on_bind(Sockets *s, const void *packet, size_t size, struct keeper_bound *ret);
int sockets_on_ports(Sockets *s, const void *packet, size_t size);

/* As many of the last so many as one packet takes; returns their number. */
size_t sockets_tell(const Sockets *s, size_t left, struct keeper_ports *ret);

/* What a child has is in a list of its own, lent: these find nothing else.
 *
 * The child has ended: bound, and nothing else. Connections are refused, datagrams dropped. */
void sockets_rest_child(Sockets *s, ListLink *lent, const char *role);

/* All or none, to the child that is made next. -EADDRNOTAVAIL: not reserved; -EBUSY: another child has it. */
int sockets_lend(Sockets *s, uint64_t child, ListLink *lent, const struct keeper_port *ports, size_t n,
        struct child_sockets *ret);

/* One packet of a child on its release_fd, read by the keeper at its end of it. 1: go on; 0: there is none now; negative: the
 * other end is gone. */
int sockets_on_handover(Sockets *s, uint64_t child, ListLink *lent, int fd);
/* It has executed its command: they are free. */
void sockets_released(Sockets *s, ListLink *lent);

/* One that another keeper had; hold_fd is taken, also on failure. lent: of the child that has it, or NULL. */
int sockets_take_over(Sockets *s, const struct reserved_socket *socket, ListLink *lent);
