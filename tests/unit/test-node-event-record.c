/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* An event record is read as GVariant reads it. */

#include "unit-test.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "model/event-record.h"

static GVariant *record_new(const char *type, const char *role, const char *details) {
        g_autoptr(GError) error = NULL;
        GVariant *d = g_variant_parse(G_VARIANT_TYPE_VARDICT, details, NULL, NULL, &error);

        assert_null(error);
        return g_variant_ref_sink(
                g_variant_new("(ttss@a{sv})", UINT64_C(0x1122334455667788), UINT64_MAX, type, role, d));
}

static void assert_text(const EventText *text, const char *expected) {
        assert_string_equal(text->text, expected);
        assert_int_equal(text->length, strlen(expected));
}

static void assert_same(GVariant *variant) {
        const size_t size = g_variant_get_size(variant);
        g_autofree void *data = g_memdup2(g_variant_get_data(variant), size);
        g_autoptr(GVariant) details = g_variant_get_child_value(variant, 4), value = NULL;
        const char *type, *role, *key;
        EventRecord record = {};
        EventDetail detail;
        uint64_t sequence, realtime;
        GVariantIter iter;

        assert_true(event_record_read(data, size, &record));
        g_variant_get_child(variant, 0, "t", &sequence);
        g_variant_get_child(variant, 1, "t", &realtime);
        g_variant_get_child(variant, 2, "&s", &type);
        g_variant_get_child(variant, 3, "&s", &role);
        assert_int_equal(record.sequence, sequence);
        assert_int_equal(record.realtime_usec, realtime);
        assert_text(&record.type, type);
        assert_text(&record.role, role);

        g_variant_iter_init(&iter, details);
        while (g_variant_iter_loop(&iter, "{&sv}", &key, &value)) {
                assert_int_equal(event_details_next(&record.details, &detail), 1);
                assert_text(&detail.key, key);
                g_autofree char *have = g_strndup(detail.type, detail.type_length);
                assert_string_equal(have, g_variant_get_type_string(value));
                assert_int_equal(detail.size, g_variant_get_size(value));
                if (detail.size > 0)
                        assert_memory_equal(detail.value, g_variant_get_data(value), detail.size);
                assert_int_equal((uintptr_t) detail.value % 8, 0);
        }
        assert_int_equal(event_details_next(&record.details, &detail), 0);
        assert_int_equal(event_details_next(&record.details, &detail), 0);
}

static const char *const samples[] = {
        "@a{sv} {}",
        "{'a': <'b'>}",
        "{'pid': <uint32 7>, 'status': <int32 -15>, 'oom-kill': <true>, 'maxrss': <uint64 1099511627776>}",
        "{'left': <[(uint32 7, 'sh'), (8, '')]>, 'none': <@a(us) []>, 'unit': <()>, '': <''>}",
        "{'k\u00e9y': <'v\u00e4lue'>, 'variant': <<<'x'>>>, 'byte': <byte 0>, 'zero': <@ay []>}",
};

static void test_samples(void **state) {
        for (unsigned i = 0; i < G_N_ELEMENTS(samples); i++) {
                g_autoptr(GVariant) a = record_new("RoleExited", "cam", samples[i]),
                                    b = record_new("", "", samples[i]);
                assert_same(a);
                assert_same(b);
        }
}

/* The width of the ends changes with the size of each container. */
static void test_sizes(void **state) {
        static const size_t around[] = { 0, 100, 200, 65280 };

        for (unsigned i = 0; i < G_N_ELEMENTS(around); i++)
                for (size_t n = around[i]; n < around[i] + 300; n++) {
                        g_autofree char *text = g_strnfill(n, 'x'),
                                        *one = g_strdup_printf("{'a': <'%s'>, 'b': <uint64 1>}", text),
                                        *two = g_strdup_printf("{'%s': <byte 1>, 'a': <'z'>}", text);
                        g_autoptr(GVariant) a = record_new("RoleExited", "cam", one),
                                            b = record_new("RoleExited", "cam", two),
                                            c = record_new("RoleExited", text, "@a{sv} {}");
                        assert_same(a);
                        assert_same(b);
                        assert_same(c);
                }
}

/* Reads all that can be read of these bytes. Nothing outside of them is touched, which a sanitizer sees,
 * since a copy ends where its memory does. */
static bool read_all(const void *data, size_t size) {
        g_autofree uint8_t *p = g_memdup2(data, size);
        EventRecord record;
        EventDetail detail;
        int r;

        if (!event_record_read(p, size, &record))
                return false;
        assert_int_equal(strlen(record.type.text), record.type.length);
        assert_int_equal(strlen(record.role.text), record.role.length);
        while ((r = event_details_next(&record.details, &detail)) > 0) {
                assert_int_equal(strlen(detail.key.text), detail.key.length);
                assert_true(detail.value >= p && detail.value + detail.size <= p + size);
                assert_true((const uint8_t *) detail.type + detail.type_length <= p + size);
                assert_true(detail.type_length > 0);
        }
        return r == 0;
}

static void test_cut(void **state) {
        for (unsigned i = 0; i < G_N_ELEMENTS(samples); i++) {
                g_autoptr(GVariant) variant = record_new("RoleExited", "cam", samples[i]);
                const size_t size = g_variant_get_size(variant);

                assert_true(read_all(g_variant_get_data(variant), size));
                for (size_t n = 0; n < size; n++)
                        (void) read_all(g_variant_get_data(variant), n);
                assert_false(read_all(g_variant_get_data(variant), 17));
        }
}

static void test_changed(void **state) {
        for (unsigned i = 0; i < G_N_ELEMENTS(samples); i++) {
                g_autoptr(GVariant) variant = record_new("RoleExited", "cam", samples[i]);
                const size_t size = g_variant_get_size(variant);
                g_autofree uint8_t *p = g_memdup2(g_variant_get_data(variant), size);

                for (size_t at = 0; at < size; at++)
                        for (unsigned value = 0; value < 256; value++) {
                                const uint8_t was = p[at];
                                p[at] = (uint8_t) value;
                                (void) read_all(p, size);
                                p[at] = was;
                        }
        }
}

/* No string of a record is anything else than what the bus accepts. */
static void test_bad_text(void **state) {
        static const struct {
                const char *text;
                size_t size;
                bool valid;
        } cases[] = {
                { "", 0, false },
                { "", 1, true },
                { "a", 1, false },
                { "a", 2, true },
                { "a\0b", 4, false },
                { "a\0", 3, false },
                { "0123456789\xc3\xa4", 13, true },
                { "0123456789\xc3", 12, false },
                { "\xff\x30\x31\x32\x33\x34\x35\x36", 9, false },
        };

        for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *p = g_memdup2(cases[i].text, cases[i].size);
                EventText text = {};

                assert_int_equal(event_text_read(p, cases[i].size, &text), cases[i].valid);
                assert_int_equal(text.length, cases[i].valid ? cases[i].size - 1 : 0);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_samples),
                cmocka_unit_test(test_sizes),
                cmocka_unit_test(test_cut),
                cmocka_unit_test(test_changed),
                cmocka_unit_test(test_bad_text),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
