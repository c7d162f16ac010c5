/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Properties: a getter for each, and the comparison that finds those whose values have changed. */

#include <glib.h>
#include <systemd/sd-bus.h>

/* The getter PREFIX_get_NAME() of one property. object declares the object of the vtable, which value is an expression of:
 * PROPERTY_STRING(role, Scope, const Role *role, role->scope). PROPERTY() is its line in the vtable: a property without a getter of
 * its own does not compile. */
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
#define PROPERTY_STRING(prefix, Name, object, value) /* NULL: "" */ \
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

/* How many properties of the vtable are flagged SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE. */
unsigned properties_count(const sd_bus_vtable *vtable);

/* Adds to names (of char *, owned by the vtable) all of these. */
void properties_add_names(const sd_bus_vtable *vtable, GPtrArray *names);

/* The same for those whose value, as the getter returns it, is another than the one of which values keeps a hash, in the order of the
 * vtable; values then keeps the new one. 0 is the hash of a value that is not known. If the values cannot be read all
 * names are added, and no value is known. */
void properties_compare(sd_bus *bus, const char *path, const char *interface, const sd_bus_vtable *vtable,
        void *userdata, uint64_t *values, GPtrArray *names);
