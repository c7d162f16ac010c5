/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>
#include <stdbool.h>
#include <string.h>

#include "node/state-fields.h"

#define KEY_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZ_"

char *state_fields_unknown(const char *text, const char *prefix) {
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        g_autoptr(GString) kept = g_string_new(NULL);

        for (char **l = lines; *l; l++) {
                const char *key = *l + strlen(prefix);

                if (!g_str_has_prefix(*l, prefix))
                        continue;
                size_t n = strspn(key, KEY_CHARACTERS);
                if (n > 0 && key[n] == '=' && !g_str_has_prefix(key, "VERSION="))
                        g_string_append_printf(kept, "%s\n", *l);
        }
        return g_string_free(g_steal_pointer(&kept), false);
}

char *state_fields_format(const char *prefix, const char *unknown) {
        return g_strdup_printf("%sVERSION=%u\n%s", prefix, STATE_FIELDS_VERSION, unknown ?: "");
}
