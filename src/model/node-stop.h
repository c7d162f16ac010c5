/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Stop, Kill, Signal and Shutdown. */

#include "model/node.h"
#include "model/role.h"

/* Stop or kill: the waiter is told, exactly once, perhaps before this returns. */
void node_stop_role(Node *node, Role *role, RoleCause cause, const Caller *caller, Waiter waiter);

int node_signal_role(
        Node *node, Role *role, bool all, int signo, const Caller *caller, Waiter waiter, Fault *fault);

/* Stops everything, then ServiceOps.finished(). A second call joins the first. */
void node_shutdown(Node *node, const char *reason, const Caller *caller);

/* Ends the shutdown that a crash has interrupted, if there is one. */
void node_resume_shutdown(Node *node);

/* Whether one is under way, or is about to be resumed. */
bool node_is_shutting_down(const Node *node);

/* Whether the shutdown under way is done: nothing is left but what does not die. */
void node_check_finished(Node *node);
