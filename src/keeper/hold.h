/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A hold is a packet with descriptors in the queue of a socket. All processes that have the socket, by a fork
 * or because systemd stores it, share this queue. When one of them empties it, none has the descriptors any
 * more, so a reserved port is free at the moment when it is released. With the socket of the port itself this
 * would not work: a child that has just been cloned has a copy until it runs, and systemd (257 at least, see
 * asynchronous_close() in its service.c) closes descriptors that leave its store later, in a process of its
 * own. In the same way a keeper that dies leaves its successor what it held at that moment.
 *
 * The socket is connected to itself, so that whoever has it can replace the packet.
 *
 * The descriptors count against the limit of their user (unix(7), ETOOMANYREFS). If root runs the keeper,
 * they are counted for a user of its own (hold_user()), so that other services of root are not concerned.
 * With more than 1,024 ports other programs of an ordinary user, with the usual limit, cannot pass
 * descriptors to each other. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A guard, and the socket that a role has, if any (port-socket.h). */
#define HOLD_MAX 2U

/* The user for whom the kernel counts what a keeper of root holds. No system gives these numbers to a user;
 * see UIDS-GIDS of systemd, which leaves all from 2147483648 on to nobody. */
static inline uid_t hold_user(pid_t keeper) {
        return 0xF0000000U + (uid_t) keeper;
}

/* Makes a pipe (pipe2(2) with O_CLOEXEC) whose pages are counted for that user. From 1,024 pipes on
 * (pipe-user-pages-soft in pipe(7)) every new pipe of their user has two pages only, unless its maker has
 * CAP_SYS_RESOURCE or CAP_SYS_ADMIN, which most services of root do not have. */
int hold_pipe(int ret[static 2]);

/* Returns an empty hold, or a negative errno. */
int hold_open(void);
/* Takes ownership of fd, also on failure. */
int hold_new(int fd);

/* Returns a copy of the descriptor, the first one or the second one. Returns -ENODATA if there is none,
 * -ENOTSOCK if hold_fd is no such socket. */
int hold_look(int hold_fd);
int hold_look_second(int hold_fd);

/* Replaces the descriptors of the hold by these. On failure they are unchanged. */
int hold_replace(int hold_fd, const int *fds, size_t n);

/* The same with a packet of the caller, which begins with a number that identifies it, chosen here, and with
 * up to SOCKET_FDS_MANY descriptors. */
int hold_replace_packet(int hold_fd, uint64_t *packet, size_t size, const int *fds, size_t n);

/* Removes all descriptors from the hold. */
void hold_empty(int hold_fd);

/* Empties and closes the hold. Does nothing if hold_fd is negative. */
void hold_end(int hold_fd);

/* Takes over a descriptor from another process of the keeper. An older one may have had the descriptor
 * itself, or a hold that cannot be replaced. Takes ownership of fd, also on failure. Returns -ENODATA if the
 * hold was emptied; *ret_old tells whether an older keeper has made it. */
int hold_adopt(int fd, bool *ret_old);
