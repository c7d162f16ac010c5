/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "bus/bus-util.h"
#include "bus/operation.h"
#include "bus/start-options.h"
#include "model/role-options.h"

/* -- a reader for each kind of value -- */

/* What is read, and where it goes. A value of a wrong type is an sd_bus_error, and one that the model refuses
 * is a Fault. */
typedef struct StartReading {
        RoleSpec *spec;
        const RoleOption *option;
        GPtrArray *names; /* of the options so far, not owned */
        Fault fault;
} StartReading;

static int start_read_string(sd_bus_message *m, StartReading *s, sd_bus_error *error) {
        const char *value;

        int r = bus_read_variant_string(m, s->option->key, &value, error);
        return r < 0 ? r : s->option->set_string(s->spec, value, &s->fault);
}

static int start_read_strings(sd_bus_message *m, StartReading *s, sd_bus_error *error) {
        g_auto(GStrv) strings = NULL;

        int r = bus_read_variant_strings(m, s->option->key, (unsigned) s->option->max, &strings, error);
        return r < 0 ? r : s->option->set_strings(s->spec, strings, &s->fault);
}

static int start_add_command(char **words, void *userdata, sd_bus_error *error) {
        StartReading *s = userdata;

        return role_option_add_command(s->spec, s->option, words, &s->fault);
}

static int start_read_commands(sd_bus_message *m, StartReading *s, sd_bus_error *error) {
        return bus_read_variant_string_lists(
                m, s->option->key, (unsigned) s->option->max, start_add_command, s, error);
}

static int start_add_strings(const char *first, const char *second, void *userdata, sd_bus_error *error) {
        StartReading *s = userdata;

        return s->option->add_strings(s->spec, first, second, &s->fault);
}

static int start_add_unsigned(const char *name, uint64_t value, void *userdata, sd_bus_error *error) {
        StartReading *s = userdata;

        return s->option->add_unsigned(s->spec, name, value, &s->fault);
}

static int start_read_pairs(sd_bus_message *m, StartReading *s, sd_bus_error *error) {
        return bus_read_variant_pairs(m, s->option->key, start_add_strings, s, error);
}

static int start_read_string_entries(sd_bus_message *m, StartReading *s, sd_bus_error *error) {
        return bus_read_variant_string_entries(m, s->option->key, start_add_strings, s, error);
}

static int start_read_unsigned_entries(sd_bus_message *m, StartReading *s, sd_bus_error *error) {
        return bus_read_variant_unsigned_entries(m, s->option->key, start_add_unsigned, s, error);
}

static int start_read_flag(sd_bus_message *m, StartReading *s, sd_bus_error *error) {
        bool value;

        int r = bus_read_variant_bool(m, s->option->key, &value, error);
        if (r >= 0)
                role_option_set_flag(s->spec, s->option, value);
        return r;
}

static int start_read_signed(sd_bus_message *m, StartReading *s, sd_bus_error *error) {
        const RoleOption *o = s->option;
        int64_t value;

        int r = bus_read_variant_signed(m, o->key, o->signed_min, o->signed_max, &value, error);
        return r < 0 ? r : role_option_set_signed(s->spec, o, value, &s->fault);
}

static int start_read_unsigned(sd_bus_message *m, StartReading *s, sd_bus_error *error) {
        const RoleOption *o = s->option;
        uint64_t value;

        int r = bus_read_variant_unsigned(m, o->key, o->min, o->max, &value, error);
        return r < 0 ? r : role_option_set_unsigned(s->spec, o, value, &s->fault);
}

static int start_read_ports(sd_bus_message *m, StartReading *s, sd_bus_error *error) {
        g_autoptr(GArray) numbers = NULL;

        int r = bus_read_variant_unsigned_array(
                m, s->option->key, 1, UINT16_MAX, ROLE_PORTS_EACH_MAX, &numbers, error);
        if (r < 0)
                return r;
        return role_spec_set_ports(
                s->spec, s->option->ports, (const uint64_t *) numbers->data, numbers->len, &s->fault);
}

static int (*const start_readers[_ROLE_OPTION_KIND_MAX])(
        sd_bus_message *m, StartReading *s, sd_bus_error *error) = {
        [ROLE_OPTION_STRING] = start_read_string,
        [ROLE_OPTION_STRINGS] = start_read_strings,
        [ROLE_OPTION_COMMANDS] = start_read_commands,
        [ROLE_OPTION_PAIRS] = start_read_pairs,
        [ROLE_OPTION_STRING_ENTRIES] = start_read_string_entries,
        [ROLE_OPTION_UNSIGNED_ENTRIES] = start_read_unsigned_entries,
        [ROLE_OPTION_FLAG] = start_read_flag,
        [ROLE_OPTION_SIGNED] = start_read_signed,
        [ROLE_OPTION_UNSIGNED] = start_read_unsigned,
        [ROLE_OPTION_PORTS] = start_read_ports,
};

/* A RoleOption begins as a BusOption does, which the room model does not know. */
G_STATIC_ASSERT(offsetof(RoleOption, key) == offsetof(BusOption, key));
G_STATIC_ASSERT(offsetof(RoleOption, signature) == offsetof(BusOption, type));

static int start_option_read(
        sd_bus_message *m, const BusOption *option, void *userdata, sd_bus_error *error) {
        StartReading *s = userdata;

        s->option = (const RoleOption *) option;
        if (!s->option->of_call) /* the others replace what a definition says */
                g_ptr_array_add(s->names, (gpointer) s->option->key);
        if (s->spec->definition) /* it replaces a list of the definition and does not add to it */
                role_option_reset(s->spec, s->option);
        int r = start_readers[s->option->kind](m, s, error);
        return r < 0 && s->fault.message ? fault_to_bus_error(&s->fault, r, error) : r;
}

BusOptions start_options(void) {
        return (BusOptions){ "Start", role_options, sizeof(role_options[0]), n_role_options,
                start_option_read };
}

static int start_option_compare_names(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

/* What the command stands for, without options. */
static int start_read_command(sd_bus_message *m, const Definitions *definitions, const char *name,
        RoleSpec **ret, sd_bus_error *error) {
        g_autoptr(RoleSpec) spec = NULL;
        g_auto(GStrv) command = NULL;
        g_auto(Fault) fault = {};
        const Definition *definition;

        int r = bus_read_strings(m, "The command", ROLE_COMMAND_ARGS_MAX, &command, error);
        if (r < 0)
                return r;
        if (command && command[0]) {
                spec = role_spec_new();
                r = role_spec_set_command(spec, command, &fault);
        } else {
                r = definitions_find_valid(definitions, name, &definition, &fault);
                if (r >= 0)
                        spec = role_spec_copy(definition->spec);
        }
        if (r < 0)
                return fault_to_bus_error(&fault, r, error);
        *ret = g_steal_pointer(&spec);
        return 0;
}

int start_options_read(sd_bus_message *m, const Definitions *definitions, const char *name, RoleSpec **ret,
        char **ret_names, sd_bus_error *error) {
        const BusOptions options = start_options();
        g_autoptr(RoleSpec) spec = NULL;
        g_autoptr(GPtrArray) names = g_ptr_array_new();
        g_auto(Fault) fault = {};

        int r = start_read_command(m, definitions, name, &spec, error);
        if (r < 0)
                return r;
        StartReading reading = { .spec = spec, .names = names };
        r = bus_read_options(m, &options, &reading, error);
        fault_clear(&reading.fault);
        if (r < 0)
                return r;
        r = role_spec_finish_terminal(spec, &fault);
        if (r < 0)
                return fault_to_bus_error(&fault, r, error);

        g_ptr_array_sort(names, start_option_compare_names);
        g_ptr_array_add(names, NULL);
        *ret_names = g_strjoinv(" ", (char **) names->pdata);
        *ret = g_steal_pointer(&spec);
        return 0;
}
