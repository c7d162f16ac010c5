/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>
#include <stdbool.h>
#include <string.h>

#include "model/role-specifiers.h"

static const char *specifiers_get(const RoleSpecifiers *specifiers, char specifier) {
        switch (specifier) {
        case 'n':
                return specifiers->role;
        case 'i':
                return specifiers->instance;
        case 'H':
                return specifiers->host;
        case '%':
                return "%";
        default:
                return NULL;
        }
}

char *role_specifiers_expand(const char *value, const RoleSpecifiers *specifiers, char **ret_reason) {
        const char *percent = strchr(value, '%');

        if (!percent)
                return g_strdup(value);
        g_autoptr(GString) s = g_string_new(NULL);
        for (; percent && percent[1]; percent = strchr(value, '%')) {
                const char *with = specifiers_get(specifiers, percent[1]);

                if (!with) {
                        const char *end = g_utf8_next_char(percent + 1);

                        *ret_reason =
                                percent[1] == 'i'
                                        ? g_strdup("%i is the instance of a template, and this is none")
                                        : g_strdup_printf(
                                                  "\"%.*s\" is not one of %%n, %%i and %%H; a percent sign is written %%%%",
                                                  (int) (end - percent), percent);
                        return NULL;
                }
                g_string_append_len(s, value, percent - value);
                g_string_append(s, with);
                value = percent + 2;
        }
        g_string_append(s, value);
        return g_string_free(g_steal_pointer(&s), false);
}
