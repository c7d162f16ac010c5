/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/json.h"

void json_append_string(GString *json, const char *text) {
        g_string_append_c(json, '"');
        for (; *text; text++)
                switch (*text) {
                case '"':
                case '\\':
                        g_string_append_c(json, '\\');
                        g_string_append_c(json, *text);
                        break;
                case '\n':
                        g_string_append(json, "\\n");
                        break;
                case '\t':
                        g_string_append(json, "\\t");
                        break;
                default:
                        if ((unsigned char) *text < 0x20 || *text == 0x7f)
                                g_string_append_printf(json, "\\u%04x", (unsigned) *text);
                        else
                                g_string_append_c(json, *text);
                        break;
                }
        g_string_append_c(json, '"');
}

static int json_append_basic(GString *json, sd_bus_message *m, char type) {
        union {
                uint8_t y;
                int b;
                int16_t n;
                uint16_t q;
                int32_t i;
                uint32_t u;
                int64_t x;
                uint64_t t;
                double d;
                const char *s;
        } v = {};
        char number[G_ASCII_DTOSTR_BUF_SIZE];

        int r = sd_bus_message_read_basic(m, type, &v);
        if (r <= 0)
                return r < 0 ? r : -ENODATA;
        switch (type) {
        case 'y':
                g_string_append_printf(json, "%u", v.y);
                break;
        case 'b':
                g_string_append(json, v.b ? "true" : "false");
                break;
        case 'n':
                g_string_append_printf(json, "%d", v.n);
                break;
        case 'q':
                g_string_append_printf(json, "%u", v.q);
                break;
        case 'i':
                g_string_append_printf(json, "%" PRIi32, v.i);
                break;
        case 'u':
                g_string_append_printf(json, "%" PRIu32, v.u);
                break;
        case 'x':
                g_string_append_printf(json, "%" PRIi64, v.x);
                break;
        case 't':
                g_string_append_printf(json, "%" PRIu64, v.t);
                break;
        case 'd':
                g_string_append(json, g_ascii_dtostr(number, sizeof(number), v.d));
                break;
        case 's':
        case 'o':
        case 'g':
                json_append_string(json, v.s);
                break;
        default:
                return -EBADMSG;
        }
        return 0;
}

static int json_append_container(GString *json, sd_bus_message *m, char type, const char *contents) {
        const bool object = type == 'a' && contents[0] == '{';

        int r = sd_bus_message_enter_container(m, type, contents);
        if (r < 0)
                return r;
        if (type == 'v') {
                r = json_append_value(json, m);
                return r < 0 ? r : sd_bus_message_exit_container(m);
        }
        g_string_append_c(json, object ? '{' : '[');
        for (bool first = true; (r = sd_bus_message_at_end(m, false)) == 0; first = false) {
                if (!first)
                        g_string_append_c(json, ',');
                if (object) {
                        r = sd_bus_message_enter_container(m, 'e', NULL);
                        if (r >= 0)
                                r = json_append_value(json, m);
                        if (r >= 0) {
                                g_string_append_c(json, ':');
                                r = json_append_value(json, m);
                        }
                        if (r >= 0)
                                r = sd_bus_message_exit_container(m);
                } else
                        r = json_append_value(json, m);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        g_string_append_c(json, object ? '}' : ']');
        return sd_bus_message_exit_container(m);
}

int json_append_value(GString *json, sd_bus_message *m) {
        const char *contents;
        char type;

        int r = sd_bus_message_peek_type(m, &type, &contents);
        if (r <= 0)
                return r < 0 ? r : -ENODATA;
        if (type == 'a' || type == 'r' || type == 'v')
                return json_append_container(json, m, type, contents);
        return json_append_basic(json, m, type);
}
