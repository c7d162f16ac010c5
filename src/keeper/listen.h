/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The socket on which the keeper listens, and a request that another process sends there. */

#include <stdint.h>

#define LISTEN_FD 3 /* SD_LISTEN_FDS_START */

int listen_at(const char *path);

/* Returns the descriptor among those of systemd ($LISTEN_FDS) that listens. The others are those that systemd
 * has stored; ret_n is the number of all, and ret_names their names ($LISTEN_FDNAMES), which the caller
 * frees. Returns -ENOENT if nothing was passed. */
int listen_inherited(uint32_t *ret_n, char **ret_names);

/* Makes the keeper that listens there replace itself. Returns a negative errno. */
int ask_reexec(const char *path);
