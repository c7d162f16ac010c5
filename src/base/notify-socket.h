/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Addresses of local sockets, and the socket on which systemd takes notifications (sd_notify(3)). sd_notify()
 * itself is not used: it blocks while the queue of that socket is full, which lasts as long as systemd is
 * busy. */

#include <sys/socket.h>
#include <sys/un.h>

/* Parses a path, or an abstract address with an @ in front, as in systemd. Returns a negative errno. */
int socket_address(const char *path, struct sockaddr_un *ret, socklen_t *ret_size);

/* Returns a datagram socket that is connected to $NOTIFY_SOCKET and does not block, -ENODATA if the variable
 * is not set, or another negative errno. */
int notify_connect(void);
