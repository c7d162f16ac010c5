/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Small helpers around sd-bus. */

#include <stdint.h>

#include "util/autoptr.h"

#define BUS_ERROR_INVALID_ARGS SD_BUS_ERROR_INVALID_ARGS

/* Any D-Bus integer type, as a key of options takes it: reads the variant that comes next in the message if it holds
 * an integer between min and max. On failure *error says that the option named key must be such a number: -EINVAL. */
int bus_read_variant_unsigned(
        sd_bus_message *m, const char *key, uint64_t min, uint64_t max, uint64_t *ret, sd_bus_error *error);
int bus_read_variant_signed(
        sd_bus_message *m, const char *key, int64_t min, int64_t max, int64_t *ret, sd_bus_error *error);

/* An array of at most n_max of them, of any integer type, as one of uint64_t. */
int bus_read_variant_unsigned_array(sd_bus_message *m, const char *key, uint64_t min, uint64_t max,
        unsigned n_max, GArray **ret, sd_bus_error *error);

/* A variant of exactly this type; on failure *error names the key, what it holds and what it must hold. */
int bus_enter_variant(sd_bus_message *m, const char *key, const char *type, sd_bus_error *error);
int bus_read_variant_string(sd_bus_message *m, const char *key, const char **ret, sd_bus_error *error);
int bus_read_variant_bool(sd_bus_message *m, const char *key, bool *ret, sd_bus_error *error);

/* The table of the options that a method takes as an a{sv}. Entries may be larger than a BusOption, which they begin with. The type
 * is the one that documentation and clients use; that an option accepts every integer type is its reader's decision. */
typedef struct BusOption {
        const char *key;
        const char *type;
} BusOption;

typedef struct BusOptions {
        const char *method;
        const void *entries;
        size_t entry_size;
        size_t n_entries; /* at most 64 */
        /* The message is at the variant. */
        int (*read)(sd_bus_message *m, const BusOption *option, void *userdata, sd_bus_error *error);
} BusOptions;

const BusOption *bus_options_get(const BusOptions *options, size_t i);

/* Each option at most once and none unknown, which are errors. */
int bus_read_options(sd_bus_message *m, const BusOptions *options, void *userdata, sd_bus_error *error);

/* An "as" with at most max strings, as GLib's strv (the caller g_strfreev()s); what names it for people: "The command". Not
 * sd_bus_message_read_strv(): that takes a time that grows with the square of the length. */
int bus_read_strings(sd_bus_message *m, const char *what, unsigned max, char ***ret, sd_bus_error *error);

/* One entry of an a{sv}. */
int bus_append_entry(sd_bus_message *m, const char *key, const char *type, ...);

/* A message that was read comes once more, behind those that are read already, and is read from its beginning. The bus takes a
 * reference of its own. 0, or -ENOBUFS: too many wait already. */
int bus_message_requeue(sd_bus *bus, sd_bus_message *m);

/* When this returns 0 the bus daemon has read all that was sent before: it takes its messages in their order, and has answered a
 * question that came after. Blocks, but no longer than this; -ENOTCONN: the connection has not been made, or is gone. */
int bus_round_trip(sd_bus *bus, uint64_t timeout_usec);

/* A value of any type but descriptors. */
int bus_append_gvariant(sd_bus_message *m, GVariant *value);
/* Only the elements of a container, into one that is open. */
int bus_append_gvariant_elements(sd_bus_message *m, GVariant *container);
