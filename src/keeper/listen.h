/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The socket on which the keeper listens, the connections to it and to those of terminals, and a request that
 * another process sends there. */

#include <limits.h>
#include <stdint.h>
#include <sys/types.h>

#define LISTEN_FD 3 /* SD_LISTEN_FDS_START */

int listen_at(const char *path);

/* Returns the descriptor among those of systemd ($LISTEN_FDS) that listens. The others are those that systemd
 * has stored; ret_n is the number of all, and ret_names their names ($LISTEN_FDNAMES), which the caller
 * frees. Returns -ENOENT if nothing was passed. */
int listen_inherited(uint32_t *ret_n, char **ret_names);

/* Accepts a connection of this user and returns its descriptor (CLOEXEC); flags are more flags of accept4(2).
 * Returns -EPERM if it was of another user and is closed, -EAGAIN if there is none any more, or another
 * negative errno if there is no descriptor or no memory for it now. */
int accept_from(int listen_fd, uid_t uid, int flags);

/* Stores the directory for the sockets of one kind of a keeper that listens on this socket: for
 * /run/architect-keeper/main and "architect-terminal" it is /run/architect-terminal/main. Returns a negative
 * errno. */
int socket_directory(int listen_fd, const char *beside, char ret[static PATH_MAX]);
/* Makes it, and the one above it, unless it exists. Every user may traverse it, and only that of the keeper
 * may change it; with the mode 0711 no other may list it. Returns -EPERM if it is another one. */
int socket_directory_make(const char *directory, mode_t mode);

/* Makes the keeper that listens there replace itself. Returns a negative errno. */
int ask_reexec(const char *path);
