/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "client/json.h"
#include "ctl/json.h"

static void json_break(GString *out, CtlJson mode, unsigned depth) {
        if (mode != CTL_JSON_PRETTY)
                return;
        g_string_append_c(out, '\n');
        for (unsigned i = 0; i < depth; i++)
                g_string_append_c(out, '\t');
}

void json_print(const char *json, CtlJson mode) {
        if (ctl_sink)
                ctl_sink->json(json, mode);
        else
                json_write(stdout, json, mode);
}

void json_write(FILE *to, const char *json, CtlJson mode) {
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
        (void) fprintf(to, "%s\n", out->str);
}

/* -- values that get a member -- */

/* Returns the end of the value that begins here. */
static const char *json_skip(const char *json) {
        unsigned depth = 0;
        bool in_string = false;

        for (; *json; json++) {
                if (in_string) {
                        if (*json == '\\' && json[1])
                                json++;
                        else
                                in_string = *json != '"';
                } else if (depth == 0 && strchr(",]}", *json))
                        break;
                else if (strchr("[{", *json))
                        depth++;
                else if (strchr("]}", *json))
                        depth--;
                else
                        in_string = *json == '"';
        }
        return json;
}

static const char *json_skip_space(const char *json) {
        while (g_ascii_isspace(*json))
                json++;
        return json;
}

static void json_append_one(GString *out, const char *json, size_t size, const char *key, const char *value) {
        const bool object = json[0] == '{';
        const bool empty = object && *json_skip_space(json + 1) == '}';

        if (out->len > 0)
                g_string_append_c(out, ',');
        g_string_append_c(out, '{');
        json_append_string(out, key);
        g_string_append_c(out, ':');
        json_append_string(out, value);
        if (object) {
                if (!empty)
                        g_string_append_c(out, ',');
                g_string_append_len(out, json + 1, (gssize) size - 1);
        } else {
                g_string_append(out, ",\"value\":");
                g_string_append_len(out, json, (gssize) size);
                g_string_append_c(out, '}');
        }
}

void json_append_with_member(GString *out, const char *json, const char *key, const char *value) {
        json = json_skip_space(json);
        if (json[0] != '[') {
                json_append_one(out, json, (size_t) (json_skip(json) - json), key, value);
                return;
        }
        for (json = json_skip_space(json + 1); *json && *json != ']';) {
                const char *end = json_skip(json);

                json_append_one(out, json, (size_t) (end - json), key, value);
                json = json_skip_space(*end == ',' ? end + 1 : end);
        }
}
