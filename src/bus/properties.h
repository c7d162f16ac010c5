/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Each property has a getter, and a comparison finds the properties whose values have changed. */

#include <glib.h>
#include <systemd/sd-bus.h>

/* Defines the getter PREFIX_get_NAME() of one property. object declares the object of the vtable, and value
 * is an expression of it, as in PROPERTY_STRING(role, Scope, const Role *role, role->scope). PROPERTY() is
 * the line in the vtable, so a property without its own getter does not compile. */
#define PROPERTY_GETTER(prefix, Name) \
        static int prefix##_get_##Name(sd_bus *bus, const char *path, const char *interface, \
                const char *property, sd_bus_message *reply, void *userdata, sd_bus_error *error)
#define PROPERTY_BASIC(prefix, Name, object, type, Value, value) \
        PROPERTY_GETTER(prefix, Name) { \
                __attribute__((unused)) object = userdata; \
                const Value v = (value); \
                return sd_bus_message_append_basic(reply, (type), &v); \
        } \
        struct prefix##_get_##Name##_semicolon
#define PROPERTY_STRING(prefix, Name, object, value) /* NULL is "" */ \
        PROPERTY_GETTER(prefix, Name) { \
                __attribute__((unused)) object = userdata; \
                return sd_bus_message_append_basic(reply, 's', (value) ?: ""); \
        } \
        struct prefix##_get_##Name##_semicolon
#define PROPERTY_BOOL(prefix, Name, object, value) PROPERTY_BASIC(prefix, Name, object, 'b', int, value)
#define PROPERTY_I32(prefix, Name, object, value) PROPERTY_BASIC(prefix, Name, object, 'i', int32_t, value)
#define PROPERTY_U32(prefix, Name, object, value) PROPERTY_BASIC(prefix, Name, object, 'u', uint32_t, value)
#define PROPERTY_U64(prefix, Name, object, value) PROPERTY_BASIC(prefix, Name, object, 't', uint64_t, value)

#define PROPERTY(prefix, Name, type, flags) SD_BUS_PROPERTY(#Name, type, prefix##_get_##Name, 0, flags)

/* Returns the number of properties of the vtable that are flagged SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE. */
unsigned properties_count(const sd_bus_vtable *vtable);

/* Adds the names of all of these to names (of char *, owned by the vtable). */
void properties_add_names(const sd_bus_vtable *vtable, GPtrArray *names);

/* Adds the names of those of them whose value has changed. values has a hash of each known value, in the
 * order of the vtable, 0 if it is not known, and is updated. If the values cannot be read, all names are
 * added and no value is known any more. */
void properties_compare(sd_bus *bus, const char *path, const char *interface, const sd_bus_vtable *vtable,
        void *userdata, uint64_t *values, GPtrArray *names);
