/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Starts are accepted and queued here, and begun as MaxConcurrentStarts allows. */

#include "model/node.h"

/* Creates a role in the state starting and queues it, after the definitions that it depends on and that do
 * not run. If it returns 0, the waiter is called exactly once. If it fails, nothing has begun; it fills the
 * fault and does not call the waiter. */
int node_start_role(Node *node, const char *name, RoleSpec *spec /* owned by the role if the call succeeds */,
        const Caller *caller, Waiter waiter, Fault *fault);

/* The same for the role of this name as it is defined. use: of the lease that it may have (leases.h).
 * automatic: AutoStart= starts it. Fails with
 * NoSuchDefinition or BadDefinition, too. */
int node_start_defined(Node *node, const char *name, const LeaseUse *use, const Caller *caller,
        bool automatic, Waiter waiter, Fault *fault);

/* Between the two, which a caller uses for many roles at once, no start begins, so that each sees the others
 * that it is after, and auto-start.h saves nothing. They nest. Replies come after the last one. */
void node_hold_starts(Node *node);
void node_release_starts(Node *node);

/* Starts an ended role again, because its policy wants that and its time has come. If that fails, the policy
 * decides what follows. May free the role. */
void node_restart_role(Node *node, Role *predecessor);

/* Checks what does not depend on polkit, for a caller who is not root: whether the name is free for this
 * user, the options that only root may use, and how many roles of the user there are. node_start_role()
 * checks it again. */
int node_check_user_start(
        Node *node, const char *name, const RoleSpec *spec, const Caller *caller, Fault *fault);

/* The same for a role that such a caller starts by its definition: how many he starts. */
int node_check_defined_start(Node *node, const char *name, const Caller *caller, Fault *fault);

/* Begins the queued starts that can begin, because a slot is free or the keeper is connected. */
void node_pump_starts(Node *node);
