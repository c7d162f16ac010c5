/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <stdbool.h>

#include "base/parse-util.h"
#include "bus/bus-util.h"

/* The place of a value, which is an option or one element of it. */
typedef struct BusPlace {
        const char *key;
        const char *name; /* of the entry of a dictionary */
        unsigned element; /* its number in another array, from 1 */
} BusPlace;

/* A value without the variants around it. */
typedef struct BusValue {
        char kind;            /* as of sd_bus_message_peek_type() */
        const char *contents; /* the same; valid until the value is left */
        unsigned n_variants;
} BusValue;

static char *bus_place_to_string(const BusPlace *place) {
        if (place->name) {
                g_autofree char *shown = g_strescape(place->name, NULL);
                return g_strdup_printf("Option \"%s\": the value of \"%s\"", place->key, shown);
        }
        return place->element > 0 ? g_strdup_printf("Option \"%s\": element %u", place->key, place->element)
                                  : g_strdup_printf("Option \"%s\"", place->key);
}

static int bus_error_type(
        sd_bus_error *error, const BusPlace *place, const BusValue *have, const char *want) {
        g_autofree char *where = bus_place_to_string(place);
        const char *contents = have->contents ?: "", *end = "";
        char begin[] = { have->kind, '\0' };

        switch (have->kind) {
        case SD_BUS_TYPE_STRUCT:
                begin[0] = '(';
                end = ")";
                break;
        case SD_BUS_TYPE_DICT_ENTRY:
                begin[0] = '{';
                end = "}";
                break;
        default:
                break;
        }
        return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "%s has type %s%s%s, but must be %s",
                where, begin, contents, end, want);
}

/* Enters the variants around the next value; some languages make more than one. Returns 0 at the end of an
 * array, like sd_bus_message_read_basic(). */
static int bus_enter_value(sd_bus_message *m, BusValue *ret) {
        BusValue value = {};

        for (;; value.n_variants++) {
                int r = sd_bus_message_peek_type(m, &value.kind, &value.contents);
                if (r <= 0)
                        return r;
                if (value.kind != SD_BUS_TYPE_VARIANT)
                        break;
                r = sd_bus_message_enter_container(m, SD_BUS_TYPE_VARIANT, value.contents);
                if (r < 0)
                        return r;
        }
        *ret = value;
        return 1;
}

/* Called after the value itself was read. Returns 1. */
static int bus_exit_value(sd_bus_message *m, const BusValue *value) {
        for (unsigned i = 0; i < value->n_variants; i++) {
                int r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        return 1;
}

static int bus_read_string(sd_bus_message *m, const BusPlace *place, const char **ret, sd_bus_error *error) {
        BusValue value;

        int r = bus_enter_value(m, &value);
        if (r <= 0)
                return r;
        if (value.kind != SD_BUS_TYPE_STRING)
                return bus_error_type(error, place, &value, "s");
        r = sd_bus_message_read_basic(m, 's', ret);
        return r < 0 ? r : bus_exit_value(m, &value);
}

int bus_read_variant_string(sd_bus_message *m, const char *key, const char **ret, sd_bus_error *error) {
        return MIN(bus_read_string(m, &(BusPlace){ key }, ret, error), 0);
}

int bus_read_variant_bool(sd_bus_message *m, const char *key, bool *ret, sd_bus_error *error) {
        BusValue value;
        int b; /* sd-bus reads a D-Bus boolean as an int */

        int r = bus_enter_value(m, &value);
        if (r < 0)
                return r;
        if (value.kind != SD_BUS_TYPE_BOOLEAN)
                return bus_error_type(error, &(BusPlace){ key }, &value, "b");
        r = sd_bus_message_read_basic(m, 'b', &b);
        if (r < 0)
                return r;
        *ret = b;
        return MIN(bus_exit_value(m, &value), 0);
}

/* Reads any integer type into a sign and a magnitude, so that both ends of the 64-bit ranges fit. */
static int bus_read_typed_integer(sd_bus_message *m, char type, bool *ret_negative, uint64_t *ret) {
        union {
                uint8_t y;
                int16_t n;
                uint16_t q;
                int32_t i;
                uint32_t u;
                int64_t x;
                uint64_t t;
        } v;
        int64_t value = 0;

        int r = sd_bus_message_read_basic(m, type, &v);
        if (r <= 0)
                return r;

        switch (type) {
        case 'y':
                value = v.y;
                break;
        case 'n':
                value = v.n;
                break;
        case 'q':
                value = v.q;
                break;
        case 'i':
                value = v.i;
                break;
        case 'u':
                value = v.u;
                break;
        case 'x':
                value = v.x;
                break;
        default:
                *ret_negative = false;
                *ret = v.t;
                return 1;
        }

        *ret_negative = value < 0;
        *ret = value < 0 ? -(uint64_t) value : (uint64_t) value;
        return 1;
}

static bool bus_type_is_integer(char type) {
        return type != '\0' && strchr("ynqiuxt", type);
}

/* Reads an integer of any type, or its decimal digits in a string, since the numbers of some languages are
 * sent so. Returns 0 at the end of an array. */
static int bus_read_integer(
        sd_bus_message *m, const BusPlace *place, bool *ret_negative, uint64_t *ret, sd_bus_error *error) {
        BusValue value;

        int r = bus_enter_value(m, &value);
        if (r <= 0)
                return r;
        if (bus_type_is_integer(value.kind)) {
                r = bus_read_typed_integer(m, value.kind, ret_negative, ret);
        } else if (value.kind == SD_BUS_TYPE_STRING) {
                uint64_t magnitude;
                const char *s;

                r = sd_bus_message_read_basic(m, 's', &s);
                if (r < 0)
                        return r;
                if (parse_u64(*s == '-' ? s + 1 : s, &magnitude) < 0) {
                        g_autofree char *where = bus_place_to_string(place), *shown = g_strescape(s, NULL);
                        return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                                "%s is \"%.64s\" of type s, but must be an integer", where, shown);
                }
                *ret_negative = *s == '-' && magnitude > 0;
                *ret = magnitude;
        } else
                return bus_error_type(error, place, &value, "an integer");
        return r < 0 ? r : bus_exit_value(m, &value);
}

/* Enters an array whose elements have one of these types. The reader of an element checks what a variant
 * contains. */
static int bus_enter_array(sd_bus_message *m, const BusPlace *place, const char *const *elements,
        const char *want, BusValue *ret, sd_bus_error *error) {
        BusValue value;

        int r = bus_enter_value(m, &value);
        if (r < 0)
                return r;
        if (value.kind != SD_BUS_TYPE_ARRAY || !g_strv_contains(elements, value.contents))
                return bus_error_type(error, place, &value, want);
        r = sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, value.contents);
        if (r < 0)
                return r;
        *ret = value;
        return 0;
}

static int bus_exit_array(sd_bus_message *m, const BusValue *array) {
        int r = sd_bus_message_exit_container(m);
        return r < 0 ? r : MIN(bus_exit_value(m, array), 0);
}

static int bus_error_range(
        sd_bus_error *error, const char *key, bool negative, uint64_t value, uint64_t min, uint64_t max) {
        return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                "Option \"%s\" is %s%" PRIu64 ", but must be from %" PRIu64 " to %" PRIu64, key,
                negative ? "-" : "", value, min, max);
}

#define BUS_INTEGERS(before, after) \
        before "y" after, before "n" after, before "q" after, before "i" after, before "u" after, \
                before "x" after, before "t" after

int bus_read_variant_unsigned_array(sd_bus_message *m, const char *key, uint64_t min, uint64_t max,
        unsigned n_max, GArray **ret, sd_bus_error *error) {
        static const char *const elements[] = { BUS_INTEGERS("", ""), "s", "v", NULL };
        g_autoptr(GArray) values = g_array_new(false, false, sizeof(uint64_t));
        BusPlace place = { .key = key };
        bool negative = false;
        uint64_t value = 0;
        BusValue array;

        int r = bus_enter_array(m, &place, elements, "an array of integers", &array, error);
        if (r < 0)
                return r;
        for (;;) {
                place.element++;
                r = bus_read_integer(m, &place, &negative, &value, error);
                if (r <= 0)
                        break;
                if (negative || value < min || value > max)
                        return bus_error_range(error, key, negative, value, min, max);
                if (values->len >= n_max)
                        return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                                "Option \"%s\" has more than %u numbers", key, n_max);
                g_array_append_val(values, value);
        }
        if (r >= 0)
                r = bus_exit_array(m, &array);
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&values);
        return 0;
}

/* Reads the strings of an array that was entered. */
static int bus_read_array_strings(
        sd_bus_message *m, const BusPlace *where, unsigned max, char ***ret, sd_bus_error *error) {
        g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
        BusPlace place = { .key = where->key, .element = where->element };
        const char *s = NULL;
        unsigned n = 0;
        int r;

        for (;;) {
                if (where->element == 0)
                        place.element = n + 1;
                r = bus_read_string(m, &place, &s, error);
                if (r <= 0)
                        break;
                if (++n > max)
                        return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                                "Option \"%s\" has more than %u strings", place.key, max);
                g_strv_builder_add(builder, s);
        }
        if (r >= 0)
                *ret = g_strv_builder_end(builder);
        return r;
}

static const char *const bus_string_elements[] = { "s", "v", NULL };

int bus_read_variant_strings(
        sd_bus_message *m, const char *key, unsigned max, char ***ret, sd_bus_error *error) {
        const BusPlace place = { .key = key };
        g_auto(GStrv) strings = NULL;
        BusValue array;

        int r = bus_enter_array(m, &place, bus_string_elements, "as", &array, error);
        if (r >= 0)
                r = bus_read_array_strings(m, &place, max, &strings, error);
        if (r >= 0)
                r = bus_exit_array(m, &array);
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&strings);
        return 0;
}

int bus_read_variant_string_lists(sd_bus_message *m, const char *key, unsigned max,
        int (*add)(char **strings, void *userdata, sd_bus_error *error), void *userdata,
        sd_bus_error *error) {
        static const char *const elements[] = { "as", "av", "v", NULL };
        BusPlace place = { .key = key };
        BusValue array, list;

        int r = bus_enter_array(m, &place, elements, "aas", &array, error);
        if (r < 0)
                return r;
        while ((r = sd_bus_message_at_end(m, false)) == 0) {
                g_auto(GStrv) strings = NULL;

                place.element++;
                r = bus_enter_array(m, &place, bus_string_elements, "as", &list, error);
                if (r >= 0)
                        r = bus_read_array_strings(m, &place, max, &strings, error);
                if (r >= 0)
                        r = bus_exit_array(m, &list);
                if (r >= 0)
                        r = add(strings, userdata, error);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : bus_exit_array(m, &array);
}

int bus_read_variant_pairs(sd_bus_message *m, const char *key,
        int (*add)(const char *first, const char *second, void *userdata, sd_bus_error *error),
        void *userdata, sd_bus_error *error) {
        static const char *const elements[] = { "(ss)", "v", NULL };
        BusPlace place = { .key = key };
        BusValue array, pair;

        int r = bus_enter_array(m, &place, elements, "a(ss)", &array, error);
        if (r < 0)
                return r;
        while ((r = bus_enter_value(m, &pair)) > 0) {
                const char *first, *second;

                place.element++;
                if (pair.kind != SD_BUS_TYPE_STRUCT || !g_str_equal(pair.contents, "ss"))
                        return bus_error_type(error, &place, &pair, "(ss)");
                r = sd_bus_message_read(m, "(ss)", &first, &second);
                if (r >= 0)
                        r = bus_exit_value(m, &pair);
                if (r >= 0)
                        r = add(first, second, userdata, error);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : bus_exit_array(m, &array);
}

/* Enters the next entry of a dictionary and reads its name. Returns 0 at the end. */
static int bus_enter_entry(sd_bus_message *m, const char **ret_name) {
        const char *contents;
        char kind;

        int r = sd_bus_message_peek_type(m, &kind, &contents);
        if (r > 0)
                r = sd_bus_message_enter_container(m, SD_BUS_TYPE_DICT_ENTRY, contents);
        return r <= 0 ? r : sd_bus_message_read_basic(m, 's', ret_name);
}

int bus_read_variant_string_entries(sd_bus_message *m, const char *key,
        int (*add)(const char *name, const char *value, void *userdata, sd_bus_error *error), void *userdata,
        sd_bus_error *error) {
        static const char *const elements[] = { "{ss}", "{sv}", NULL };
        BusPlace place = { .key = key };
        BusValue array;

        int r = bus_enter_array(m, &place, elements, "a{ss}", &array, error);
        if (r < 0)
                return r;
        while ((r = bus_enter_entry(m, &place.name)) > 0) {
                const char *value = NULL;

                r = bus_read_string(m, &place, &value, error);
                if (r == 0)
                        return -EBADMSG; /* an entry has a value */
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
                if (r >= 0)
                        r = add(place.name, value, userdata, error);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : bus_exit_array(m, &array);
}

int bus_read_variant_unsigned_entries(sd_bus_message *m, const char *key,
        int (*add)(const char *name, uint64_t value, void *userdata, sd_bus_error *error), void *userdata,
        sd_bus_error *error) {
        static const char *const elements[] = { BUS_INTEGERS("{s", "}"), "{ss}", "{sv}", NULL };
        BusPlace place = { .key = key };
        BusValue array;

        int r = bus_enter_array(m, &place, elements, "a dictionary of integers", &array, error);
        if (r < 0)
                return r;
        while ((r = bus_enter_entry(m, &place.name)) > 0) {
                bool negative = false;
                uint64_t value = 0;

                r = bus_read_integer(m, &place, &negative, &value, error);
                if (r >= 0 && negative) {
                        g_autofree char *where = bus_place_to_string(&place);
                        return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                                "%s is -%" PRIu64 ", but must be from 0 to %" PRIu64, where, value,
                                UINT64_MAX);
                }
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
                if (r >= 0)
                        r = add(place.name, value, userdata, error);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : bus_exit_array(m, &array);
}

int bus_read_variant_unsigned(
        sd_bus_message *m, const char *key, uint64_t min, uint64_t max, uint64_t *ret, sd_bus_error *error) {
        bool negative = false;
        uint64_t value = 0;

        int r = bus_read_integer(m, &(BusPlace){ key }, &negative, &value, error);
        if (r < 0)
                return r;
        if (negative || value < min || value > max)
                return bus_error_range(error, key, negative, value, min, max);
        *ret = value;
        return 0;
}

int bus_read_variant_signed(
        sd_bus_message *m, const char *key, int64_t min, int64_t max, int64_t *ret, sd_bus_error *error) {
        bool negative = false;
        uint64_t magnitude = 0;

        int r = bus_read_integer(m, &(BusPlace){ key }, &negative, &magnitude, error);
        if (r < 0)
                return r;

        bool fits = negative ? magnitude <= (uint64_t) INT64_MAX + 1 : magnitude <= INT64_MAX;
        int64_t value = negative ? (int64_t) -magnitude : (int64_t) magnitude;
        if (!fits || value < min || value > max)
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                        "Option \"%s\" is %s%" PRIu64 ", but must be from %" PRIi64 " to %" PRIi64, key,
                        negative ? "-" : "", magnitude, min, max);
        *ret = value;
        return 0;
}

const BusOption *bus_options_get(const BusOptions *options, size_t i) {
        g_assert(i < options->n_entries);
        return (const BusOption *) ((const char *) options->entries + i * options->entry_size);
}

static int bus_read_option(
        sd_bus_message *m, const BusOptions *options, void *userdata, bool *seen, sd_bus_error *error) {
        const char *key;
        size_t i = 0;

        int r = sd_bus_message_read_basic(m, 's', &key);
        if (r < 0)
                return r;
        while (i < options->n_entries && g_strcmp0(bus_options_get(options, i)->key, key) != 0)
                i++;
        if (i == options->n_entries) {
                g_autofree char *shown = g_strescape(key, NULL);
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "Unknown option \"%s\"", shown);
        }
        g_assert(i < BUS_OPTIONS_MAX);
        if (seen[i])
                return sd_bus_error_setf(
                        error, SD_BUS_ERROR_INVALID_ARGS, "Option \"%s\" is given twice", key);
        seen[i] = true;
        return options->read(m, bus_options_get(options, i), userdata, error);
}

int bus_read_options(sd_bus_message *m, const BusOptions *options, void *userdata, sd_bus_error *error) {
        bool seen[BUS_OPTIONS_MAX] = {};

        int r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = bus_read_option(m, options, userdata, seen, error);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

int bus_read_strings(sd_bus_message *m, const char *what, unsigned max, char ***ret, sd_bus_error *error) {
        g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
        const char *s;
        unsigned n = 0;

        int r = sd_bus_message_enter_container(m, 'a', "s");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_read_basic(m, 's', &s)) > 0) {
                if (++n > max)
                        return sd_bus_error_setf(
                                error, SD_BUS_ERROR_INVALID_ARGS, "%s has more than %u strings", what, max);
                g_strv_builder_add(builder, s);
        }
        if (r < 0)
                return r;
        r = sd_bus_message_exit_container(m);
        if (r < 0)
                return r;
        *ret = g_strv_builder_end(builder);
        return 0;
}

int bus_append_entry(sd_bus_message *m, const char *key, const char *type, ...) {
        va_list ap;

        int r = sd_bus_message_open_container(m, 'e', "sv");
        if (r < 0)
                return r;
        r = sd_bus_message_append_basic(m, 's', key);
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(m, 'v', type);
        if (r < 0)
                return r;
        va_start(ap, type);
        r = sd_bus_message_appendv(m, type, ap);
        va_end(ap);
        if (r < 0)
                return r;
        r = sd_bus_message_close_container(m);
        if (r < 0)
                return r;
        return sd_bus_message_close_container(m);
}

static int bus_append_basic(sd_bus_message *m, GVariant *value) {
        const char *type = g_variant_get_type_string(value);

        switch (type[0]) {
        case 's':
        case 'o':
        case 'g':
                return sd_bus_message_append_basic(m, type[0], g_variant_get_string(value, NULL));
        case 'b': {
                int b = g_variant_get_boolean(value);
                return sd_bus_message_append_basic(m, 'b', &b);
        }
        default:
                /* GVariant and sd-bus both store numbers in native byte order. */
                return sd_bus_message_append_basic(m, type[0], g_variant_get_data(value));
        }
}

int bus_append_gvariant_elements(sd_bus_message *m, GVariant *container) {
        GVariantIter iter;
        GVariant *child;
        int r = 0;

        g_variant_iter_init(&iter, container);
        while (r >= 0 && (child = g_variant_iter_next_value(&iter))) {
                r = bus_append_gvariant(m, child);
                g_variant_unref(child);
        }
        return r;
}

int bus_append_gvariant(sd_bus_message *m, GVariant *value) {
        const char *type = g_variant_get_type_string(value);
        g_autofree char *inside = NULL;
        char container;

        switch (g_variant_classify(value)) {
        case G_VARIANT_CLASS_VARIANT: {
                g_autoptr(GVariant) child = g_variant_get_variant(value);
                container = 'v';
                inside = g_strdup(g_variant_get_type_string(child));
                break;
        }
        case G_VARIANT_CLASS_ARRAY:
                container = 'a';
                inside = g_strdup(type + 1);
                break;
        case G_VARIANT_CLASS_TUPLE:
                container = 'r';
                inside = g_strndup(type + 1, strlen(type) - 2);
                break;
        case G_VARIANT_CLASS_DICT_ENTRY:
                container = 'e';
                inside = g_strndup(type + 1, strlen(type) - 2);
                break;
        case G_VARIANT_CLASS_MAYBE:
        case G_VARIANT_CLASS_HANDLE:
                return -EOPNOTSUPP; /* does not exist on D-Bus, or has no meaning here */
        default:
                return bus_append_basic(m, value);
        }

        int r = sd_bus_message_open_container(m, container, inside);
        if (r >= 0)
                r = bus_append_gvariant_elements(m, value);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int bus_message_requeue(sd_bus *bus, sd_bus_message *m) {
        int r = sd_bus_message_rewind(m, true);

        if (r >= 0)
                r = sd_bus_enqueue_for_read(bus, m);
        return MIN(r, 0);
}

int bus_round_trip(sd_bus *bus, uint64_t timeout_usec) {
        g_autoptr(sd_bus_message) m = NULL;

        if (sd_bus_is_ready(bus) <= 0) /* sd_bus_call() would wait for that without a limit */
                return -ENOTCONN;
        int r = sd_bus_message_new_method_call(
                bus, &m, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetId");
        if (r >= 0)
                r = sd_bus_call(bus, m, timeout_usec, NULL, NULL);
        return MIN(r, 0);
}
