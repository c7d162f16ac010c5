/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The scopes of the roles (ScopeOps of model/world.h): made in batches, removed, signalled, asked why they ended; and what
 * their cgroups say. The only room that knows how systemd is to be talked to about roles. */

#include "model/node.h"
#include "scope/manager.h"

typedef struct Scopes Scopes;

/* Attaches itself to the node. own_unit, keeper_unit: for the order at shutdown; may be NULL. */
int scopes_new(Manager *manager, Node *node, const char *own_unit, const char *keeper_unit, Scopes **ret);

/* Detaches itself: to be freed before the node. */
Scopes *scopes_free(Scopes *scopes);
