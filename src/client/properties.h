/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reads the properties that a verb needs, an a{sv}, into the members of a structure. Others are skipped, so a
 * newer service may have more of them, and what an older one does not have keeps its value. */

#include <glib.h>
#include <stddef.h>
#include <systemd/sd-bus.h>

/* The member at the offset is, by the signature: "s" a char *, "as" a char **, which are freed first, "b" a
 * bool, "i" an int32_t, "u" an uint32_t, "t" an uint64_t, "a{st}" a GArray * of CtlEntry, which is made. */
typedef struct CtlProperty {
        const char *name;
        const char *signature;
        size_t offset;
} CtlProperty;

typedef struct CtlEntry {
        char *key;
        uint64_t value;
} CtlEntry;

/* Returns a negative errno if the message has something else, or a property has another type. */
int ctl_read_properties(sd_bus_message *m, const CtlProperty *properties, size_t n, void *object);

/* Frees what was read, except the object itself. */
void ctl_clear_properties(const CtlProperty *properties, size_t n, void *object);
