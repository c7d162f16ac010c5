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
