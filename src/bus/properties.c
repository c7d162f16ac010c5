/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "bus/properties.h"
#include "util/autoptr.h"

/* FNV-1a with 64 bits. Two successive values of one property practically never have the same hash. */
#define PROPERTY_HASH_SEED UINT64_C(0xcbf29ce484222325)
#define PROPERTY_HASH_PRIME UINT64_C(0x100000001b3)

static bool property_emits_change(const sd_bus_vtable *v) {
        return (v->type == _SD_BUS_VTABLE_PROPERTY || v->type == _SD_BUS_VTABLE_WRITABLE_PROPERTY) &&
               (v->flags & SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE) != 0;
}

/* Returns the property after v, or the first one of the vtable that begins at v, or NULL if there is none. */
static const sd_bus_vtable *property_next(const sd_bus_vtable *v) {
        do
                v++;
        while (v->type != _SD_BUS_VTABLE_END && !property_emits_change(v));
        return v->type == _SD_BUS_VTABLE_END ? NULL : v;
}

unsigned properties_count(const sd_bus_vtable *vtable) {
        unsigned n = 0;

        for (const sd_bus_vtable *v = vtable; (v = property_next(v));)
                n++;
        return n;
}

void properties_add_names(const sd_bus_vtable *vtable, GPtrArray *names) {
        for (const sd_bus_vtable *v = vtable; (v = property_next(v));)
                g_ptr_array_add(names, (char *) v->x.property.member);
}

static uint64_t property_hash_bytes(uint64_t hash, const void *data, size_t size) {
        for (const uint8_t *byte = data, *end = byte + size; byte < end; byte++)
                hash = (hash ^ *byte) * PROPERTY_HASH_PRIME;
        return hash;
}

static int property_hash_basic(sd_bus_message *m, char type, uint64_t *hash) {
        union {
                const char *string;
                uint64_t bits;
        } value = {};

        int r = sd_bus_message_read_basic(m, type, &value);
        if (r < 0)
                return r;
        /* A number sets a part of the bits, the rest is 0. A string includes its NUL. */
        *hash = type == 's' || type == 'o' || type == 'g'
                        ? property_hash_bytes(*hash, value.string, strlen(value.string) + 1)
                        : property_hash_bytes(*hash, &value.bits, sizeof(value.bits));
        return 1;
}

/* Hashes one complete value. Returns 0 at the end of the container. */
static int property_hash_value(sd_bus_message *m, uint64_t *hash) {
        const char *contents;
        char type;

        int r = sd_bus_message_peek_type(m, &type, &contents);
        if (r <= 0)
                return r;
        *hash = property_hash_bytes(*hash, &type, 1);
        if (!contents)
                return property_hash_basic(m, type, hash);

        r = sd_bus_message_enter_container(m, type, contents);
        while (r > 0)
                r = property_hash_value(m, hash);
        *hash = property_hash_bytes(*hash, ")", 1);
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        return r < 0 ? r : 1;
}

/* Collects the values that the getters return, in a message that is never sent. */
static int properties_read(sd_bus *bus, const char *path, const char *interface, const sd_bus_vtable *vtable,
        void *userdata, sd_bus_message **ret) {
        g_autoptr(sd_bus_message) m = NULL;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        int r = sd_bus_message_new_signal(
                bus, &m, path, "org.freedesktop.DBus.Properties", "PropertiesChanged");
        for (const sd_bus_vtable *v = vtable; r >= 0 && (v = property_next(v));)
                r = v->x.property.get(bus, path, interface, v->x.property.member, m,
                        (char *) userdata + v->x.property.offset, &error);
        if (r >= 0)
                r = sd_bus_message_seal(m, 1, 0);
        if (r >= 0)
                r = sd_bus_message_rewind(m, true);
        if (r >= 0)
                *ret = g_steal_pointer(&m);
        return MIN(r, 0);
}

void properties_compare(sd_bus *bus, const char *path, const char *interface, const sd_bus_vtable *vtable,
        void *userdata, uint64_t *values, GPtrArray *names) {
        g_autoptr(sd_bus_message) m = NULL;
        const unsigned n = names->len;
        uint64_t *value = values;

        int r = properties_read(bus, path, interface, vtable, userdata, &m);
        for (const sd_bus_vtable *v = vtable; r >= 0 && (v = property_next(v)); value++) {
                uint64_t hash = PROPERTY_HASH_SEED;

                r = property_hash_value(m, &hash);
                hash = MAX(hash, 1); /* 0 means unknown */
                if (r < 0 || hash == *value)
                        continue;
                *value = hash;
                g_ptr_array_add(names, (char *) v->x.property.member);
        }
        if (r < 0) {
                g_ptr_array_set_size(names, (int) n);
                properties_add_names(vtable, names);
                memset(values, 0, properties_count(vtable) * sizeof(*values));
        }
}
