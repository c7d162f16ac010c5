/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Names of units, slices and object paths. Uses libc only. */

#include <stdbool.h>

/* A name has 1 to 64 characters of A-Za-z0-9_.- and begins with a letter or digit. */
#define ROLE_NAME_MAX 64
bool role_name_is_valid(const char *name);

/* [A-Za-z_][A-Za-z0-9_]{0,31}, without '-', which nests slices and would let names of two instances
 * collide. */
bool instance_name_is_valid(const char *name);

/* Returns architect-<instance>-<role>.scope. The '-' of a role is allowed in the name of a scope. The caller
 * frees it. */
char *role_scope_name(const char *instance, const char *role);

/* The reverse, for adoption. Returns -EINVAL if the unit does not belong to a role of this instance. The
 * caller frees *ret. */
int role_scope_name_parse(const char *instance, const char *unit, char **ret_role);
