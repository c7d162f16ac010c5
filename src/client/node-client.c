/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>
#include <stdbool.h>

#include "client/node-client.h"
#include "proto/node-names.h"
#include "util/autoptr.h"

char *node_bus_name(const char *instance) {
        return g_str_equal(instance, NODE_DEFAULT_INSTANCE) ? g_strdup(NODE_BUS_NAME)
                                                            : g_strconcat(NODE_BUS_NAME ".", instance, NULL);
}

char *role_object_path(const char *role) {
        char *path;

        return sd_bus_path_encode(NODE_ROLE_PATH_PREFIX, role, &path) < 0 ? NULL : path;
}

int node_new_ping(sd_bus *bus, const char *bus_name, sd_bus_message **ret) {
        g_autoptr(sd_bus_message) m = NULL;

        int r = sd_bus_message_new_method_call(
                bus, &m, bus_name, NODE_PATH, "org.freedesktop.DBus.Properties", "Get");
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", NODE_INTERFACE, "Version");
        if (r >= 0)
                r = sd_bus_message_set_auto_start(m, false);
        if (r >= 0)
                *ret = g_steal_pointer(&m);
        return r;
}

int node_subscribe(sd_bus *bus, const char *bus_name, sd_bus_message_handler_t callback, void *userdata) {
        return sd_bus_match_signal(bus, NULL, bus_name, NODE_PATH, NODE_INTERFACE, NULL, callback, userdata);
}

char *node_owner_match(const char *bus_name) {
        return g_strdup_printf("type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
                               "interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='%s'",
                bus_name);
}

int node_subscribe_owner(
        sd_bus *bus, const char *bus_name, sd_bus_message_handler_t callback, void *userdata) {
        g_autofree char *match = node_owner_match(bus_name);

        return sd_bus_add_match(bus, NULL, match, callback, userdata);
}
