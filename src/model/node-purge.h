/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Ended roles: forgotten by a call, by the option "remove", or because there are more than MaxEndedRoles. */

#include "model/node.h"

/* All or none of the named ones; names empty: every one that can be. Returns the purged names (a GStrv) in *ret. */
int node_purge(Node *node, char **names, const Caller *caller, char ***ret, Fault *fault);
void node_purge_role(Node *node, Role *role, const Caller *caller);

/* The oldest beyond MaxEndedRoles. */
void node_trim_ended(Node *node);
