/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "base/command-list.h"
#include "bus/option-values.h"
#include "model/role-spec.h"

static int append_strings(sd_bus_message *m, const RoleSpec *spec, const RoleOption *option) {
        g_auto(GStrv) strings = role_option_get_strings(spec, option);

        return sd_bus_message_append_strv(m, strings);
}

static int append_string(sd_bus_message *m, const RoleSpec *spec, const RoleOption *option) {
        g_auto(GStrv) strings = role_option_get_strings(spec, option);

        return sd_bus_message_append_basic(m, 's', strings && strings[0] ? strings[0] : "");
}

static int append_commands(sd_bus_message *m, const RoleSpec *spec, const RoleOption *option) {
        g_auto(GStrv) strings = role_option_get_strings(spec, option);
        char *const *list = strings, *const * words;
        size_t n;

        int r = sd_bus_message_open_container(m, 'a', "as");
        while (r >= 0 && (words = command_list_next(&list, &n))) {
                r = sd_bus_message_open_container(m, 'a', "s");
                for (size_t i = 0; r >= 0 && i < n; i++)
                        r = sd_bus_message_append_basic(m, 's', words[i]);
                if (r >= 0)
                        r = sd_bus_message_close_container(m);
        }
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_pairs(sd_bus_message *m, const RoleSpec *spec, const RoleOption *option) {
        g_auto(GStrv) strings = role_option_get_strings(spec, option);

        int r = sd_bus_message_open_container(m, 'a', "(ss)");
        for (char **s = strings; r >= 0 && s && *s; s += 2)
                r = sd_bus_message_append(m, "(ss)", s[0], s[1]);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_entries(sd_bus_message *m, const RoleSpec *spec, const RoleOption *option) {
        g_auto(GStrv) strings = role_option_get_strings(spec, option);

        int r = sd_bus_message_open_container(m, 'a', "{ss}");
        for (char **s = strings; r >= 0 && s && *s; s++) {
                const char *equals = strchr(*s, '=');
                g_autofree char *name = g_strndup(*s, (size_t) (equals - *s));

                r = sd_bus_message_append(m, "{ss}", name, equals + 1);
        }
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_limits(sd_bus_message *m, const RoleSpec *spec, const RoleOption *option) {
        int r = sd_bus_message_open_container(m, 'a', "{st}");
        for (int i = 0; r >= 0 && i < RLIMIT_COUNT; i++)
                if (spec->limits_set & UINT64_C(1) << i)
                        r = sd_bus_message_append(m, "{st}", rlimit_to_string(i), spec->limits[i]);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static const void *option_member(const RoleSpec *spec, const RoleOption *option) {
        return (const char *) spec + option->offset;
}

static int append_flag(sd_bus_message *m, const RoleSpec *spec, const RoleOption *option) {
        const int value = *(const bool *) option_member(spec, option) != option->inverted;

        return sd_bus_message_append_basic(m, 'b', &value);
}

static int append_signed(sd_bus_message *m, const RoleSpec *spec, const RoleOption *option) {
        return sd_bus_message_append_basic(m, 'i', option_member(spec, option));
}

static int append_unsigned(sd_bus_message *m, const RoleSpec *spec, const RoleOption *option) {
        const uint64_t value = *(const uint64_t *) option_member(spec, option);
        const uint32_t small = (uint32_t) value; /* its maximum is that of its type */

        return sd_bus_message_append_basic(
                m, option->signature[0], option->signature[0] == 'u' ? (const void *) &small : &value);
}

static int append_ports(sd_bus_message *m, const RoleSpec *spec, const RoleOption *option) {
        const GArray *ports = *(GArray *const *) option_member(spec, option);

        return sd_bus_message_append_array(
                m, 'q', ports ? ports->data : NULL, ports ? ports->len * sizeof(uint16_t) : 0);
}

static int (*const option_writers[_ROLE_OPTION_KIND_MAX])(
        sd_bus_message *m, const RoleSpec *spec, const RoleOption *option) = {
        [ROLE_OPTION_STRING] = append_string,
        [ROLE_OPTION_STRINGS] = append_strings,
        [ROLE_OPTION_COMMANDS] = append_commands,
        [ROLE_OPTION_PAIRS] = append_pairs,
        [ROLE_OPTION_STRING_ENTRIES] = append_entries,
        [ROLE_OPTION_UNSIGNED_ENTRIES] = append_limits,
        [ROLE_OPTION_FLAG] = append_flag,
        [ROLE_OPTION_SIGNED] = append_signed,
        [ROLE_OPTION_UNSIGNED] = append_unsigned,
        [ROLE_OPTION_PORTS] = append_ports,
};

int option_value_append(sd_bus_message *m, const RoleSpec *spec, const RoleOption *option) {
        return option_writers[option->kind](m, spec, option);
}

int option_value_append_entry(sd_bus_message *m, const RoleSpec *spec, const RoleOption *option) {
        int r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append_basic(m, 's', option->key);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', option->signature);
        if (r >= 0)
                r = option_value_append(m, spec, option);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}
