/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The scopes of the roles: made in batches, removed, signalled, asked why they ended. The only room that knows how systemd
 * is to be talked to about roles. */

#include "model/model-forward.h"
#include "scope/manager.h"
#include "model/world.h"

typedef struct Scopes Scopes;

/* own_unit, keeper_unit: for the order at shutdown; may be NULL. */
int scopes_new(Manager *manager, Node *node, const char *own_unit, const char *keeper_unit, Scopes **ret);
Scopes *scopes_free(Scopes *scopes);

bool scopes_use_pidfds(const Scopes *scopes);

void scope_start(Scopes *scopes, Role *role); /* → role_on_scope() */
int scope_remove(Scopes *scopes, Role *role); /* → role_on_scope_removed() */
void scope_signal(Scopes *scopes, Role *role, int signo, Waiter waiter);
void scope_thaw(Scopes *scopes, Role *role);
/* SIGKILL to all where cgroup.kill cannot be had: frozen first, so that a fork cannot outrun it. */
void scope_freeze_and_kill(Scopes *scopes, Role *role);
int scope_query_oom(Scopes *scopes, Role *role); /* → role_on_oom() */
/* Whether somebody else stops it: → role_on_external_stop(), if so, then role_on_stop_known(). */
int scope_query_stop(Scopes *scopes, Role *role);
void scope_forget(Scopes *scopes, Role *role); /* it has ended: no reference keeps its unit */

/* Stops every scope of this instance that no live role has, and what an earlier process left of its batches. */
void scopes_resync(Scopes *scopes);

/* A sub-slice has no role any more: it is stopped when that stays so for a while. */
void scopes_slice_empty(Scopes *scopes);
