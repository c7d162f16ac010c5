/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The reserved ports that a child takes with it into its exec. */

#include "keeper/exec/exec-parameters.h"

/* Those that the role gets to 3, 4, …, out of the way of everything the set-up opens; the other descriptors make room. Fails
 * through the gate. */
void exec_sockets_arrange(ExecParameters *p);

/* LISTEN_FDS and what goes with it, instead of whatever the environment has of these names; *env stays as it is without
 * ports. */
int exec_sockets_environment(const struct child_sockets *sockets, char ***env);

/* All that must stay open up to the exec, with the gate. ret has room for EXEC_SOCKETS_KEEP_MAX. Returns their number. */
#define EXEC_SOCKETS_KEEP_MAX (KEEPER_FORK_PORTS_MAX + 2)
size_t exec_sockets_keep(const ExecParameters *p, int *ret);

/* Directly before the exec: listens, and has the keeper let go of what is to be released. Fails through the gate. */
void exec_sockets_open(const ExecParameters *p);
