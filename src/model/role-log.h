/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What becomes of roles and of the node, as messages with fields of their own: architect-node(8) lists them. id: one of
 * message-ids.h, or NULL. caller: who asked for it; NULL, or not known: nobody did. */

#include <stdarg.h>

#include "base/macro.h"
#include "model/role.h"

void journal_role(const Role *role, const char *id, int level, const Caller *caller, const char *format, ...)
        _printf_(5, 6);
void journal_role_v(const Role *role, const char *id, int level, const Caller *caller, const char *format,
        va_list ap) _printf_(5, 0);
void journal_node(const Node *node, const char *id, int level, const Caller *caller, const char *format, ...)
        _printf_(5, 6);

/* The same for the end of a role, with how it ended, and for a shutdown, with its reason. */
void journal_role_exited(const Role *role);
void journal_shutting_down(const Node *node, const char *reason, const Caller *caller);
