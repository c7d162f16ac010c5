/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reads the properties that a client needs, an a{sv}, into the members of a structure. Others are skipped, so
 * a newer service may have more of them, and what an older one does not have keeps its value. */

#include <glib.h>
#include <stddef.h>
#include <systemd/sd-bus.h>

/* The member at the offset is, by the signature: "s" a char *, "as" a char **, which are freed first, "b" a
 * bool, "i" an int32_t, "u" an uint32_t, "t" an uint64_t, "a{st}" a GArray * of PropertyEntry, which is made.
 */
typedef struct Property {
        const char *name;
        const char *signature;
        size_t offset;
} Property;

typedef struct PropertyEntry {
        char *key;
        uint64_t value;
} PropertyEntry;

/* Returns a negative errno if the message has something else, or a property has another type. */
int properties_read(sd_bus_message *m, const Property *properties, size_t n, void *object);

/* Frees what was read, except the object itself. */
void properties_clear(const Property *properties, size_t n, void *object);

/* Enters the next entry of an a{sv} that was entered, and returns its key; the caller reads the variant and
 * leaves the entry with sd_bus_message_exit_container(). Returns 0 after the last one, or a negative errno.
 */
int properties_next(sd_bus_message *m, const char **ret_key);

/* Calls the handler for each object with this interface in a reply of GetManagedObjects. It reads the
 * properties of that interface, an a{sv}, and returns a negative errno to end this. */
typedef int (*PropertyObjectHandler)(const char *path, sd_bus_message *m, void *userdata);
int properties_read_objects(
        sd_bus_message *reply, const char *interface, PropertyObjectHandler handler, void *userdata);
