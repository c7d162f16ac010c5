/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What follows for the roles that depend on another one when that is ready, has failed to start, has ended or
 * starts again. node-reports.c calls these; dependents.h says who depends on whom, start-plan.h what a start
 * waits for. */

#include "model/node.h"
#include "model/role.h"

/* What waits for it goes on with its start, and what was stopped with it comes back. */
void node_dependency_ready(Node *node, const Role *role);

/* What needs it and has not begun to start fails. */
void node_dependency_failed(Node *node, const Role *role, const Fault *fault);

/* If it was stopped, what stops with it is stopped; if it has ended by itself, what is bound to it. */
void node_dependency_ended(Node *node, const Role *role);

/* Its policy starts it again, so what is a part of it restarts, too. */
void node_dependency_restarted(Node *node, const char *name);

/* No process of it is left, or one survives SIGKILL: what it was after need not wait for it with its
 * stop, and what waits for it looks whether it comes back. */
void node_dependency_gone(Node *node, const Role *role);
