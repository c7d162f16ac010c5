/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A shelf is a hold (hold.h) for the descriptors of many children and ports. systemd stores the shelf, and
 * not what is on it, because it compares each new descriptor with all that it has. What is put on a shelf
 * that is stored already, or taken from it, is no matter of systemd: the keeper replaces the packet in the
 * queue. At every moment the queue has the old packet or the new one, so nothing that both have can be lost.
 *
 * A packet has 253 descriptors at most, a constant of the kernel (SCM_MAX_FD). A shelf has one packet only,
 * so the limits of a queue do not matter: 253 items are 4 KiB, while SO_SNDBUF is 208 KiB, and
 * net.unix.max_dgram_qlen does not apply to a socket that is connected to itself (unix_dgram_sendmsg()).
 * Nothing depends on the order of the packets, which is why it is not one long queue: only the first packet
 * of a queue can be removed.
 *
 * Descriptors in a queue count against the limit of their user (unix(7), ETOOMANYREFS), and the kernel
 * enforces it for everybody who has neither CAP_SYS_RESOURCE nor CAP_SYS_ADMIN in the first user namespace.
 * For whom they are counted is in hold.h.
 * So shelves are used where shelves_are_free() only. The garbage collector of the kernel looks at the AF_UNIX
 * sockets in a queue, which are those of terminals and notifications and the holds of ports, but not at
 * pidfds and pipes. It keeps them as long as systemd or the keeper has the shelf open. Before Linux 6.10 it
 * walks through all of them whenever any process closes an AF_UNIX socket. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/fd-util.h"
#include "base/list.h"

/* What can be on a shelf for one child or port. */
#define SHELF_WEIGHT_MAX 9U
#define SHELF_MAX ((size_t) SOCKET_FDS_MANY)

struct shelf_item {
        uint64_t id;
        uint32_t kind; /* StoreKind */
        uint32_t reserved;
};

/* What is in the queue. */
struct shelf_packet {
        uint64_t serial; /* see hold_replace_packet() */
        struct shelf_item items[SHELF_MAX];
};

/* The contents of a shelf while they are collected or after they were read. */
typedef struct ShelfContents {
        struct shelf_packet packet;
        int fds[SHELF_MAX];
        size_t n;
} ShelfContents;

typedef enum ShelfList {
        SHELF_CHILDREN,
        SHELF_PORTS,
        _SHELF_LIST_MAX,
} ShelfList;

typedef struct Shelf {
        ListLink link;                   /* in Shelves.all */
        ListLink changed;                /* in Shelves.changed */
        ListLink lists[_SHELF_LIST_MAX]; /* ShelfPlace.link */
        uint64_t id;                     /* its number while systemd has it */
        size_t weight;                   /* of all that are on it; not more than SHELF_MAX */
        int hold_fd;
        bool stored; /* systemd has it */
} Shelf;

/* Where a child or a port is. All zeroes if it is on no shelf. */
typedef struct ShelfPlace {
        ListLink link;
        Shelf *shelf;
        size_t weight;
} ShelfPlace;

typedef struct Shelves {
        ListLink all;     /* Shelf.link, those with room first */
        ListLink changed; /* Shelf.changed, to be written */
        uint64_t last_id;
} Shelves;

void shelves_init(Shelves *s);

/* Makes an empty shelf, so that the first child does not need another descriptor. Returns a negative errno.
 */
int shelves_prepare(Shelves *s);

/* Whether descriptors in a queue are of no consequence for the other programs of this user. */
bool shelves_are_free(void);

/* Puts it on a shelf that has room, or on a new one, for this many descriptors. What is on one already stays
 * there. In both cases the shelf is to be written again. Returns -ENOMEM or another negative errno. */
int shelves_put(Shelves *s, ShelfPlace *place, ShelfList list, size_t weight);
/* Does nothing if it is on no shelf. */
void shelves_take(Shelves *s, ShelfPlace *place);
bool shelf_is_empty(const Shelf *shelf);
/* Removes an empty shelf, unless it is the last one, which stays for the next child. */
void shelves_remove(Shelves *s, Shelf *shelf);

void shelf_contents_add(ShelfContents *contents, uint32_t kind, uint64_t id, int fd);
/* Replaces what is on the shelf. Returns -ETOOMANYREFS or another negative errno if nothing has changed. */
int shelf_write(const Shelf *shelf, ShelfContents *contents);
/* Reads what is on a shelf of another keeper, with descriptors of our own, and leaves it there. Returns
 * -EBADMSG if this is no shelf. */
int shelf_read(int hold_fd, ShelfContents *ret);
