/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "base/unit-name.h"

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

#define ROLE_NAME_CHARACTERS LETTERS DIGITS "_.-"
#define INSTANCE_NAME_MAX 32

bool role_name_is_valid(const char *name) {
        size_t n;

        if (!name || !*name || !strchr(LETTERS DIGITS, name[0]))
                return false;

        n = strspn(name, ROLE_NAME_CHARACTERS);
        return n <= ROLE_NAME_MAX && !name[n];
}

char *role_name_suggest(const char *text) {
        char name[ROLE_NAME_MAX + 1];
        bool skipped = false;
        size_t n = 0;

        if (!text)
                return NULL;
        for (const char *s = text + strcspn(text, LETTERS DIGITS); *s && n < ROLE_NAME_MAX; s++) {
                if (!strchr(ROLE_NAME_CHARACTERS, *s)) {
                        skipped = true;
                        continue;
                }
                if (skipped && *s != '_' && n > 0 && name[n - 1] != '_') {
                        if (n + 1 == ROLE_NAME_MAX)
                                break;
                        name[n++] = '_';
                }
                skipped = false;
                name[n++] = *s;
        }
        return n > 0 ? strndup(name, n) : NULL;
}

bool instance_name_is_valid(const char *name) {
        size_t n;

        if (!name || !*name || !strchr(LETTERS "_", name[0]))
                return false;

        n = strspn(name, LETTERS DIGITS "_");
        return n <= INSTANCE_NAME_MAX && !name[n];
}

#define POST "_post-"

static char *scope_name(const char *instance, const char *before, const char *role) {
        char *s;

        if (!instance_name_is_valid(instance) || !role_name_is_valid(role)) {
                errno = EINVAL;
                return NULL;
        }

        return asprintf(&s, "architect-%s-%s%s.scope", instance, before, role) < 0 ? NULL : s;
}

char *role_scope_name(const char *instance, const char *role) {
        return scope_name(instance, "", role);
}

char *role_post_scope_name(const char *instance, const char *role) {
        return scope_name(instance, POST, role);
}

/* Returns the rest of s after the prefix, or NULL if s does not begin with it. */
static const char *string_after(const char *s, const char *prefix) {
        size_t n = strlen(prefix);

        return s && strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

static int scope_name_parse(const char *instance, const char *before, const char *unit, char **ret_role) {
        const size_t suffix = strlen(".scope");
        const char *s;
        size_t n;
        _cleanup_free_ char *role = NULL;

        if (!instance_name_is_valid(instance))
                return -EINVAL;

        s = string_after(string_after(string_after(unit, "architect-"), instance), "-");
        s = string_after(s, before);
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

int role_scope_name_parse(const char *instance, const char *unit, char **ret_role) {
        return scope_name_parse(instance, "", unit, ret_role);
}

int role_post_scope_name_parse(const char *instance, const char *unit, char **ret_role) {
        return scope_name_parse(instance, POST, unit, ret_role);
}
