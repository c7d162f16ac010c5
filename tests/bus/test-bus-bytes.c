/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is marshalled without sd-bus is what GDBus marshals, byte by byte. */

#include "unit-test.h"

#include <errno.h>
#include <gio/gio.h>
#include <string.h>

#include "bus/bus-bytes.h"
#include "bus/event-bytes.h"

/* Returns the body of a message with this one argument. */
static GBytes *expected_body(GVariant *argument) {
        g_autoptr(GDBusMessage) m = g_dbus_message_new_signal("/a", "a.b", "C");
        g_autoptr(GError) error = NULL;
        uint32_t body_size;
        gsize size;

        g_dbus_message_set_byte_order(m, G_BYTE_ORDER == G_LITTLE_ENDIAN
                                                 ? G_DBUS_MESSAGE_BYTE_ORDER_LITTLE_ENDIAN
                                                 : G_DBUS_MESSAGE_BYTE_ORDER_BIG_ENDIAN);
        g_dbus_message_set_serial(m, 1);
        g_dbus_message_set_body(m, g_variant_new_tuple(&argument, 1));
        guchar *blob = g_dbus_message_to_blob(m, &size, G_DBUS_CAPABILITY_FLAGS_NONE, &error);
        assert_null(error);
        memcpy(&body_size, blob + 4, sizeof(body_size));
        GBytes *body = g_bytes_new(blob + size - body_size, body_size);
        g_free(blob);
        return body;
}

static void assert_body(const BusBytes *bytes, GVariant *argument) {
        g_autoptr(GBytes) body = expected_body(argument);

        assert_int_equal(bytes->size, g_bytes_get_size(body));
        assert_memory_equal(bytes->data, g_bytes_get_data(body, NULL), bytes->size);
}

static const char *const values[] = {
        "'text'",
        "''",
        "true",
        "false",
        "byte 200",
        "int16 -2",
        "uint16 2",
        "int32 -3",
        "uint32 3",
        "int64 -4",
        "uint64 4",
        "2.5",
        "objectpath '/a/b'",
        "signature 'a{sv}i'",
        "signature ''",
        "<'variant'>",
        "<<<uint64 9>>>",
        "[1, 2, 3]",
        "@ai []",
        "@at []",
        "[uint64 5]",
        "@a(us) []",
        "[(uint32 7, 'sh'), (8, '')]",
        "[('cam', '1.0'), ('base', '')]",
        "@a{sv} {}",
        "{'k': <'v'>, 'l': <[byte 1, 2]>}",
        "[['a'], ['b', 'cc']]",
        "(byte 1, uint64 2, 'x', (byte 3, int16 4))",
        "[(byte 1, uint64 2), (3, 4)]",
};

static GVariant *parse(const char *text) {
        g_autoptr(GError) error = NULL;
        GVariant *value = g_variant_parse(NULL, text, NULL, NULL, &error);

        if (error)
                fail_msg("%s: %s", text, error->message);
        return g_variant_ref_sink(value);
}

static void test_gvariant(void **state) {
        for (unsigned i = 0; i < G_N_ELEMENTS(values); i++) {
                g_autoptr(GVariant) value = parse(values[i]);
                g_auto(BusBytes) bytes = {};

                assert_true(bus_bytes_gvariant(&bytes, value));
                assert_body(&bytes, value);
        }
}

static void test_not_on_dbus(void **state) {
        static const char *const others[] = { "()", "@ms nothing", "[()]", "<()>", "handle 1", "<@ms 'x'>",
                "signature '()'", "{'a': <@mi nothing>}" };
        g_autoptr(GVariant) deep = g_variant_ref_sink(g_variant_new_string("x"));

        for (unsigned i = 0; i < G_N_ELEMENTS(others); i++) {
                g_autoptr(GVariant) value = parse(others[i]);
                g_auto(BusBytes) bytes = {};

                assert_false(bus_bytes_gvariant(&bytes, value));
        }
        for (unsigned i = 0; i < 60; i++) {
                g_auto(BusBytes) bytes = {};
                GVariant *outer = g_variant_ref_sink(g_variant_new_variant(deep));

                g_variant_unref(deep);
                deep = outer;
                assert_int_equal(bus_bytes_gvariant(&bytes, deep), i < 32);
        }
        g_autofree char *brackets = g_strnfill(33, 'a'), *type = g_strconcat(brackets, "y", NULL);
        assert_false(bus_bytes_has_type(type));
        assert_true(bus_bytes_has_type(type + 1));
        assert_false(bus_bytes_has_type("ii"));
        assert_false(bus_bytes_has_type(""));
}

/* Appends one event to an array. */
static bool event_bytes(GVariant *variant, BusBytes *bytes) {
        EventRecord record;

        assert_true(event_record_read(g_variant_get_data(variant), g_variant_get_size(variant), &record));
        const size_t array = bus_bytes_begin_array(bytes, 8);
        const bool good = event_bytes_append(bytes, &record);
        bus_bytes_end_array(bytes, array, 8);
        return good;
}

static GVariant *record_new(const char *role, GVariant *details) {
        return g_variant_ref_sink(g_variant_new(
                "(ttss@a{sv})", UINT64_C(0x1122334455667788), UINT64_C(9), "RoleExited", role, details));
}

static void assert_event(GVariant *record) {
        GVariant *argument = g_variant_ref_sink(g_variant_new_array(NULL, &record, 1));
        g_auto(BusBytes) bytes = {};

        assert_true(event_bytes(record, &bytes));
        assert_body(&bytes, argument);
        g_variant_unref(argument);
}

/* Each type alone, behind keys of all alignments, and all of them together. */
static void test_event(void **state) {
        g_autoptr(GVariantDict) all = g_variant_dict_new(NULL);

        for (unsigned i = 0; i < G_N_ELEMENTS(values); i++) {
                g_autoptr(GVariant) value = parse(values[i]);

                for (unsigned length = 0; length < 9; length++) {
                        g_autofree char *key = g_strnfill(length, 'k');
                        GVariant *entry = g_variant_new_dict_entry(
                                g_variant_new_string(key), g_variant_new_variant(value));
                        g_autoptr(GVariant) record = record_new("cam", g_variant_new_array(NULL, &entry, 1));

                        assert_event(record);
                }
                g_autofree char *key = g_strdup_printf("key-%u", i);
                g_variant_dict_insert_value(all, key, value);
        }
        g_autoptr(GVariant) record = record_new("", g_variant_dict_end(all)),
                            empty = record_new("a", g_variant_new("a{sv}", NULL));
        assert_event(record);
        assert_event(empty);
}

/* Returns the place of these bytes in the record. */
static size_t find(const uint8_t *p, size_t size, const char *bytes, size_t n) {
        const uint8_t *found = memmem(p, size, bytes, n);

        assert_non_null(found);
        return (size_t) (found - p);
}

/* A record may be damaged in any way that its checksum does not show, if it has none. */
static void test_damaged(void **state) {
        static const struct {
                const char *value, *before, *after; /* and what replaces what */
                size_t n;
        } cases[] = {
                { "'text'", "text", "te\0t", 4 },
                { "'text'", "text", "te\xfft", 4 },
                { "'text'", "text\0\0s", "text\0\0u", 7 }, /* has a wrong size */
                { "uint32 0x74786574", "text\0u", "text\0t", 6 },
                { "uint64 0x7478657474786574", "texttext\0t", "texttext\0b", 10 },
                { "uint32 0x74786574", "text\0u", "text\0h", 6 },
                { "uint32 0x74786574", "text\0u", "text\0m", 6 },
                { "uint32 0x74786574", "text\0u", "text\0\x80", 6 },
                { "[true]", "\x01\0ab", "\x02\0ab", 4 },
                { "['text']", "text\0", "text!", 5 },
                { "objectpath '/text'", "/text", "!text", 5 },
                { "signature 'uuuu'", "uuuu", "u(uu", 4 },
        };

        for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GVariant) value = parse(cases[i].value);
                GVariant *entry =
                        g_variant_new_dict_entry(g_variant_new_string("k"), g_variant_new_variant(value));
                g_autoptr(GVariant) record = record_new("cam", g_variant_new_array(NULL, &entry, 1));
                const size_t size = g_variant_get_size(record);
                g_autofree uint8_t *data = g_memdup2(g_variant_get_data(record), size);

                memcpy(data + find(data, size, cases[i].before, cases[i].n), cases[i].after, cases[i].n);
                g_autoptr(GVariant) damaged = g_variant_ref_sink(g_variant_new_from_data(
                        G_VARIANT_TYPE(EVENT_RECORD_FORMAT), data, size, false, NULL, NULL));
                g_auto(BusBytes) bytes = {};
                assert_event(record);
                if (event_bytes(damaged, &bytes))
                        fail_msg("the damage %u is not found", i);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_gvariant),
                cmocka_unit_test(test_not_on_dbus),
                cmocka_unit_test(test_event),
                cmocka_unit_test(test_damaged),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
