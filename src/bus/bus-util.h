/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Helpers for sd-bus. All of them return a negative errno on failure. */

#include <stdint.h>

#include "util/autoptr.h"

/* These functions read the value of the option key by its meaning: from the variant that comes next in the
 * message, and through the variants in it. Languages that do not write D-Bus types send plain values; each
 * key has one type, so no value is ambiguous. Otherwise they return -EINVAL, and *error names the key, the
 * type that it has and the type that it must have. */

/* Read an integer of any type, or its decimal digits in a string, with a value from min to max. */
int bus_read_variant_unsigned(
        sd_bus_message *m, const char *key, uint64_t min, uint64_t max, uint64_t *ret, sd_bus_error *error);
int bus_read_variant_signed(
        sd_bus_message *m, const char *key, int64_t min, int64_t max, int64_t *ret, sd_bus_error *error);
/* Strings are owned by the message. */
int bus_read_variant_string(sd_bus_message *m, const char *key, const char **ret, sd_bus_error *error);
int bus_read_variant_bool(sd_bus_message *m, const char *key, bool *ret, sd_bus_error *error);

/* Reads an array of at most n_max such numbers, or of variants of them, as an array of uint64_t, which the
 * caller unrefs. */
int bus_read_variant_unsigned_array(sd_bus_message *m, const char *key, uint64_t min, uint64_t max,
        unsigned n_max, GArray **ret, sd_bus_error *error);

/* Reads an as, or an av of strings, into a GStrv, which the caller frees. */
int bus_read_variant_strings(
        sd_bus_message *m, const char *key, unsigned max, char ***ret, sd_bus_error *error);

/* Calls add() with each element of an aas, or of an av of as, until it returns a negative errno, which is
 * returned. A list has at most max strings. */
int bus_read_variant_string_lists(sd_bus_message *m, const char *key, unsigned max,
        int (*add)(char **strings, void *userdata, sd_bus_error *error), void *userdata, sd_bus_error *error);

/* Calls add() with each element of an a(ss), or of an av of (ss), until it returns a negative errno, which is
 * returned. */
int bus_read_variant_pairs(sd_bus_message *m, const char *key,
        int (*add)(const char *first, const char *second, void *userdata, sd_bus_error *error),
        void *userdata, sd_bus_error *error);

/* The same for the entries of an a{ss}, or of an a{sv} of strings; and for those of a dictionary of integers
 * of any type, of decimal digits or of variants of them. */
int bus_read_variant_string_entries(sd_bus_message *m, const char *key,
        int (*add)(const char *name, const char *value, void *userdata, sd_bus_error *error), void *userdata,
        sd_bus_error *error);
int bus_read_variant_unsigned_entries(sd_bus_message *m, const char *key,
        int (*add)(const char *name, uint64_t value, void *userdata, sd_bus_error *error), void *userdata,
        sd_bus_error *error);

#define BUS_OPTIONS_MAX 128

/* The table of the options that a method takes as an a{sv}. An entry may be larger than a BusOption, but must
 * begin with its members. The type is the one in the documentation and in the clients; the reader of an
 * option may accept others. */
typedef struct BusOption {
        const char *key; /* NULL: the entry is no option of the method */
        const char *type;
} BusOption;

typedef struct BusOptions {
        const char *method;
        const void *entries;
        size_t entry_size;
        size_t n_entries; /* at most BUS_OPTIONS_MAX */
        /* Called when the message is at the variant. Returns a negative errno if *error is set. */
        int (*read)(sd_bus_message *m, const BusOption *option, void *userdata, sd_bus_error *error);
} BusOptions;

const BusOption *bus_options_get(const BusOptions *options, size_t i);

/* Reads all options. An unknown option, or one that is given twice, is an error (-EINVAL). */
int bus_read_options(sd_bus_message *m, const BusOptions *options, void *userdata, sd_bus_error *error);

/* Reads an "as" with at most max strings into a GStrv, which the caller frees. what names it in the message
 * of an error ("The command"). sd_bus_message_read_strv() is not used, because its run time grows with the
 * square of the length. */
int bus_read_strings(sd_bus_message *m, const char *what, unsigned max, char ***ret, sd_bus_error *error);

/* Appends one entry of an a{sv}. */
int bus_append_entry(sd_bus_message *m, const char *key, const char *type, ...);

/* Queues a message that was received for another reception, after those that are queued already, and rewinds
 * it. The bus takes a reference of its own. Returns -ENOBUFS if too many messages are queued. */
int bus_message_requeue(sd_bus *bus, sd_bus_message *m);

/* Waits until the bus daemon has read everything that was sent before. It handles messages in order, and it
 * has replied to a call that was sent last. Blocks, but not longer than the timeout. Returns -ENOTCONN if the
 * connection is not established yet or is gone, and -ETIMEDOUT after the timeout. */
int bus_round_trip(sd_bus *bus, uint64_t timeout_usec);

/* Appends a value. Returns -EOPNOTSUPP if its type has a maybe or a descriptor. */
int bus_append_gvariant(sd_bus_message *m, GVariant *value);
/* Appends only the elements of a container, to a container that is open. */
int bus_append_gvariant_elements(sd_bus_message *m, GVariant *container);
