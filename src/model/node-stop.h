/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Stop, Kill, Signal and Shutdown. */

#include "model/node.h"
#include "model/role.h"

/* Stops or kills the role. The waiter is called exactly once, possibly before this function returns. */
void node_stop_role(Node *node, Role *role, RoleCause cause, const Caller *caller, Waiter waiter);

/* Whether a call that uses leases like this may stop the role, and what stops with it. Fails with
 * LeaseRequired. */
int node_check_stop(Node *node, const Role *role, const LeaseUse *use, Fault *fault);

/* One of several that are stopped together. */
typedef struct StopRequest {
        const char *name; /* each once */
        bool kill;        /* with SIGKILL, at once */
        Waiter waiter;    /* called exactly once, possibly before node_stop_roles() returns */
} StopRequest;

/* Stops them, and what requires, binds to or is a part of one of them (ROLE_CAUSE_DEPENDENCY). What is after
 * another is stopped before it, and that waits until it has ended. A name without a role is NoSuchRole for
 * its waiter. */
void node_stop_roles(
        Node *node, const StopRequest *requests, size_t n, RoleCause cause, const Caller *caller);

/* Stops the roles that depend on this name and that it concerns, and what stops with these. follow: they come
 * back with it, because it has ended by itself. */
void node_stop_dependents(Node *node, const char *name, bool follow,
        bool (*concerns)(const Role *role, const char *name), const Caller *caller);

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
