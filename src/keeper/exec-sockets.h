/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The reserved ports that a child takes with it into its exec. All of it fails through the gate. */

#include "keeper/sockets.h"

/* Those to be handed over to 3, 4, …, out of the way of everything the set-up opens; the other descriptors make room. */
void exec_sockets_arrange(int *gate_fd, int *const *others, size_t n_others, struct child_sockets *sockets);

/* LISTEN_FDS and what goes with it, instead of whatever the environment has of these names; *env stays as it is without
 * ports. */
int exec_sockets_environment(const struct child_sockets *sockets, char ***env);

/* All that must stay open up to the exec, with the gate. ret has room for KEEPER_FORK_PORTS_MAX + 2. */
size_t exec_sockets_keep(int gate_fd, const struct child_sockets *sockets, int *ret);

/* Directly before the exec: listens, and lets the keeper let go of what is to be released. */
void exec_sockets_open(int gate_fd, struct child_sockets *sockets);

/* A child that fails gives back what it had taken over. */
void exec_sockets_give_back(void);
