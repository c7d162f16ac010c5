/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Stop, Kill, Signal and Shutdown. */

#include "model/node.h"
#include "model/role.h"

/* Stops or kills the role. The waiter is called exactly once, possibly before this function returns. */
void node_stop_role(Node *node, Role *role, RoleCause cause, const Caller *caller, Waiter waiter);

/* Sends a signal to the main process, or to all processes. The waiter is called when it was sent. Fails with
 * RoleNotRunning, or with KeeperUnavailable if the keeper that is the parent of the main process has died;
 * then the waiter is not called. */
int node_signal_role(
        Node *node, Role *role, bool all, int signo, const Caller *caller, Waiter waiter, Fault *fault);

/* Stops all roles, then calls ServiceOps.finished(). A second call has no further effect. */
void node_shutdown(Node *node, const char *reason, const Caller *caller);

/* Resumes the shutdown that a crash has interrupted, if there is one. */
void node_resume_shutdown(Node *node);

/* Returns whether a shutdown is under way or will be resumed. */
bool node_is_shutting_down(const Node *node);

/* Ends the shutdown under way if no process is left except those that survive SIGKILL. */
void node_check_finished(Node *node);
