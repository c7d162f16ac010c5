/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a role and those that depend on it are to each other. What follows for the others when a role changes
 * is in node-dependencies.h. */

#include "model/role.h"

/* Returns the names of the roles that depend on this one, also of those that have ended; NULL if there are
 * none. They are copies, since what is done to one role may free others. The caller g_ptr_array_unref()s
 * it. */
GPtrArray *role_list_dependents(const Node *node, const char *name);

/* Returns whether it is ordered after the other, and whether it is stopped whenever the other is stopped. */
bool role_is_after(const Role *role, const char *name);
bool role_stops_with(const Role *role, const char *name);

/* Returns whether a role that is ordered after this one is being stopped, or its processes are: then this one
 * has to wait with its stop. One that does not stop is not waited for. */
bool role_is_needed_longer(const Role *role);

/* Returns whether it was stopped with another role and will be started when that one is ready again: its
 * policy is not "no", or it is part of the other. */
bool role_comes_back(const Role *role);

/* What a role is to those that depend on it. */
typedef enum Presence {
        PRESENCE_NONE,   /* it does not run, and is not about to */
        PRESENCE_COMING, /* it is starting, or will be started by its policy */
        PRESENCE_READY,
} Presence;

Presence role_presence(const Role *role /* or NULL */);

/* Returns whether others may depend on it. What an ordinary user has started under a name that root's
 * definitions mention is nothing to these. */
bool role_is_dependency(const Role *role /* or NULL */);

/* Returns whether it waits, or will wait, for this name to be ready again, or for one that does. */
bool role_follows(const Role *role, const char *name);

/* Returns whether its last start has failed, and another one follows. */
bool role_has_failed_to_start(const Role *role);
