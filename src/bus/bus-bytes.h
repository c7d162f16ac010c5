/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* D-Bus marshalling into bytes, in the byte order of this machine. sd-bus checks a type and walks over all
 * open containers for each value that is appended, and has no function that takes marshalled values. These
 * functions check nothing, so the caller appends what the signature of the message says. bus-raw.h makes a
 * message of the bytes. */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct BusBytes {
        uint8_t *data;
        size_t size;
        size_t allocated;
} BusBytes;

static inline void bus_bytes_clear(BusBytes *bytes) {
        g_free(bytes->data);
        *bytes = (BusBytes){};
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(BusBytes, bus_bytes_clear)

/* Makes room for at least n more bytes, and BUS_BYTES_SLACK behind them. */
void bus_bytes_reserve(BusBytes *bytes, size_t n);
#define BUS_BYTES_SLACK sizeof(uint64_t)

/* Appends zeros up to a multiple of align, which is 1, 2, 4 or 8, and room for n bytes, which is returned and
 * valid until the next call. This and what numbers need is inline, since an event has a hundred values. */
static inline uint8_t *bus_bytes_extend(BusBytes *bytes, size_t align, size_t n) {
        const size_t start = (bytes->size + align - 1) & ~(align - 1), end = start + n;

        if (end + BUS_BYTES_SLACK > bytes->allocated)
                bus_bytes_reserve(bytes, end - bytes->size);
        /* The padding is shorter, but a constant number of bytes costs less. */
        memset(bytes->data + bytes->size, 0, BUS_BYTES_SLACK);
        bytes->size = end;
        return bytes->data + start;
}

static inline void bus_bytes_u8(BusBytes *bytes, uint8_t value) {
        *bus_bytes_extend(bytes, 1, 1) = value;
}

static inline void bus_bytes_u32(BusBytes *bytes, uint32_t value) {
        memcpy(bus_bytes_extend(bytes, sizeof(value), sizeof(value)), &value, sizeof(value));
}

static inline void bus_bytes_u64(BusBytes *bytes, uint64_t value) {
        memcpy(bus_bytes_extend(bytes, sizeof(value), sizeof(value)), &value, sizeof(value));
}

/* s or o; the length is that without '\0'. */
void bus_bytes_string(BusBytes *bytes, const char *text, size_t length);
/* g; at most 255 bytes. */
void bus_bytes_signature(BusBytes *bytes, const char *text, size_t length);

/* The elements of an array, with this alignment, come between these two. */
size_t bus_bytes_begin_array(BusBytes *bytes, size_t align);
void bus_bytes_end_array(BusBytes *bytes, size_t begin, size_t align);

/* Appends a value. Returns false, after it has appended a part, if D-Bus has no such type. */
bool bus_bytes_gvariant(BusBytes *bytes, GVariant *value);

/* Whether D-Bus has the type, too. */
bool bus_bytes_has_type(const char *type);
