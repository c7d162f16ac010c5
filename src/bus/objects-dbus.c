/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* org.freedesktop.DBus.ObjectManager at the object of the node. sd-bus sends its signals. The reply of
 * GetManagedObjects is composed here as bytes, and is the same as that of sd-bus, which takes several times
 * as long for it and, with thousands of roles, blocks the loop. */

#include <string.h>

#include "base/macro.h"
#include "bus/bus-bytes.h"
#include "bus/clients-private.h"
#include "bus/properties.h"
#include "bus/role-dbus.h"
#include "proto/node-names.h"
#include "util/autoptr.h"

#define OBJECT_MANAGER "org.freedesktop.DBus.ObjectManager"
/* D-Bus permits no larger array, and the bus daemon ends the connection of a service that sends one. */
#define ARRAY_SIZE_MAX (64U * 1024U * 1024U)

/* Appends the name of an interface, and the beginning of its properties. */
static size_t objects_begin_interface(BusBytes *bytes, const char *interface) {
        (void) bus_bytes_extend(bytes, 8, 0);
        bus_bytes_string(bytes, interface, strlen(interface));
        return bus_bytes_begin_array(bytes, 8);
}

static int objects_append_role(BusBytes *bytes, Role *role) {
        static const char *const standard[] = {
                "org.freedesktop.DBus.Peer",
                "org.freedesktop.DBus.Introspectable",
                "org.freedesktop.DBus.Properties",
        };
        g_autofree char *path = role_dbus_path(role->name);

        (void) bus_bytes_extend(bytes, 8, 0);
        bus_bytes_string(bytes, path, strlen(path));
        const size_t interfaces = bus_bytes_begin_array(bytes, 8);
        /* These have no properties. */
        for (size_t i = 0; i < ELEMENTSOF(standard); i++)
                bus_bytes_end_array(bytes, objects_begin_interface(bytes, standard[i]), 8);
        const size_t properties = objects_begin_interface(bytes, NODE_ROLE_INTERFACE);
        int r = properties_append(role_vtable, role, bytes);
        if (r >= 0)
                r = properties_append(role_spec_vtable, role->spec, bytes);
        bus_bytes_end_array(bytes, properties, 8);
        bus_bytes_end_array(bytes, interfaces, 8);
        return r;
}

static int objects_append_roles(BusBytes *bytes, Node *node, sd_bus_error *error) {
        const size_t begin = bus_bytes_begin_array(bytes, 8);
        GHashTableIter iter;
        Role *role;
        int r = 0;

        g_hash_table_iter_init(&iter, node->roles);
        while (r >= 0 && g_hash_table_iter_next(&iter, NULL, (void **) &role)) {
                r = objects_append_role(bytes, role);
                if (r >= 0 && bytes->size > ARRAY_SIZE_MAX)
                        r = sd_bus_error_set(error, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                "The properties of all roles are larger than a message may be, call GetAll of each role");
        }
        bus_bytes_end_array(bytes, begin, 8);
        return r;
}

/* Sees each message to this object before sd-bus handles it. */
static int objects_on_message(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Clients *clients = userdata;
        g_auto(BusBytes) body = {};

        if (!sd_bus_message_is_method_call(m, OBJECT_MANAGER, "GetManagedObjects"))
                return 0;
        int r = objects_append_roles(&body, clients->node, error);
        return r < 0 ? r : clients_reply_bytes(clients, m, "a{oa{sa{sv}}}", &body);
}

int objects_dbus_register(Clients *clients, sd_bus *bus, GPtrArray *slots) {
        sd_bus_slot *slot = NULL;

        int r = sd_bus_add_object_manager(bus, &slot, NODE_PATH);
        if (r < 0)
                return r;
        g_ptr_array_add(slots, slot);
        r = sd_bus_add_object(bus, &slot, NODE_PATH, objects_on_message, clients);
        if (r < 0)
                return r;
        g_ptr_array_add(slots, slot);
        return 0;
}
