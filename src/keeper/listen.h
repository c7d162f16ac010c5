/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Addresses of local sockets: where the keeper listens, and where it is asked. */

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#define LISTEN_FD 3 /* SD_LISTEN_FDS_START */

/* Also abstract ones, as systemd writes them: with an @ in front. */
int socket_address(const char *path, struct sockaddr_un *ret, socklen_t *ret_size);

int listen_at(const char *path);

/* Among what systemd hands over ($LISTEN_FDS) the one that listens; the others are what it has kept for us: all of them, by number
 * and by names ($LISTEN_FDNAMES, to be freed). -ENOENT: nothing was handed over. */
int listen_inherited(uint32_t *ret_n, char **ret_names);

/* Has the keeper that listens there replace itself. */
int ask_reexec(const char *path);
