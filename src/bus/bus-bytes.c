/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "bus/bus-bytes.h"

#define SIGNATURE_MAX 255U
/* D-Bus permits 32 arrays and 32 structures within each other, and 64 containers. */
#define DEPTH_MAX 32U

void bus_bytes_reserve(BusBytes *bytes, size_t n) {
        const size_t needed = bytes->size + n + BUS_BYTES_SLACK;

        if (needed <= bytes->allocated)
                return;
        bytes->allocated = MAX(2 * bytes->allocated, needed + 4096);
        bytes->data = g_realloc(bytes->data, bytes->allocated);
}

void bus_bytes_string(BusBytes *bytes, const char *text, size_t length) {
        const uint32_t prefix = (uint32_t) length;
        uint8_t *p = bus_bytes_extend(bytes, sizeof(prefix), sizeof(prefix) + length + 1);

        memcpy(p, &prefix, sizeof(prefix));
        memcpy(p + sizeof(prefix), text, length);
        p[sizeof(prefix) + length] = '\0';
}

void bus_bytes_signature(BusBytes *bytes, const char *text, size_t length) {
        g_assert(length <= SIGNATURE_MAX);
        uint8_t *p = bus_bytes_extend(bytes, 1, length + 2);

        p[0] = (uint8_t) length;
        memcpy(p + 1, text, length);
        p[length + 1] = '\0';
}

size_t bus_bytes_begin_array(BusBytes *bytes, size_t align) {
        bus_bytes_u32(bytes, 0);
        const size_t begin = bytes->size;
        (void) bus_bytes_extend(bytes, align, 0);
        return begin;
}

void bus_bytes_end_array(BusBytes *bytes, size_t begin, size_t align) {
        /* The padding before the first element does not count. */
        const uint32_t size = (uint32_t) (bytes->size - ((begin + align - 1) & ~(align - 1)));

        memcpy(bytes->data + begin - sizeof(size), &size, sizeof(size));
}

bool bus_bytes_has_type(const char *type) {
        unsigned n_containers = 0;

        if (!g_variant_type_string_is_valid(type) || strlen(type) > SIGNATURE_MAX || strpbrk(type, "mh*?r") ||
                strstr(type, "()"))
                return false;
        for (const char *p = type; *p; p++)
                n_containers += *p == 'a' || *p == '(' || *p == '{';
        return n_containers <= DEPTH_MAX;
}

static size_t type_alignment(char type) {
        switch (type) {
        case 'y':
        case 'g':
        case 'v':
                return 1;
        case 'n':
        case 'q':
                return 2;
        case 'x':
        case 't':
        case 'd':
        case '(':
        case '{':
                return 8;
        default:
                return 4;
        }
}

static bool append_value(BusBytes *bytes, GVariant *value, unsigned depth);

static bool append_children(BusBytes *bytes, GVariant *value, unsigned depth) {
        const size_t n = g_variant_n_children(value);

        for (size_t i = 0; i < n; i++) {
                g_autoptr(GVariant) child = g_variant_get_child_value(value, i);

                if (!append_value(bytes, child, depth + 1))
                        return false;
        }
        return true;
}

static bool append_value(BusBytes *bytes, GVariant *value, unsigned depth) {
        const char *type = g_variant_get_type_string(value);
        const size_t align = type_alignment(type[0]);
        const char *text;
        size_t size;

        if (depth > DEPTH_MAX)
                return false;
        switch (type[0]) {
        case 'b':
                bus_bytes_u32(bytes, g_variant_get_boolean(value));
                return true;
        case 's':
        case 'o':
                text = g_variant_get_string(value, &size);
                bus_bytes_string(bytes, text, size);
                return true;
        case 'g': {
                text = g_variant_get_string(value, &size);
                g_autofree char *types = g_strconcat("(", text, ")", NULL);

                if (size > 0 && !bus_bytes_has_type(types))
                        return false;
                bus_bytes_signature(bytes, text, size);
                return true;
        }
        case 'v': {
                g_autoptr(GVariant) child = g_variant_get_variant(value);
                const char *inside = g_variant_get_type_string(child);

                if (!bus_bytes_has_type(inside))
                        return false;
                bus_bytes_signature(bytes, inside, strlen(inside));
                return append_value(bytes, child, depth + 1);
        }
        case 'a': {
                const size_t inside = type_alignment(type[1]), begin = bus_bytes_begin_array(bytes, inside);

                if (!append_children(bytes, value, depth))
                        return false;
                bus_bytes_end_array(bytes, begin, inside);
                return true;
        }
        case '(':
        case '{':
                (void) bus_bytes_extend(bytes, align, 0);
                return append_children(bytes, value, depth);
        default: /* a number, whose size is its alignment */
                memcpy(bus_bytes_extend(bytes, align, align), g_variant_get_data(value), align);
                return true;
        }
}

bool bus_bytes_gvariant(BusBytes *bytes, GVariant *value) {
        return bus_bytes_has_type(g_variant_get_type_string(value)) && append_value(bytes, value, 0);
}
