/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Messages about roles and the node, with the fields that architect-node(8) lists. id is one of
 * message-ids.h, or NULL. caller is the process that made the call; NULL if there was none or the bus does
 * not know it. */

#include <stdarg.h>

#include "base/macro.h"
#include "model/role.h"

void journal_role(const Role *role, const char *id, int level, const Caller *caller, const char *format, ...)
        _printf_(5, 6);
void journal_role_v(const Role *role, const char *id, int level, const Caller *caller, const char *format,
        va_list ap) _printf_(5, 0);
void journal_node(const Node *node, const char *id, int level, const Caller *caller, const char *format, ...)
        _printf_(5, 6);

/* The same for the start of a role, with its user, for its end, with its exit, and for a shutdown, with its
 * reason. */
void journal_role_started(const Role *role);
void journal_role_exited(const Role *role);
/* left: as in the details of RoleExited */
void journal_role_left(const Role *role, GVariant *left);
/* A process of the role is in this cgroup, and not in its scope. */
void journal_role_left_scope(const Role *role, const char *cgroup, const char *format, ...) _printf_(3, 4);
/* lease: for the field ARCHITECT_LEASE= */
void journal_lease_expired(const Node *node, const char *lease, const char *format, ...) _printf_(3, 4);
void journal_shutting_down(const Node *node, const char *reason, const Caller *caller);
