/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Starts: accepted, queued, begun as MaxConcurrentStarts allows. */

#include "model/node.h"

/* Makes a role in starting and queues it. Once it returns 0 the waiter will be told, exactly once. */
int node_start_role(Node *node, const char *name, RoleSpec *spec /* taken on success */, const Caller *caller,
        Waiter waiter, Fault *fault);

/* Begins what can be begun: a slot is free, or the keeper is back. */
void node_pump_starts(Node *node);
