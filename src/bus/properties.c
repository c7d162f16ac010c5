/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <string.h>

#include "bus/properties.h"

/* FNV-1a with 64 bits. Two successive values of one property practically never have the same hash. */
#define PROPERTY_HASH_SEED UINT64_C(0xcbf29ce484222325)
#define PROPERTY_HASH_PRIME UINT64_C(0x100000001b3)

/* Where a getter without a reply puts its value. */
static BusBytes *property_bytes;

/* -- getters -- */

static void property_put_string(const char *text) {
        bus_bytes_string(property_bytes, text, strlen(text));
}

int property_put(sd_bus_message *reply, char type, const void *value) {
        if (reply)
                return sd_bus_message_append_basic(reply, type, value);
        switch (type) {
        case 's':
                property_put_string(value);
                return 0;
        case 'b':
        case 'i':
        case 'u':
                bus_bytes_u32(property_bytes, *(const uint32_t *) value);
                return 0;
        case 't':
                bus_bytes_u64(property_bytes, *(const uint64_t *) value);
                return 0;
        default:
                return -EINVAL;
        }
}

int property_put_strings(sd_bus_message *reply, char *const *strings) {
        if (reply)
                return sd_bus_message_append_strv(reply, (char **) strings);

        const size_t begin = bus_bytes_begin_array(property_bytes, 4);
        for (char *const *s = strings; s && *s; s++)
                property_put_string(*s);
        bus_bytes_end_array(property_bytes, begin, 4);
        return 0;
}

static int property_append_pairs(sd_bus_message *reply, char *const *pairs) {
        int r = sd_bus_message_open_container(reply, 'a', "(ss)");

        for (char *const *p = pairs; r >= 0 && p && *p; p += 2)
                r = sd_bus_message_append(reply, "(ss)", p[0], p[1]);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int property_put_pairs(sd_bus_message *reply, char *const *pairs) {
        if (reply)
                return property_append_pairs(reply, pairs);

        const size_t begin = bus_bytes_begin_array(property_bytes, 8);
        for (char *const *p = pairs; p && *p; p += 2) {
                (void) bus_bytes_extend(property_bytes, 8, 0);
                property_put_string(p[0]);
                property_put_string(p[1]);
        }
        bus_bytes_end_array(property_bytes, begin, 8);
        return 0;
}

static int property_append_numbers(
        sd_bus_message *reply, const char *const *names, const uint64_t *values, size_t n) {
        int r = sd_bus_message_open_container(reply, 'a', "{st}");

        for (size_t i = 0; r >= 0 && i < n; i++)
                if (names[i])
                        r = sd_bus_message_append(reply, "{st}", names[i], values[i]);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int property_put_numbers(sd_bus_message *reply, const char *const *names, const uint64_t *values, size_t n) {
        if (reply)
                return property_append_numbers(reply, names, values, n);

        const size_t begin = bus_bytes_begin_array(property_bytes, 8);
        for (size_t i = 0; i < n; i++) {
                if (!names[i])
                        continue;
                (void) bus_bytes_extend(property_bytes, 8, 0);
                property_put_string(names[i]);
                bus_bytes_u64(property_bytes, values[i]);
        }
        bus_bytes_end_array(property_bytes, begin, 8);
        return 0;
}

/* -- all properties of an object -- */

static bool property_is_one(const sd_bus_vtable *v) {
        return v->type == _SD_BUS_VTABLE_PROPERTY || v->type == _SD_BUS_VTABLE_WRITABLE_PROPERTY;
}

/* Appends the value alone. */
static int property_read(const sd_bus_vtable *v, void *userdata, BusBytes *bytes) {
        property_bytes = bytes;
        int r = v->x.property.get(
                NULL, NULL, NULL, v->x.property.member, NULL, (char *) userdata + v->x.property.offset, NULL);
        property_bytes = NULL;
        return r;
}

int properties_append(const sd_bus_vtable *vtable, void *userdata, BusBytes *bytes) {
        int r = 0;

        for (const sd_bus_vtable *v = vtable; r >= 0 && v->type != _SD_BUS_VTABLE_END; v++) {
                if (!property_is_one(v))
                        continue;
                (void) bus_bytes_extend(bytes, 8, 0);
                bus_bytes_string(bytes, v->x.property.member, strlen(v->x.property.member));
                bus_bytes_signature(bytes, v->x.property.signature, strlen(v->x.property.signature));
                r = property_read(v, userdata, bytes);
        }
        return MIN(r, 0);
}

/* -- changes -- */

static bool property_emits_change(const sd_bus_vtable *v) {
        return property_is_one(v) && (v->flags & SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE) != 0;
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

static uint64_t property_hash(const BusBytes *value) {
        uint64_t hash = PROPERTY_HASH_SEED;

        for (size_t i = 0; i < value->size; i++)
                hash = (hash ^ value->data[i]) * PROPERTY_HASH_PRIME;
        return MAX(hash, 1); /* 0 means unknown */
}

void properties_compare(const sd_bus_vtable *vtable, void *userdata, uint64_t *values, GPtrArray *names) {
        g_auto(BusBytes) bytes = {};
        const unsigned n = names->len;
        uint64_t *value = values;
        int r = 0;

        for (const sd_bus_vtable *v = vtable; r >= 0 && (v = property_next(v)); value++) {
                bytes.size = 0;
                r = property_read(v, userdata, &bytes);
                const uint64_t hash = r < 0 ? 0 : property_hash(&bytes);
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
