/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Each property has a getter. sd-bus calls it for Get, GetAll and signals. The functions here call it for all
 * properties of an object, and write the values as bytes: with sd-bus each value of an object costs as much
 * as all of them as bytes. A comparison finds the properties whose values have changed. */

#include <glib.h>
#include <systemd/sd-bus.h>

#include "bus/bus-bytes.h"

/* A getter puts its value with one of these: into the reply of sd-bus, or, if reply is NULL, to where this
 * file wants it. The first one takes a pointer to a number, or a string itself. They return a negative errno
 * on failure. */
int property_put(sd_bus_message *reply, char type, const void *value);
int property_put_strings(sd_bus_message *reply, char *const *strings); /* as */
int property_put_pairs(sd_bus_message *reply, char *const *pairs);     /* a(ss) */
/* a{st}; an entry without a name is left out */
int property_put_numbers(sd_bus_message *reply, const char *const *names, const uint64_t *values, size_t n);

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
                return property_put(reply, (type), &v); \
        } \
        struct prefix##_get_##Name##_semicolon
#define PROPERTY_STRING(prefix, Name, object, value) /* NULL is "" */ \
        PROPERTY_GETTER(prefix, Name) { \
                __attribute__((unused)) object = userdata; \
                return property_put(reply, 's', (value) ?: ""); \
        } \
        struct prefix##_get_##Name##_semicolon
#define PROPERTY_STRINGS(prefix, Name, object, value) /* NULL is empty */ \
        PROPERTY_GETTER(prefix, Name) { \
                object = userdata; \
                return property_put_strings(reply, value); \
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
void properties_compare(const sd_bus_vtable *vtable, void *userdata, uint64_t *values, GPtrArray *names);

/* Appends all properties of the vtable, as the entries of an a{sv} that is open. Returns a negative errno
 * after it has appended a part. */
int properties_append(const sd_bus_vtable *vtable, void *userdata, BusBytes *bytes);
