/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "base/time-util.h"
#include "bus/announce.h"
#include "bus/properties.h"
#include "bus/role-dbus.h"
#include "proto/node-names.h"
#include "util/autoptr.h"
#include "util/log.h"

/* Changes are held while more messages than this are unwritten. No change is lost, and a slow bus does not
 * receive even more. */
#define ANNOUNCE_QUEUE_MAX 256U

/* The time from the first change until all are sent, together. A start or a stop changes a role several times
 * in less. What has ended is told before, by its own signal, and the clients receive that while this process
 * does nothing else, see role-end.h. */
#define ANNOUNCE_USEC (10 * USEC_PER_MSEC)

/* The object of a name. Each run of the name passes it to the next run. */
typedef struct RoleObject {
        GList dirty_link; /* in clients->dirty */
        bool dirty;
        bool announced;    /* the clients know the object */
        sd_id128_t run;    /* the clients know the options of this run */
        const char *name;  /* behind the values */
        uint64_t values[]; /* hashes of the properties in role_vtable, see properties_compare() */
} RoleObject;

static RoleObject *role_object_get(Clients *clients, const char *name) {
        RoleObject *object = g_hash_table_lookup(clients->role_objects, name);

        if (!object) {
                const unsigned n = properties_count(role_vtable);
                const size_t size = strlen(name) + 1;

                object = g_malloc0(sizeof(RoleObject) + n * sizeof(uint64_t) + size);
                object->name = memcpy(&object->values[n], name, size);
                object->dirty_link.data = object;
                (void) g_hash_table_insert(clients->role_objects, (char *) object->name, object);
        }
        return object;
}

static void role_object_clean(Clients *clients, RoleObject *object) {
        if (object->dirty)
                g_queue_unlink(&clients->dirty, &object->dirty_link);
        object->dirty = false;
}

/* After this call every property counts as changed. */
static void role_object_forget(RoleObject *object) {
        memset(object->values, 0, properties_count(role_vtable) * sizeof(uint64_t));
        object->run = SD_ID128_NULL;
}

/* Returns the names of the properties that the clients do not know yet, and records them as known. The
 * vtables own the names. */
static GPtrArray *role_object_compare(RoleObject *object, const Role *role) {
        GPtrArray *names = g_ptr_array_new();

        properties_compare(role_vtable, (void *) role, object->values, names);
        /* Options never change during a run, and the command alone may be as large as a message. */
        if (!sd_id128_equal(object->run, role->invocation))
                properties_add_names(role_spec_vtable, names);
        object->run = role->invocation;
        return names;
}

static int announce_emit(Clients *clients, const char *path, const char *interface, GPtrArray *names) {
        if (names->len == 0)
                return 0;
        g_ptr_array_add(names, NULL);
        return sd_bus_emit_properties_changed_strv(clients->bus, path, interface, (char **) names->pdata);
}

void announce_role(Clients *clients, Role *role) {
        RoleObject *object = role_object_get(clients, role->name);
        g_autofree char *path = role_dbus_path(role->name);

        role_object_clean(clients, object);
        g_autoptr(GPtrArray) names = role_object_compare(object, role);
        int r = object->announced ? announce_emit(clients, path, NODE_ROLE_INTERFACE, names)
                                  : sd_bus_emit_object_added(clients->bus, path);
        if (r < 0) {
                log_warning_errno(r, "Cannot announce changes of %s, ignoring: %m", path);
                role_object_forget(object);
                return;
        }
        object->announced = true;
}

static void announce_node(Clients *clients) {
        g_autoptr(GPtrArray) names = g_ptr_array_new();
        uint64_t *values = (uint64_t *) clients->node_values->data;

        clients->node_dirty = false;
        for (unsigned i = 0; i < clients->node_vtables->len; i++) {
                const sd_bus_vtable *vtable = g_ptr_array_index(clients->node_vtables, i);

                properties_compare(vtable, clients, values, names);
                values += properties_count(vtable);
        }
        int r = announce_emit(clients, NODE_PATH, NODE_INTERFACE, names);
        if (r < 0) {
                log_warning_errno(r, "Cannot announce changes of the node, ignoring: %m");
                memset(clients->node_values->data, 0, clients->node_values->len * sizeof(uint64_t));
        }
}

static int announce_on_time(sd_event_source *s, uint64_t usec, void *userdata) {
        Clients *clients = userdata;
        uint64_t queued = 0;

        while (!g_queue_is_empty(&clients->dirty) && sd_bus_get_n_queued_write(clients->bus, &queued) >= 0 &&
                queued <= ANNOUNCE_QUEUE_MAX) {
                RoleObject *object = g_queue_peek_head(&clients->dirty);

                announce_role(clients, g_hash_table_lookup(clients->node->roles, object->name));
        }
        if (clients->node_dirty)
                announce_node(clients);
        return 0;
}

static void announce_schedule(Clients *clients, uint64_t usec) {
        int enabled = SD_EVENT_OFF;

        int r = sd_event_source_get_enabled(clients->announce, &enabled);
        if (enabled != SD_EVENT_OFF)
                return;
        if (r >= 0)
                r = sd_event_source_set_time_relative(clients->announce, usec);
        if (r >= 0)
                r = sd_event_source_set_enabled(clients->announce, SD_EVENT_ONESHOT);
        if (r < 0)
                log_warning_errno(r, "Cannot schedule announcements, ignoring: %m");
}

void announce_resume(Clients *clients, uint64_t queued) {
        if (queued <= ANNOUNCE_QUEUE_MAX && !g_queue_is_empty(&clients->dirty))
                announce_schedule(clients, 0);
}

void announce_role_changed(void *data, Role *role) {
        Clients *clients = data;

        if (role->successor)
                return; /* the object belongs to the new run */
        RoleObject *object = role_object_get(clients, role->name);
        if (!object->dirty)
                g_queue_push_tail_link(&clients->dirty, &object->dirty_link);
        object->dirty = true;
        announce_schedule(clients, ANNOUNCE_USEC);
}

void announce_node_changed(void *data) {
        Clients *clients = data;

        clients->node_dirty = true;
        announce_schedule(clients, ANNOUNCE_USEC);
}

void announce_role_removed(void *data, Role *role) {
        Clients *clients = data;
        RoleObject *object = role_object_get(clients, role->name);
        g_autofree char *path = role_dbus_path(role->name);
        bool announced = object->announced;

        role_object_clean(clients, object);
        (void) g_hash_table_remove(clients->role_objects, role->name);
        if (!announced)
                return;
        int r = sd_bus_emit_interfaces_removed(clients->bus, path, NODE_ROLE_INTERFACE, NULL);
        if (r < 0)
                log_warning_errno(r, "Cannot announce that %s is gone, ignoring: %m", path);
}

void announce_adopt_roles(Clients *clients) {
        GHashTableIter iter;
        char *name;

        g_hash_table_iter_init(&iter, clients->node->roles);
        while (g_hash_table_iter_next(&iter, (void **) &name, NULL))
                role_object_get(clients, name)->announced = true;
}

int announce_setup(Clients *clients) {
        clients->role_objects = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
        clients->node_vtables = g_ptr_array_new();
        clients->node_values = g_array_new(false, true, sizeof(uint64_t));
        int r = sd_event_add_time_relative(clients->event, &clients->announce, CLOCK_MONOTONIC, ANNOUNCE_USEC,
                1, announce_on_time, clients);
        if (r >= 0)
                r = sd_event_source_set_enabled(clients->announce, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_source_set_priority(clients->announce, SD_EVENT_PRIORITY_IDLE);
        return r;
}

void announce_free(Clients *clients) {
        sd_event_source_disable_unref(clients->announce);
        g_hash_table_unref(clients->role_objects);
        g_ptr_array_unref(clients->node_vtables);
        g_array_unref(clients->node_values);
}
