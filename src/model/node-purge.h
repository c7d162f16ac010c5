/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Removes ended roles, because of a call, of the option "remove", or of MaxEndedRoles. */

#include "model/node.h"

/* Purges all of the named roles or none; without names, every role that can be purged and that use (leases.h,
 * NULL for none) permits. Returns their names (a GStrv that the caller frees) in *ret. Fails with NoSuchRole,
 * RoleRunning or LeaseRequired. */
int node_purge(
        Node *node, char **names, const LeaseUse *use, const Caller *caller, char ***ret, Fault *fault);
/* The role must have ended and must be swept. Adds the event, sends it, and frees the role. */
void node_purge_role(Node *node, Role *role, const Caller *caller);

/* Purges the oldest ended roles beyond MaxEndedRoles. */
void node_trim_ended(Node *node);
