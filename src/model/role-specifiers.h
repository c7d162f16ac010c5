/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The specifiers in the values of a definition. They are a subset of those of systemd.unit(5). */

/* Who the definition is for, which %n, %i and %H stand for. */
typedef struct RoleSpecifiers {
        const char *role;
        const char *instance; /* NULL if it is no instance of a template */
        const char *host;
} RoleSpecifiers;

/* Nothing that is inserted has white space, quotes or a backslash, so it is done before the value is split
 * into words. A % at the end is itself, as in CPUQuota=20%. Returns NULL and a reason, both of which the
 * caller frees, if there is no such specifier. */
char *role_specifiers_expand(const char *value, const RoleSpecifiers *specifiers, char **ret_reason);
