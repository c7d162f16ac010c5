/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which role a process belongs to. */

#include <sys/types.h>

#include "model/node.h"

/* Returns the role in whose scope or in whose stray the process is, or that it is the main process of; NULL
 * if there is none. */
Role *node_role_of_process(const Node *node, pid_t pid);

/* The same for the nearest of its ancestors that belongs to a role. */
Role *node_role_of_ancestor(const Node *node, pid_t pid);

/* Looks for strays of that role if the process itself belongs to none yet. */
Role *node_find_role_of_process(Node *node, pid_t pid);
