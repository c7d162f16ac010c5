/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "client/properties.h"

static void entry_clear(void *p) {
        g_free(((PropertyEntry *) p)->key);
}

static int read_entries(sd_bus_message *m, GArray **ret) {
        g_autoptr(GArray) entries = g_array_new(false, false, sizeof(PropertyEntry));
        const char *key;
        PropertyEntry entry;

        g_array_set_clear_func(entries, entry_clear);
        int r = sd_bus_message_enter_container(m, 'a', "{st}");
        while (r >= 0 && (r = sd_bus_message_read(m, "{st}", &key, &entry.value)) > 0) {
                entry.key = g_strdup(key);
                g_array_append_val(entries, entry);
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r < 0)
                return r;
        g_clear_pointer(ret, g_array_unref);
        *ret = g_steal_pointer(&entries);
        return 0;
}

static int read_strings(sd_bus_message *m, char ***ret) {
        char **strings = NULL;

        int r = sd_bus_message_read_strv(m, &strings);
        if (r < 0)
                return r;
        g_strfreev(*ret);
        *ret = strings ?: g_new0(char *, 1); /* that of libsystemd is NULL if it is empty */
        return 0;
}

static int read_string(sd_bus_message *m, char **ret) {
        const char *text;

        int r = sd_bus_message_read_basic(m, 's', &text);
        if (r < 0)
                return r;
        g_free(*ret);
        *ret = g_strdup(text);
        return 0;
}

static int read_flag(sd_bus_message *m, bool *ret) {
        int flag;

        int r = sd_bus_message_read_basic(m, 'b', &flag);
        if (r >= 0)
                *ret = flag;
        return r;
}

static int read_value(sd_bus_message *m, const Property *property, void *object) {
        void *member = (uint8_t *) object + property->offset;

        int r = sd_bus_message_enter_container(m, 'v', property->signature);
        if (r < 0)
                return r;
        if (strcmp(property->signature, "as") == 0)
                r = read_strings(m, member);
        else if (strcmp(property->signature, "a{st}") == 0)
                r = read_entries(m, member);
        else if (property->signature[0] == 's')
                r = read_string(m, member);
        else if (property->signature[0] == 'b')
                r = read_flag(m, member);
        else
                r = sd_bus_message_read_basic(m, property->signature[0], member);
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static const Property *property_find(const Property *properties, size_t n, const char *name) {
        for (size_t i = 0; i < n; i++)
                if (strcmp(properties[i].name, name) == 0)
                        return &properties[i];
        return NULL;
}

int properties_next(sd_bus_message *m, const char **ret_key) {
        int r = sd_bus_message_enter_container(m, 'e', "sv");

        return r > 0 ? sd_bus_message_read_basic(m, 's', ret_key) : r;
}

int properties_read(sd_bus_message *m, const Property *properties, size_t n, void *object) {
        const char *name;

        int r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0 && (r = properties_next(m, &name)) > 0) {
                const Property *property = property_find(properties, n, name);
                r = property ? read_value(m, property, object) : sd_bus_message_skip(m, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

void properties_clear(const Property *properties, size_t n, void *object) {
        for (size_t i = 0; i < n; i++) {
                void *member = (uint8_t *) object + properties[i].offset;

                if (strcmp(properties[i].signature, "as") == 0)
                        g_clear_pointer((char ***) member, g_strfreev);
                else if (strcmp(properties[i].signature, "a{st}") == 0)
                        g_clear_pointer((GArray **) member, g_array_unref);
                else if (properties[i].signature[0] == 's')
                        g_clear_pointer((char **) member, g_free);
        }
}

static int read_object(
        sd_bus_message *m, const char *interface, PropertyObjectHandler handler, void *userdata) {
        const char *path, *found;

        int r = sd_bus_message_read_basic(m, 'o', &path);
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "{sa{sv}}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sa{sv}")) > 0) {
                r = sd_bus_message_read_basic(m, 's', &found);
                if (r < 0)
                        return r;
                r = strcmp(found, interface) == 0 ? handler(path, m, userdata)
                                                  : sd_bus_message_skip(m, "a{sv}");
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

int properties_read_objects(
        sd_bus_message *reply, const char *interface, PropertyObjectHandler handler, void *userdata) {
        int r = sd_bus_message_enter_container(reply, 'a', "{oa{sa{sv}}}");

        while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'e', "oa{sa{sv}}")) > 0) {
                r = read_object(reply, interface, handler, userdata);
                if (r >= 0)
                        r = sd_bus_message_exit_container(reply);
        }
        return r < 0 ? r : sd_bus_message_exit_container(reply);
}
