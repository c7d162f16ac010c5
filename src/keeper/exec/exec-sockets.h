/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The reserved ports that a child passes through its exec. */

#include "keeper/exec/exec-parameters.h"

/* Moves the ports of the role to the descriptors 3, 4, …, which all other descriptors must leave free. Fails
 * through the gate. */
void exec_sockets_arrange(ExecParameters *p);

/* Sets LISTEN_FDS and the variables that belong to it, and removes previous values of these names. *env does
 * not change if there are no ports. Returns a negative errno. */
int exec_sockets_environment(const struct child_sockets *sockets, char ***env);

/* Stores all descriptors that must stay open until the exec, including the gate. ret has room for
 * EXEC_SOCKETS_KEEP_MAX. Returns their number. */
#define EXEC_SOCKETS_KEEP_MAX (KEEPER_FORK_PORTS_MAX + 2)
size_t exec_sockets_keep(const ExecParameters *p, int *ret);

/* Listens, and makes the keeper close the ports that are to be released. Called directly before the exec.
 * Fails through the gate. */
void exec_sockets_open(const ExecParameters *p);
