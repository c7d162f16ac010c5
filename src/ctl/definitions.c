/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <string.h>

#include "client/properties.h"
#include "ctl/connection.h"
#include "ctl/definitions.h"
#include "util/autoptr.h"

static void definition_clear(void *p) {
        CtlDefinition *d = p;

        g_free(d->name);
        g_free(d->file);
        g_strfreev(d->groups);
        g_free(d->description);
        g_free(d->error);
        g_free(d->error_file);
}

static int read_text(sd_bus_message *m, char **ret) {
        const char *text;

        int r = sd_bus_message_read(m, "v", "s", &text);
        if (r >= 0) {
                g_free(*ret);
                *ret = g_strdup(text);
        }
        return r;
}

static int definition_read_details(sd_bus_message *m, CtlDefinition *d) {
        const char *key;

        int r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0 && (r = properties_next(m, &key)) > 0) {
                int autostart = 0;

                if (strcmp(key, "autostart") == 0) {
                        r = sd_bus_message_read(m, "v", "b", &autostart);
                        d->autostart = autostart;
                } else if (strcmp(key, "description") == 0)
                        r = read_text(m, &d->description);
                else if (strcmp(key, "error") == 0)
                        r = read_text(m, &d->error);
                else if (strcmp(key, "error-file") == 0)
                        r = read_text(m, &d->error_file);
                else if (strcmp(key, "line") == 0)
                        r = sd_bus_message_read(m, "v", "u", &d->line);
                else
                        r = sd_bus_message_skip(m, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int definition_read(sd_bus_message *m, CtlDefinition *d) {
        const char *name, *file;

        int r = sd_bus_message_read(m, "ss", &name, &file);
        if (r < 0)
                return r;
        d->name = g_strdup(name);
        d->file = g_strdup(file);
        r = sd_bus_message_read_strv(m, &d->groups);
        if (!d->groups)
                d->groups = g_new0(char *, 1); /* sd-bus has NULL for an empty list */
        return r < 0 ? r : definition_read_details(m, d);
}

CtlExit ctl_list_definitions(Ctl *ctl, GArray **ret) {
        g_autoptr(GArray) definitions = g_array_new(false, false, sizeof(CtlDefinition));
        g_autoptr(sd_bus_message) reply = NULL;

        CtlExit e = ctl_call(ctl, &reply, "ListDefinitions", NULL);
        if (e != CTL_EXIT_OK)
                return e;
        g_array_set_clear_func(definitions, definition_clear);
        int r = sd_bus_message_enter_container(reply, 'a', "(ssasa{sv})");
        while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'r', "ssasa{sv}")) > 0) {
                CtlDefinition d = {};

                r = definition_read(reply, &d);
                g_array_append_val(definitions, d);
                if (r >= 0)
                        r = sd_bus_message_exit_container(reply);
        }
        if (r < 0)
                return ctl_bad_reply(r);
        *ret = g_steal_pointer(&definitions);
        return CTL_EXIT_OK;
}

char *ctl_definition_error(const CtlDefinition *d) {
        const char *file = d->error_file ?: d->file;

        return d->line > 0 ? g_strdup_printf("%s:%" PRIu32 ": %s", file, d->line, d->error)
                           : g_strdup_printf("%s: %s", file, d->error);
}
