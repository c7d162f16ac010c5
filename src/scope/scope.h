/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* This room creates the scopes of the roles in batches, removes and signals them, and determines why they
 * ended and the state of their cgroups (ScopeOps of model/world.h). No other room calls systemd about
 * roles. */

#include "model/node.h"
#include "scope/manager.h"

typedef struct Scopes Scopes;

/* Attaches itself to the node. own_unit and keeper_unit determine the order at shutdown and may be NULL.
 * Returns a negative errno. */
int scopes_new(Manager *manager, Node *node, const char *own_unit, const char *keeper_unit, Scopes **ret);

/* Detaches itself. It must be freed before the node. */
Scopes *scopes_free(Scopes *scopes);
