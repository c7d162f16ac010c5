/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a start needs of other roles: which of them are started with it, and for which it still waits.
 *
 * A role is started after what it is after, wants, requires or binds to; what it wants or needs is started
 * with it, by its definition. What runs or has been started is not started again, and what waits for its
 * restart is waited for. A oneshot that has ended with success stays ready. */

#include "model/node.h"
#include "model/role.h"

/* Returns whether a role must not be started along with another one. */
typedef bool (*StartBarred)(const Node *node, const char *name);

/* Finds the definitions to be started before this role, each after those that it waits for itself; nothing is
 * started. barred may be NULL. Fails with DependencyFailed, which names the roles of a cycle, or the one that
 * is needed and cannot be started, with the file and line that names it. What is only wanted and cannot be
 * started is left out. The caller g_ptr_array_unref()s *ret, an array of names. */
int start_plan_make(Node *node, const char *name, const RoleSpec *spec, StartBarred barred, GPtrArray **ret,
        Fault *fault);

/* Returns 1 if the role need not wait for another one; 0 if it does, and sets Role.awaits. Fails with
 * DependencyFailed if one that it needs does not run and is not about to. */
int start_plan_check(Role *role, Fault *fault);
