/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The products that a role wants set up before its command: what a Start asked for, checked, and what the child is told to
 * run. EUPS products in EUPS' own words; for Environment Modules and Lmod a product is a module, and "product/version" its
 * full name. */

#include "model/role-spec.h"

#define PRODUCT_LIST_MAX 256U      /* products of the list, arguments of setup-args */
#define PRODUCT_TEXT_MAX 255U      /* bytes of a name or a version */
#define PRODUCT_ARGUMENT_MAX 4096U /* bytes of an argument */

/* Each checks one value by itself and takes a copy. The message names the option. */
int role_spec_set_product(RoleSpec *spec, const char *product, Fault *fault);
int role_spec_set_version(RoleSpec *spec, const char *version, Fault *fault);
int role_spec_set_setup_args(RoleSpec *spec, char **arguments, Fault *fault);
int role_spec_add_eups(RoleSpec *spec, const char *product, const char *version, Fault *fault);
int role_spec_set_provider(RoleSpec *spec, const char *provider, Fault *fault);

/* Whether there is anything to be set up. */
bool products_wanted(const RoleSpec *spec);

/* What only the whole can show: what goes with what, and the names as this provider takes them. */
int products_check(const RoleSpec *spec, Fault *fault);
size_t products_size(const RoleSpec *spec); /* bytes, each string with its NUL */

/* LaunchRequest.setup: the script, the provider, its command, then each product as a number of arguments and so many. NULL: nothing
 * is wanted. A GStrv. */
char **products_setup(const RoleSpec *spec, const Settings *settings);
