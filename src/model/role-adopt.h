/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Finds out what a damaged role is, see role-damage.h, when the keeper lists its children. */

#include "model/listed-child.h"

/* A child of the keeper that no saved role has. Returns whether it is kept for a damaged role, which then has
 * its descriptors. */
bool node_keep_listed(Node *node, ListedChild *listed);

/* The list is complete: decides what the role is, and goes on with it. Does nothing for a role that is not
 * damaged. May free the role. */
void role_adopt(Role *role);

/* The connection is lost, and another list follows. */
void role_forget_listed(Role *role);
