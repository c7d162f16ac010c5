/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A record of the event log, which may be damaged, as an element of the reply of EventsSince. Whatever it
 * contains, the reply is a valid message, because the bus daemon would end the connection otherwise. If
 * GVariant finds the record valid, the reply is what GVariant reads of it. */

#include <gio/gio.h>
#include <string.h>

#include "bus/event-bytes.h"
#include "fuzz.h"

#define BODY_SIZE 4 /* where the size of the body is in a message */

/* Returns a message with this body, whose signature is a(ttssa{sv}). */
static uint8_t *message_new(const BusBytes *body, size_t *ret_size) {
        g_autoptr(GDBusMessage) m = g_dbus_message_new_signal("/a", "a.b", "C");
        const uint32_t body_size = (uint32_t) body->size;
        g_autofree uint8_t *empty = NULL;
        uint32_t was;
        size_t size;

        g_dbus_message_set_byte_order(m, G_BYTE_ORDER == G_LITTLE_ENDIAN
                                                 ? G_DBUS_MESSAGE_BYTE_ORDER_LITTLE_ENDIAN
                                                 : G_DBUS_MESSAGE_BYTE_ORDER_BIG_ENDIAN);
        g_dbus_message_set_serial(m, 1);
        g_dbus_message_set_body(m, g_variant_new("(a(ttssa{sv}))", NULL));
        empty = g_dbus_message_to_blob(m, &size, G_DBUS_CAPABILITY_FLAGS_NONE, NULL);
        fuzz_check(empty);
        memcpy(&was, empty + BODY_SIZE, sizeof(was));
        memcpy(empty + BODY_SIZE, &body_size, sizeof(body_size));
        uint8_t *blob = g_malloc(size - was + body->size);
        memcpy(blob, empty, size - was);
        memcpy(blob + size - was, body->data, body->size);
        *ret_size = size - was + body->size;
        return blob;
}

/* Returns the event in a body, which must be valid. */
static GVariant *body_read(const BusBytes *body) {
        size_t size;
        g_autofree uint8_t *blob = message_new(body, &size);
        g_autoptr(GDBusMessage) m =
                g_dbus_message_new_from_blob(blob, size, G_DBUS_CAPABILITY_FLAGS_NONE, NULL);
        GVariant *event;

        fuzz_check(m);
        g_autoptr(GVariant) array = g_variant_get_child_value(g_dbus_message_get_body(m), 0);
        fuzz_check(g_variant_n_children(array) == 1);
        event = g_variant_get_child_value(array, 0);
        return event;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autofree uint8_t *copy = g_memdup2(data, size); /* aligned, as in the log */
        g_autoptr(GVariant) variant = g_variant_ref_sink(
                g_variant_new_from_data(G_VARIANT_TYPE(EVENT_RECORD_FORMAT), copy, size, false, NULL, NULL));
        const bool normal = g_variant_is_normal_form(variant);
        g_auto(BusBytes) body = {}, generic = {};
        EventRecord record;

        if (!event_record_read(copy, size, &record)) {
                fuzz_check(!normal);
                return 0;
        }
        const size_t array = bus_bytes_begin_array(&body, 8);
        if (!event_bytes_append(&body, &record)) {
                /* What D-Bus has no type for is valid for GVariant. */
                fuzz_check(!normal || !bus_bytes_gvariant(&generic, variant));
                return 0;
        }
        bus_bytes_end_array(&body, array, 8);
        g_autoptr(GVariant) event = body_read(&body);
        fuzz_check(!normal || g_variant_equal(event, variant));
        return 0;
}
