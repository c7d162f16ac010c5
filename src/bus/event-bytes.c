/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "bus/event-bytes.h"

/* The values of all details but lists have one of these types. GVariant reads the others. */
static bool detail_append_simple(BusBytes *bytes, const EventDetail *detail) {
        EventText text;
        uint32_t u32;
        uint64_t u64;

        if (detail->type_length != 1)
                return false;
        switch (detail->type[0]) {
        case 's':
                if (!event_text_read(detail->value, detail->size, &text))
                        return false;
                bus_bytes_signature(bytes, detail->type, 1);
                bus_bytes_string(bytes, text.text, text.length);
                return true;
        case 'b':
                if (detail->size != 1 || detail->value[0] > 1)
                        return false;
                bus_bytes_signature(bytes, detail->type, 1);
                bus_bytes_u32(bytes, detail->value[0]);
                return true;
        case 'i':
        case 'u':
                if (detail->size != sizeof(u32))
                        return false;
                memcpy(&u32, detail->value, sizeof(u32));
                bus_bytes_signature(bytes, detail->type, 1);
                bus_bytes_u32(bytes, u32);
                return true;
        case 't':
                if (detail->size != sizeof(u64))
                        return false;
                memcpy(&u64, detail->value, sizeof(u64));
                bus_bytes_signature(bytes, detail->type, 1);
                bus_bytes_u64(bytes, u64);
                return true;
        default:
                return false;
        }
}

static bool detail_append(BusBytes *bytes, const EventDetail *detail) {
        (void) bus_bytes_extend(bytes, 8, 0);
        bus_bytes_string(bytes, detail->key.text, detail->key.length);
        if (detail_append_simple(bytes, detail))
                return true;

        g_autofree char *type = g_strndup(detail->type, detail->type_length);
        if (!bus_bytes_has_type(type))
                return false;
        g_autoptr(GVariant) value = g_variant_ref_sink(g_variant_new_from_data(
                G_VARIANT_TYPE(type), detail->value, detail->size, false, NULL, NULL));
        if (!g_variant_is_normal_form(value))
                return false;
        bus_bytes_signature(bytes, type, detail->type_length);
        return bus_bytes_gvariant(bytes, value);
}

bool event_bytes_append(BusBytes *bytes, const EventRecord *record) {
        EventDetails details = record->details;
        EventDetail detail;
        int r;

        (void) bus_bytes_extend(bytes, 8, 0);
        bus_bytes_u64(bytes, record->sequence);
        bus_bytes_u64(bytes, record->realtime_usec);
        bus_bytes_string(bytes, record->type.text, record->type.length);
        bus_bytes_string(bytes, record->role.text, record->role.length);
        const size_t array = bus_bytes_begin_array(bytes, 8);
        while ((r = event_details_next(&details, &detail)) > 0)
                if (!detail_append(bytes, &detail))
                        return false;
        bus_bytes_end_array(bytes, array, 8);
        return r >= 0;
}
