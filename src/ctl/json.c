/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "ctl/json.h"

static void json_break(GString *out, CtlJson mode, unsigned depth) {
        if (mode != CTL_JSON_PRETTY)
                return;
        g_string_append_c(out, '\n');
        for (unsigned i = 0; i < depth; i++)
                g_string_append_c(out, '\t');
}

void json_print(const char *json, CtlJson mode) {
        g_autoptr(GString) out = g_string_new(NULL);
        bool in_string = false;
        unsigned depth = 0;

        for (const char *p = json; *p; p++) {
                if (in_string) {
                        g_string_append_c(out, *p);
                        if (*p == '\\' && p[1])
                                g_string_append_c(out, *++p);
                        else
                                in_string = *p != '"';
                        continue;
                }
                if (g_ascii_isspace(*p))
                        continue;
                if (*p == ']' || *p == '}') {
                        depth--;
                        /* An empty one stays in one line. */
                        if (!strchr("[{", out->str[out->len - 1]))
                                json_break(out, mode, depth);
                } else if (out->len > 0 && strchr("[{,", out->str[out->len - 1]))
                        json_break(out, mode, depth);
                g_string_append_c(out, *p);
                in_string = *p == '"';
                if (*p == '[' || *p == '{')
                        depth++;
                if (*p == ':' && mode == CTL_JSON_PRETTY)
                        g_string_append_c(out, ' ');
        }
        (void) puts(out->str);
}
