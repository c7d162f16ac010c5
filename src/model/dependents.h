/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The dependencies of roles, the other way round than their options say: by the name of a role, the roles
 * that depend on it. It knows nothing else of a role, so a role is a pointer here. */

#include <glib.h>

#include "model/model-forward.h"
#include "model/role-spec.h"

GHashTable *dependents_new(void); /* name → GPtrArray of Role */

/* Add the role with all that its options name, and remove it. It must not be added twice. */
void dependents_add(GHashTable *dependents, const RoleSpec *spec, Role *role);
void dependents_remove(GHashTable *dependents, const RoleSpec *spec, Role *role);

/* The roles that depend on this name, each once, also those that have ended or were replaced; NULL if there
 * are none. The table owns it. */
const GPtrArray *dependents_get(GHashTable *dependents, const char *name);
