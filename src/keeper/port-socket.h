/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The sockets of a reserved port. The guard holds the reservation. It never listens, never receives and is
 * never lent. Each role has a socket of its own beside it, which is made for it and revoked when it ends.
 *
 * The kernel permits both at once because both have SO_REUSEPORT and the same owner. In the service of the
 * system that is a uid that no process has, so that no other program, also of root, can add a socket to them.
 * An option that the role sets on its socket, such as SO_REUSEADDR, does not change the guard, with which
 * every other socket conflicts. Connections of previous roles, which the kernel remembers for 60 s, have
 * SO_REUSEPORT as well and so do not conflict. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

union port_address {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
};

uint16_t port_address_number(const union port_address *address);

/* All functions return a negative errno on failure. protocol is a KeeperPortProtocol. */

/* Reserves a number that the kernel chooses, if that of the address is 0. No other socket has the port, not
 * even with SO_REUSEPORT. Returns the guard. */
int port_guard_open(uint8_t protocol, const union port_address *address, union port_address *ret);

/* Makes the socket of an older keeper, which other keepers have lent, a guard. */
int port_guard_adopt(int fd);

/* Returns a socket for one role. A UDP socket drops all datagrams until its filter is detached. Fails with
 * -EADDRINUSE if a socket of a previous role prevents it. */
int port_socket_open(uint8_t protocol, int guard_fd);

/* The role has ended, but another process may have the same socket, now or later. It will receive nothing
 * from this port any more, whatever that process sets on it. A UDP socket must also be closed everywhere,
 * because its owner can undo a part of this (see port_socket_exists()). Fails if the owner has prevented
 * it. */
int port_socket_revoke(int fd);

/* Returns whether any process still has this UDP socket of the port, according to the kernel. The cookie
 * identifies it. */
int port_socket_cookie(int fd, uint64_t *ret);
int port_socket_exists(int guard_fd, uint64_t cookie);
