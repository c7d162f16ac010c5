/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "base/parse-util.h"
#include "base/utf8.h"
#include "model/env.h"
#include "model/role-option-text.h"
#include "model/words.h"

/* The name by which a message calls the option, before role_option_set_from_text() changes it. */
static const char *role_option_name(const RoleOption *option) {
        return option->key ?: option->part_of ?: option->file_key;
}

static int option_refuse(const RoleOption *option, const char *value, const char *want, Fault *fault) {
        return fault_set(fault, NODE_ERROR_INVALID_ARGS, "Option \"%s\" is \"%.64s\", but must be %s",
                role_option_name(option), value, want);
}

/* -- numbers -- */

/* "20%" */
static int percent_parse(const char *text, uint64_t *ret) {
        g_autofree char *number = NULL;

        if (!g_str_has_suffix(text, "%"))
                return -EINVAL;
        number = g_strndup(text, strlen(text) - 1);
        return parse_u64(number, ret);
}

/* The kernel counts this limit from 1 for the nice level 19 to 40 for -20. */
static int nice_limit_parse(const char *text, uint64_t *ret) {
        const bool level = text[0] == '+' || text[0] == '-';
        uint64_t value;

        int r = parse_u64(text + level, &value);
        if (r < 0)
                return r;
        if (level && value > (text[0] == '+' ? 19 : 20))
                return -ERANGE;
        if (level)
                value = text[0] == '+' ? 20 - value : 20 + value;
        if (value < 1 || value > 40)
                return -ERANGE;
        *ret = value;
        return 0;
}

static int cpu_time_parse(const char *text, uint64_t *ret) {
        uint64_t usec;

        int r = parse_time(text, USEC_PER_SEC, &usec);
        if (r >= 0)
                *ret = usec / USEC_PER_SEC + (usec % USEC_PER_SEC > 0);
        return r;
}

static int number_parse(RoleNumber number, const char *text, uint64_t *ret) {
        switch (number) {
        case ROLE_NUMBER_TIME:
                return parse_time(text, USEC_PER_SEC, ret);
        case ROLE_NUMBER_CPU_TIME:
                return cpu_time_parse(text, ret);
        case ROLE_NUMBER_RT_TIME:
                return parse_time(text, 1, ret);
        case ROLE_NUMBER_SIZE:
                return parse_size(text, ret);
        case ROLE_NUMBER_PERCENT:
                return percent_parse(text, ret);
        case ROLE_NUMBER_NICE:
                return nice_limit_parse(text, ret);
        default:
                return parse_u64(text, ret);
        }
}

static const char *number_words(RoleNumber number) {
        switch (number) {
        case ROLE_NUMBER_SIGNAL:
                return "a signal such as SIGTERM";
        case ROLE_NUMBER_TIME:
        case ROLE_NUMBER_CPU_TIME:
        case ROLE_NUMBER_RT_TIME:
                return "a time such as \"1min 30s\", or infinity";
        case ROLE_NUMBER_SIZE:
                return "a size such as 500M, or infinity";
        case ROLE_NUMBER_PERCENT:
                return "a percentage such as 20%";
        case ROLE_NUMBER_WEIGHT:
                return "a weight from 1 to 10000";
        case ROLE_NUMBER_NICE:
                return "from 1 to 40, a nice level from -20 to +19 with its sign, or infinity";
        default:
                return "an integer";
        }
}

static int option_set_signed(RoleSpec *spec, const RoleOption *option, const char *value, Fault *fault) {
        int32_t number;

        int r = option->number == ROLE_NUMBER_SIGNAL ? parse_signal(value, &number)
                                                     : parse_i32(value, &number);
        if (r < 0)
                return option_refuse(option, value, number_words(option->number), fault);
        return role_option_set_signed(spec, option, number, fault);
}

static int option_set_unsigned(RoleSpec *spec, const RoleOption *option, const char *value, Fault *fault) {
        uint64_t number = UINT64_MAX;
        int r = 0;

        if (option->part_of && strchr(value, ':'))
                return option_refuse(
                        option, value, "one limit, since the soft and the hard one are alike", fault);
        if (!g_str_equal(value, "infinity") || option->number == ROLE_NUMBER_PERCENT ||
                option->number == ROLE_NUMBER_WEIGHT)
                r = number_parse(option->number, value, &number);
        else if (option->max < UINT64_MAX) { /* a limit of the scope: there is none */
                role_option_reset(spec, option);
                return 0;
        }
        if (r < 0)
                return option_refuse(option, value, number_words(option->number), fault);
        return role_option_set_unsigned(spec, option, number, fault);
}

/* -- others -- */

static int option_set_flag(RoleSpec *spec, const RoleOption *option, const char *value, Fault *fault) {
        bool flag;

        if (parse_boolean(value, &flag) < 0)
                return option_refuse(option, value, "yes or no", fault);
        role_option_set_flag(spec, option, flag);
        return 0;
}

static int option_set_string(RoleSpec *spec, const RoleOption *option, const char *value, Fault *fault) {
        return option->set_string(spec, value, fault);
}

static int option_set_strings(RoleSpec *spec, const RoleOption *option, const char *value, Fault *fault) {
        char **old = *(char ***) ((char *) spec + option->offset);
        g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
        g_auto(GStrv) words = NULL, all = NULL;

        int r = words_split(value, WORDS_SHELL, &words, fault);
        if (r < 0)
                return r;
        if (old && !option->last_wins)
                g_strv_builder_addv(builder, (const char **) old);
        g_strv_builder_addv(builder, (const char **) words);
        all = g_strv_builder_end(builder);
        if (g_strv_length(all) > option->max)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "Option \"%s\" has more than %" G_GUINT64_FORMAT " strings", role_option_name(option),
                        option->max);
        return option->set_strings(spec, all, fault);
}

/* One command, which is added to those before. */
static int option_add_command(RoleSpec *spec, const RoleOption *option, const char *value, Fault *fault) {
        g_auto(GStrv) words = NULL;

        int r = words_split(value, WORDS_SHELL, &words, fault);
        return r < 0 ? r : role_option_add_command(spec, option, words, fault);
}

/* PRODUCT=VERSION, or PRODUCT alone. */
static int option_add_pairs(RoleSpec *spec, const RoleOption *option, const char *value, Fault *fault) {
        g_auto(GStrv) words = NULL;

        int r = words_split(value, WORDS_SHELL, &words, fault);
        for (char **w = words; r >= 0 && w && *w; w++) {
                g_auto(GStrv) pair = g_strsplit(*w, "=", 2);

                r = option->add_strings(spec, pair[0] ?: "", pair[0] && pair[1] ? pair[1] : "", fault);
        }
        return r;
}

/* The last value of a variable counts. */
static void environment_remove(RoleSpec *spec, const char *name) {
        for (char **e = spec->environment; e && *e; e++)
                if (env_variable_is(*e, name)) {
                        g_free(*e);
                        memmove(e, e + 1, (g_strv_length(e + 1) + 1) * sizeof(char *));
                        return;
                }
}

static int option_add_entries(RoleSpec *spec, const RoleOption *option, const char *value, Fault *fault) {
        g_auto(GStrv) words = NULL;

        int r = words_split(value, WORDS_UNIT, &words, fault);
        for (char **w = words; r >= 0 && w && *w; w++) {
                char *equals = strchr(*w, '=');

                if (!equals) /* may be a part of a value, and that is secret */
                        return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                                "Option \"%s\": word %zu is not NAME=VALUE; a value with spaces needs quotes",
                                role_option_name(option), (size_t) (w - words) + 1);
                *equals = '\0';
                environment_remove(spec, *w);
                r = option->add_strings(spec, *w, equals + 1, fault);
        }
        return r;
}

static int option_add_ports(RoleSpec *spec, const RoleOption *option, const char *value, Fault *fault) {
        const GArray *old = spec->ports[option->ports];
        g_autoptr(GArray) numbers = g_array_new(false, false, sizeof(uint64_t));
        g_auto(GStrv) words = NULL;

        for (unsigned i = 0; old && i < old->len; i++) {
                uint64_t number = g_array_index(old, uint16_t, i);
                g_array_append_val(numbers, number);
        }
        int r = words_split(value, WORDS_SHELL, &words, fault);
        for (char **w = words; r >= 0 && w && *w; w++) {
                uint64_t number;

                if (parse_u64(*w, &number) < 0)
                        return option_refuse(option, *w, "the number of a port", fault);
                g_array_append_val(numbers, number);
        }
        if (r < 0)
                return r;
        return role_spec_set_ports(
                spec, option->ports, (const uint64_t *) numbers->data, numbers->len, fault);
}

static int (*const option_setters[_ROLE_OPTION_KIND_MAX])(
        RoleSpec *spec, const RoleOption *option, const char *value, Fault *fault) = {
        [ROLE_OPTION_STRING] = option_set_string,
        [ROLE_OPTION_STRINGS] = option_set_strings,
        [ROLE_OPTION_COMMANDS] = option_add_command,
        [ROLE_OPTION_PAIRS] = option_add_pairs,
        [ROLE_OPTION_STRING_ENTRIES] = option_add_entries,
        [ROLE_OPTION_UNSIGNED_ENTRIES] = NULL, /* its parts have keys */
        [ROLE_OPTION_FLAG] = option_set_flag,
        [ROLE_OPTION_SIGNED] = option_set_signed,
        [ROLE_OPTION_UNSIGNED] = option_set_unsigned,
        [ROLE_OPTION_PORTS] = option_add_ports,
};

int role_option_set_from_text(RoleSpec *spec, const RoleOption *option, const char *value, Fault *fault) {
        g_autofree char *trimmed = g_strstrip(g_strdup(value));
        g_auto(Fault) reason = {};
        int r;

        g_assert(option->file_key);
        if (trimmed[0] == '\0') {
                role_option_reset(spec, option);
                return 0;
        }
        if (utf8_is_valid(trimmed))
                r = option_setters[option->kind](spec, option, trimmed, &reason);
        else
                r = fault_set(&reason, NODE_ERROR_INVALID_ARGS,
                        "The value has characters that D-Bus does not permit");
        if (r >= 0)
                return 0;

        /* A reader of the file looks for its key, not for the one on D-Bus. */
        g_autofree char *prefix = g_strdup_printf("Option \"%s\"", role_option_name(option));
        const bool named = g_str_has_prefix(reason.message, prefix);
        return fault_set(fault, reason.error, "%s=%s%s", option->file_key, named ? "" : ": ",
                reason.message + (named ? strlen(prefix) : 0));
}
