/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <stdbool.h>

#include "bus/bus-util.h"

static int bus_error_type(sd_bus_error *error, const char *key, const char *have, const char *want) {
        return sd_bus_error_setf(error, BUS_ERROR_INVALID_ARGS, "Option \"%s\" has type %s, but must be %s",
                key, have ?: "?", want);
}

int bus_enter_variant(sd_bus_message *m, const char *key, const char *type, sd_bus_error *error) {
        const char *contents;
        char kind;

        int r = sd_bus_message_peek_type(m, &kind, &contents);
        if (r < 0)
                return r;
        if (!g_str_equal(contents, type))
                return bus_error_type(error, key, contents, type);
        return sd_bus_message_enter_container(m, SD_BUS_TYPE_VARIANT, type);
}

int bus_read_variant_string(sd_bus_message *m, const char *key, const char **ret, sd_bus_error *error) {
        int r = bus_enter_variant(m, key, "s", error);
        if (r < 0)
                return r;
        r = sd_bus_message_read_basic(m, 's', ret);
        if (r < 0)
                return r;
        return sd_bus_message_exit_container(m);
}

int bus_read_variant_bool(sd_bus_message *m, const char *key, bool *ret, sd_bus_error *error) {
        int b; /* sd-bus reads a D-Bus boolean as an int */

        int r = bus_enter_variant(m, key, "b", error);
        if (r < 0)
                return r;
        r = sd_bus_message_read_basic(m, 'b', &b);
        if (r < 0)
                return r;
        *ret = b;
        return sd_bus_message_exit_container(m);
}

/* Reads any integer type into a sign and a magnitude, so that both ends of the 64-bit ranges fit. Returns 0
 * at the end of an array, like sd_bus_message_read_basic(). */
static int bus_read_integer(sd_bus_message *m, char type, bool *ret_negative, uint64_t *ret) {
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

static int bus_read_variant_integer(
        sd_bus_message *m, const char *key, bool *ret_negative, uint64_t *ret, sd_bus_error *error) {
        const char *contents;
        char kind;

        int r = sd_bus_message_peek_type(m, &kind, &contents);
        if (r < 0)
                return r;
        if (strlen(contents) != 1 || !bus_type_is_integer(contents[0]))
                return bus_error_type(error, key, contents, "an integer");

        char type = contents[0];
        r = sd_bus_message_enter_container(m, SD_BUS_TYPE_VARIANT, contents);
        if (r < 0)
                return r;
        r = bus_read_integer(m, type, ret_negative, ret);
        if (r < 0)
                return r;
        return sd_bus_message_exit_container(m);
}

static int bus_error_range(
        sd_bus_error *error, const char *key, bool negative, uint64_t value, uint64_t min, uint64_t max) {
        return sd_bus_error_setf(error, BUS_ERROR_INVALID_ARGS,
                "Option \"%s\" is %s%" PRIu64 ", but must be from %" PRIu64 " to %" PRIu64, key,
                negative ? "-" : "", value, min, max);
}

int bus_read_variant_unsigned_array(sd_bus_message *m, const char *key, uint64_t min, uint64_t max,
        unsigned n_max, GArray **ret, sd_bus_error *error) {
        g_autoptr(GArray) values = g_array_new(false, false, sizeof(uint64_t));
        const char *contents;
        bool negative = false;
        uint64_t value = 0;
        char kind;

        int r = sd_bus_message_peek_type(m, &kind, &contents);
        if (r < 0)
                return r;
        if (strlen(contents) != 2 || contents[0] != 'a' || !bus_type_is_integer(contents[1]))
                return bus_error_type(error, key, contents, "an array of integers");

        char type[] = { contents[1], '\0' };
        r = sd_bus_message_enter_container(m, SD_BUS_TYPE_VARIANT, contents);
        if (r >= 0)
                r = sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, type);
        if (r < 0)
                return r;
        while ((r = bus_read_integer(m, type[0], &negative, &value)) > 0) {
                if (negative || value < min || value > max)
                        return bus_error_range(error, key, negative, value, min, max);
                if (values->len >= n_max)
                        return sd_bus_error_setf(error, BUS_ERROR_INVALID_ARGS,
                                "Option \"%s\" has more than %u numbers", key, n_max);
                g_array_append_val(values, value);
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&values);
        return 0;
}

int bus_read_variant_unsigned(
        sd_bus_message *m, const char *key, uint64_t min, uint64_t max, uint64_t *ret, sd_bus_error *error) {
        bool negative = false;
        uint64_t value = 0;

        int r = bus_read_variant_integer(m, key, &negative, &value, error);
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

        int r = bus_read_variant_integer(m, key, &negative, &magnitude, error);
        if (r < 0)
                return r;

        bool fits = negative ? magnitude <= (uint64_t) INT64_MAX + 1 : magnitude <= INT64_MAX;
        int64_t value = negative ? (int64_t) -magnitude : (int64_t) magnitude;
        if (!fits || value < min || value > max)
                return sd_bus_error_setf(error, BUS_ERROR_INVALID_ARGS,
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
        sd_bus_message *m, const BusOptions *options, void *userdata, uint64_t *seen, sd_bus_error *error) {
        const char *key;
        size_t i = 0;

        int r = sd_bus_message_read_basic(m, 's', &key);
        if (r < 0)
                return r;
        while (i < options->n_entries && !g_str_equal(bus_options_get(options, i)->key, key))
                i++;
        if (i == options->n_entries) {
                g_autofree char *shown = g_strescape(key, NULL);
                return sd_bus_error_setf(error, BUS_ERROR_INVALID_ARGS, "Unknown option \"%s\"", shown);
        }
        g_assert(i < 64);
        if (*seen & (UINT64_C(1) << i))
                return sd_bus_error_setf(error, BUS_ERROR_INVALID_ARGS, "Option \"%s\" is given twice", key);
        *seen |= UINT64_C(1) << i;
        return options->read(m, bus_options_get(options, i), userdata, error);
}

int bus_read_options(sd_bus_message *m, const BusOptions *options, void *userdata, sd_bus_error *error) {
        uint64_t seen = 0;

        int r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = bus_read_option(m, options, userdata, &seen, error);
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
                                error, BUS_ERROR_INVALID_ARGS, "%s has more than %u strings", what, max);
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
