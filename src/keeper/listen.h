/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Addresses of local sockets, on which the keeper listens, on which requests are sent to it, and on which it
 * sends to systemd. */

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#define LISTEN_FD 3 /* SD_LISTEN_FDS_START */

/* Parses a path, or an abstract address with an @ in front, as in systemd. Returns a negative errno. */
int socket_address(const char *path, struct sockaddr_un *ret, socklen_t *ret_size);

/* Returns a datagram socket that is connected to $NOTIFY_SOCKET, -ENODATA if the variable is not set, or
 * another negative errno. flags are those of socket(2); CLOEXEC is always set. */
int notify_connect(int flags);

int listen_at(const char *path);

/* Returns the descriptor among those of systemd ($LISTEN_FDS) that listens. The others are those that systemd
 * has stored; ret_n is the number of all, and ret_names their names ($LISTEN_FDNAMES), which the caller
 * frees. Returns -ENOENT if nothing was passed. */
int listen_inherited(uint32_t *ret_n, char **ret_names);

/* Makes the keeper that listens there replace itself. Returns a negative errno. */
int ask_reexec(const char *path);
