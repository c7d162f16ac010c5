/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* This file checks which products are set up for a role before its command, according to the options of
 * Start, and creates the commands for the child. EUPS products use the terms of EUPS. For Environment Modules
 * and Lmod a product is a module with the full name "product/version". */

#include "model/role-spec.h"

/* Returns whether the role has products to be set up. */
bool products_wanted(const RoleSpec *spec);

/* Checks the combination of options, and the names according to the provider. Fails with InvalidArgs. */
int products_check(const RoleSpec *spec, Fault *fault);
size_t products_size(const RoleSpec *spec); /* bytes, each string with its NUL */

/* Returns LaunchRequest.setup, which contains the script, the provider, its command, and for each product the
 * number of its arguments and the arguments. Returns NULL if the role has no products. The caller frees it
 * with g_strfreev(). */
char **products_setup(const RoleSpec *spec, const Settings *settings);

/* The limits of what is recorded, because it is part of an event. */
#define PRODUCTS_RESOLVED_MAX 512U
#define PRODUCTS_RESOLVED_SIZE_MAX (32U * 1024U)

/* Stores the products of a record, name and version in turn, as valid UTF-8, which the caller frees. Returns
 * false if there are more than the limits, and the last ones are left out. */
bool products_resolved(char *const *products, char ***ret);

/* Returns the hash of the changes that a set-up has made, 64 hexadecimal digits of SHA-256, which the caller
 * frees. A change is NAME=VALUE, or NAME for a variable that was removed; each is followed by a NUL, and they
 * are sorted by name. What depends on the start and not on the products is left out. These are the variables
 * of env, which have the values of env in the end, and those that differ each time. */
char *products_environment_hash(const RoleSpec *spec, char *const *changes);
