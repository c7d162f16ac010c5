/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Names of units, slices and object paths. libc only. */

#include <stdbool.h>

/* 1 to 64 characters of A-Za-z0-9_.- beginning with a letter or digit. */
#define ROLE_NAME_MAX 64
bool role_name_is_valid(const char *name);

/* [A-Za-z_][A-Za-z0-9_]{0,31}; no '-': it nests slices and would let names of two instances collide. */
bool instance_name_is_valid(const char *name);

/* Every name is architect-<instance>-<role>.scope; '-' in a role is legal in a scope's name. The caller frees. */
char *role_scope_name(const char *instance, const char *role);

/* The reverse, for adoption: -EINVAL when the unit is not a role of this instance. The caller frees. */
int role_scope_name_parse(const char *instance, const char *unit, char **ret_role);
