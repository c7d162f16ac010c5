/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "base/unit-name.h"

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

#define INSTANCE_NAME_MAX 32

bool role_name_is_valid(const char *name) {
        size_t n;

        if (!name || !*name || !strchr(LETTERS DIGITS, name[0]))
                return false;

        n = strspn(name, LETTERS DIGITS "_.-");
        return n <= ROLE_NAME_MAX && !name[n];
}

bool instance_name_is_valid(const char *name) {
        size_t n;

        if (!name || !*name || !strchr(LETTERS "_", name[0]))
                return false;

        n = strspn(name, LETTERS DIGITS "_");
        return n <= INSTANCE_NAME_MAX && !name[n];
}

char *role_scope_name(const char *instance, const char *role) {
        char *s;

        if (!instance_name_is_valid(instance) || !role_name_is_valid(role)) {
                errno = EINVAL;
                return NULL;
        }

        return asprintf(&s, "architect-%s-%s.scope", instance, role) < 0 ? NULL : s;
}

/* Returns the rest of s after the prefix, or NULL if s does not begin with it. */
static const char *string_after(const char *s, const char *prefix) {
        size_t n = strlen(prefix);

        return s && strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

int role_scope_name_parse(const char *instance, const char *unit, char **ret_role) {
        const size_t suffix = strlen(".scope");
        const char *s;
        size_t n;
        _cleanup_free_ char *role = NULL;

        if (!instance_name_is_valid(instance))
                return -EINVAL;

        s = string_after(string_after(string_after(unit, "architect-"), instance), "-");
        n = s ? strlen(s) : 0;
        if (n <= suffix || strcmp(s + n - suffix, ".scope") != 0)
                return -EINVAL;

        role = strndup(s, n - suffix);
        if (!role)
                return -ENOMEM;
        if (!role_name_is_valid(role))
                return -EINVAL;

        *ret_role = role;
        role = NULL;
        return 0;
}
