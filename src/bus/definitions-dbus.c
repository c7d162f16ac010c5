/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* This file has the methods that show the definitions. They change nothing, so every user may call them. What
 * a role file says can be seen of each role that runs, too, except for its environment. */

#include "bus/bus-util.h"
#include "bus/clients-private.h"
#include "bus/operation.h"
#include "bus/option-values.h"
#include "model/definitions.h"
#include "model/env.h"
#include "util/autoptr.h"

static int definition_append_details(sd_bus_message *m, const Definition *d) {
        int r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = bus_append_entry(m, "autostart", "b", (int) d->autostart);
        if (r >= 0 && d->description)
                r = bus_append_entry(m, "description", "s", d->description);
        if (r >= 0 && d->error)
                r = bus_append_entry(m, "error", "s", d->error);
        if (r >= 0 && d->error)
                r = bus_append_entry(m, "error-file", "s", d->error_file);
        if (r >= 0 && d->error_line > 0)
                r = bus_append_entry(m, "line", "u", (uint32_t) d->error_line);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int definition_append(sd_bus_message *m, const Definition *d) {
        int r = sd_bus_message_open_container(m, 'r', "ssasa{sv}");
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", d->name, d->file);
        if (r >= 0)
                r = sd_bus_message_append_strv(m, d->spec ? d->spec->role_groups : NULL);
        if (r >= 0)
                r = definition_append_details(m, d);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int node_method_list_definitions(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Definitions *definitions = ((Clients *) userdata)->node->definitions;
        g_autoptr(sd_bus_message) reply = NULL;

        int r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(ssasa{sv})");
        for (unsigned i = 0; r >= 0 && i < definitions_count(definitions); i++)
                r = definition_append(reply, definitions_get(definitions, i));
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_message_send(reply);
}

/* -- the options of one -- */

/* The names alone. The values may be secret, as those of GetEnv. */
static int append_variables(sd_bus_message *m, const RoleSpec *spec, const RoleOption *option) {
        g_auto(GStrv) strings = role_option_get_strings(spec, option);

        for (char **s = strings; s && *s; s++)
                *strchrnul(*s, '=') = '\0';
        return sd_bus_message_append_strv(m, strings);
}

static int definition_append_option(sd_bus_message *m, const Definition *d, const RoleOption *option) {
        const char *file = definition_source(d, option);
        const bool variables = option->kind == ROLE_OPTION_STRING_ENTRIES;

        if (!file || option->part_of)
                return 0;
        int r = sd_bus_message_open_container(m, 'e', "s(vs)");
        if (r >= 0)
                r = sd_bus_message_append_basic(m, 's', option->key ?: "command");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'r', "vs");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', variables ? "as" : option->signature);
        if (r >= 0)
                r = variables ? append_variables(m, d->spec, option)
                              : option_value_append(m, d->spec, option);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_message_append_basic(m, 's', file);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int node_method_get_definition(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Clients *clients = userdata;
        g_autoptr(sd_bus_message) reply = NULL;
        g_auto(Fault) fault = {};
        const Definition *d;
        const char *name;

        int r = sd_bus_message_read(m, "s", &name);
        if (r < 0)
                return r;
        r = definitions_find_valid(clients->node->definitions, name, &d, &fault);
        if (r < 0)
                return fault_to_bus_error(&fault, r, error);
        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{s(vs)}");
        for (size_t i = 0; r >= 0 && i < n_role_options; i++)
                r = definition_append_option(reply, d, &role_options[i]);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_message_send(reply);
}

static const sd_bus_vtable definitions_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("ListDefinitions", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(ssasa{sv})", definitions),
                node_method_list_definitions, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetDefinition", SD_BUS_ARGS("s", role), SD_BUS_RESULT("a{s(vs)}", options),
                node_method_get_definition, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

int definitions_dbus_register(Clients *clients) {
        return clients_add_vtable(clients, definitions_vtable);
}
