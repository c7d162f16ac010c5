/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Starts are accepted and queued here, and begun as MaxConcurrentStarts allows. */

#include "model/node.h"

/* Creates a role in the state starting and queues it. If it returns 0, the waiter is called exactly once. If
 * it fails, it fills the fault and does not call the waiter. */
int node_start_role(Node *node, const char *name, RoleSpec *spec /* owned by the role if the call succeeds */,
        const Caller *caller, Waiter waiter, Fault *fault);

/* Checks what does not depend on polkit, for a caller who is not root: whether the name is free for this
 * user, the options that only root may use, and how many roles of the user there are. node_start_role()
 * checks it again. */
int node_check_user_start(
        Node *node, const char *name, const RoleSpec *spec, const Caller *caller, Fault *fault);

/* Begins the queued starts that can begin, because a slot is free or the keeper is connected. */
void node_pump_starts(Node *node);
