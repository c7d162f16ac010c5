/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Names of units, slices and object paths. Uses libc only. */

#include <stdbool.h>

/* A name has 1 to 64 characters of A-Za-z0-9_.- and begins with a letter or digit. */
#define ROLE_NAME_MAX 64
bool role_name_is_valid(const char *name);

/* Returns a role name that is like the text, for those who have names with other rules (a device, a section
 * of another program's configuration), or NULL if nothing of it is left, or if there is no memory. The
 * mapping is fixed, since files that were imported keep the names that it has made:
 *
 *   what stands before the first letter or digit is dropped;
 *   each run of characters that no name has becomes one '_', but not at the end, and not beside a '_' of the
 *   text; it does not matter what bytes the run has, so the text need not be UTF-8;
 *   what is longer than ROLE_NAME_MAX is cut.
 *
 * "ZWO CCD" is ZWO_CCD, and "Télescope 2 (nord)" is T_lescope_2_nord. A valid name is itself. Two texts may
 * have the same name. The caller frees it. */
char *role_name_suggest(const char *text);

/* [A-Za-z_][A-Za-z0-9_]{0,31}, without '-', which nests slices and would let names of two instances
 * collide. */
bool instance_name_is_valid(const char *name);

/* Returns architect-<instance>-<role>.scope. The '-' of a role is allowed in the name of a scope. The caller
 * frees it. */
char *role_scope_name(const char *instance, const char *role);

/* Returns architect-<instance>-_post-<role>.scope, for its commands of exec-stop-post. No role has this
 * scope, because its name would begin with '_'. The caller frees it. */
char *role_post_scope_name(const char *instance, const char *role);

/* The reverse. Returns -EINVAL as role_scope_name_parse(). The caller frees *ret. */
int role_post_scope_name_parse(const char *instance, const char *unit, char **ret_role);

/* The reverse, for adoption. Returns -EINVAL if the unit does not belong to a role of this instance. The
 * caller frees *ret. */
int role_scope_name_parse(const char *instance, const char *unit, char **ret_role);
