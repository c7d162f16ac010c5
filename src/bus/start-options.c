/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "base/cgroup-util.h"
#include "base/macro.h"
#include "bus/bus-util.h"
#include "bus/operation.h"
#include "bus/start-options.h"
#include "model/products.h"
#include "model/role-terminal.h"

/* Defines how the value of one option is read, and where it is stored. */
typedef struct StartOption {
        BusOption base;
        int (*read)(sd_bus_message *m, const struct StartOption *option, RoleSpec *spec, sd_bus_error *error);
        union {
                int (*set_string)(RoleSpec *spec, const char *value, Fault *fault);
                int (*set_strings)(RoleSpec *spec, char **strings, Fault *fault);
                int (*add_strings)(RoleSpec *spec, const char *first, const char *second, Fault *fault);
                int (*add_unsigned)(RoleSpec *spec, const char *name, uint64_t value, Fault *fault);
                void (*set_signed)(RoleSpec *spec, int64_t value);
                void (*set_unsigned)(RoleSpec *spec, uint64_t value);
                size_t flag; /* offset of the bool in the RoleSpec */
        };
        int64_t signed_min, signed_max;
        uint64_t min, max;      /* of an unsigned value; max is also the maximum number of strings */
        const char *controller; /* that a limit of the scope requires */
} StartOption;

/* -- a reader for each kind -- */

static int start_option_read_string(
        sd_bus_message *m, const StartOption *option, RoleSpec *spec, sd_bus_error *error) {
        g_auto(Fault) fault = {};
        const char *value;

        int r = bus_read_variant_string(m, option->base.key, &value, error);
        if (r < 0)
                return r;
        r = option->set_string(spec, value, &fault);
        return r < 0 ? fault_to_bus_error(&fault, r, error) : r;
}

static int start_option_read_strings(
        sd_bus_message *m, const StartOption *option, RoleSpec *spec, sd_bus_error *error) {
        g_auto(GStrv) strings = NULL;
        g_auto(Fault) fault = {};

        int r = bus_read_variant_strings(m, option->base.key, (unsigned) option->max, &strings, error);
        if (r < 0)
                return r;
        r = option->set_strings(spec, strings, &fault);
        return r < 0 ? fault_to_bus_error(&fault, r, error) : r;
}

/* The option whose elements are read, and the spec that they are added to. */
typedef struct Elements {
        const StartOption *option;
        RoleSpec *spec;
} Elements;

static int elements_add_strings(const char *first, const char *second, void *userdata, sd_bus_error *error) {
        const Elements *e = userdata;
        g_auto(Fault) fault = {};

        int r = e->option->add_strings(e->spec, first, second, &fault);
        return r < 0 ? fault_to_bus_error(&fault, r, error) : r;
}

static int elements_add_unsigned(const char *name, uint64_t value, void *userdata, sd_bus_error *error) {
        const Elements *e = userdata;
        g_auto(Fault) fault = {};

        int r = e->option->add_unsigned(e->spec, name, value, &fault);
        return r < 0 ? fault_to_bus_error(&fault, r, error) : r;
}

static int start_option_read_pairs(
        sd_bus_message *m, const StartOption *option, RoleSpec *spec, sd_bus_error *error) {
        return bus_read_variant_pairs(
                m, option->base.key, elements_add_strings, &(Elements){ option, spec }, error);
}

static int start_option_read_string_entries(
        sd_bus_message *m, const StartOption *option, RoleSpec *spec, sd_bus_error *error) {
        return bus_read_variant_string_entries(
                m, option->base.key, elements_add_strings, &(Elements){ option, spec }, error);
}

static int start_option_read_unsigned_entries(
        sd_bus_message *m, const StartOption *option, RoleSpec *spec, sd_bus_error *error) {
        return bus_read_variant_unsigned_entries(
                m, option->base.key, elements_add_unsigned, &(Elements){ option, spec }, error);
}

static int start_option_read_flag(
        sd_bus_message *m, const StartOption *option, RoleSpec *spec, sd_bus_error *error) {
        return bus_read_variant_bool(m, option->base.key, (bool *) ((char *) spec + option->flag), error);
}

static int start_option_read_inverted_flag(
        sd_bus_message *m, const StartOption *option, RoleSpec *spec, sd_bus_error *error) {
        bool value;

        int r = bus_read_variant_bool(m, option->base.key, &value, error);
        if (r >= 0)
                *(bool *) ((char *) spec + option->flag) = !value;
        return r;
}

static int start_option_read_signed(
        sd_bus_message *m, const StartOption *option, RoleSpec *spec, sd_bus_error *error) {
        int64_t value;

        int r = bus_read_variant_signed(
                m, option->base.key, option->signed_min, option->signed_max, &value, error);
        if (r >= 0)
                option->set_signed(spec, value);
        return r;
}

/* A limit must not be accepted without an effect. */
static int start_option_check_controller(const StartOption *option, sd_bus_error *error) {
        if (!option->controller || cgroup_has_controller(option->controller))
                return 0;
        return sd_bus_error_setf(error, SD_BUS_ERROR_NOT_SUPPORTED,
                "Option \"%s\" needs the cgroup controller \"%s\", which this machine does not have",
                option->base.key, option->controller);
}

static int start_option_read_unsigned(
        sd_bus_message *m, const StartOption *option, RoleSpec *spec, sd_bus_error *error) {
        uint64_t value;

        int r = bus_read_variant_unsigned(m, option->base.key, option->min, option->max, &value, error);
        if (r >= 0)
                r = start_option_check_controller(option, error);
        if (r >= 0)
                option->set_unsigned(spec, value);
        return r;
}

static int start_option_read_ports(
        sd_bus_message *m, const StartOption *option, RoleSpec *spec, sd_bus_error *error) {
        const char *key = option->base.key;
        g_autoptr(GArray) numbers = NULL;
        g_auto(Fault) fault = {};

        int r = bus_read_variant_unsigned_array(m, key, 1, UINT16_MAX, ROLE_PORTS_EACH_MAX, &numbers, error);
        if (r < 0)
                return r;
        r = role_spec_set_ports(
                spec, role_ports_from_string(key), (const uint64_t *) numbers->data, numbers->len, &fault);
        return r < 0 ? fault_to_bus_error(&fault, r, error) : r;
}

/* -- where the values go -- */

static void start_option_set_stop_signal(RoleSpec *spec, int64_t value) {
        spec->stop_signal = (int) value;
}

static void start_option_set_nice(RoleSpec *spec, int64_t value) {
        spec->nice = (int) value;
        spec->nice_set = true;
}

static void start_option_set_stop_timeout(RoleSpec *spec, uint64_t value) {
        spec->stop_timeout_usec = value;
        spec->stop_timeout_set = true;
}

static void start_option_set_memory_max(RoleSpec *spec, uint64_t value) {
        spec->memory_max = value;
}

static void start_option_set_tasks_max(RoleSpec *spec, uint64_t value) {
        spec->tasks_max = value;
}

static void start_option_set_cpu_quota(RoleSpec *spec, uint64_t value) {
        spec->cpu_quota = value;
}

/* -- the table -- */

#define KIND(key, type, kind, ...) \
        { .base = { key, type }, .read = start_option_read_##kind, __VA_ARGS__ }
#define STRING(key, set) KIND(key, "s", string, .set_string = set)
#define STRINGS(key, n, set) KIND(key, "as", strings, .set_strings = set, .max = n)
#define PAIRS(key, add) KIND(key, "a(ss)", pairs, .add_strings = add)
#define STRING_ENTRIES(key, add) KIND(key, "a{ss}", string_entries, .add_strings = add)
#define UNSIGNED_ENTRIES(key, add) KIND(key, "a{st}", unsigned_entries, .add_unsigned = add)
#define IS_BOOL(member) __builtin_types_compatible_p(typeof(((RoleSpec *) NULL)->member), bool)
#define BOOL_OFFSET(member) (offsetof(RoleSpec, member) + 0 * sizeof(char[IS_BOOL(member) ? 1 : -1]))
#define FLAG(key, member) KIND(key, "b", flag, .flag = BOOL_OFFSET(member))
/* An option whose default is true; the member is its opposite. */
#define INVERTED_FLAG(key, member) KIND(key, "b", inverted_flag, .flag = BOOL_OFFSET(member))
#define SIGNED(key, lowest, highest, set) \
        KIND(key, "i", signed, .set_signed = set, .signed_min = lowest, .signed_max = highest)
#define UNSIGNED(key, lowest, highest, set) \
        KIND(key, "t", unsigned, .set_unsigned = set, .min = lowest, .max = highest)
#define SCOPE_LIMIT(key, highest, set, needs) \
        KIND(key, "t", unsigned, .set_unsigned = set, .min = 1, .max = highest, .controller = needs)
#define PORTS(key) KIND(key, "aq", ports)

/* The XML document and examples/architectnode.py have the same keys with the same types.
 * tests/bus/test-option-lists.py compares them. */
static const StartOption start_entries[] = {
        STRING("product", role_spec_set_product),
        STRING("version", role_spec_set_version),
        STRINGS("setup-args", PRODUCT_LIST_MAX, role_spec_set_setup_args),
        PAIRS("eups-list", role_spec_add_eups),
        STRING("provider", role_spec_set_provider),
        STRING_ENTRIES("env", role_spec_add_environment),
        STRING("working-directory", role_spec_set_working_directory),
        STRING("user", role_spec_set_user),
        STRING("group", role_spec_set_group),
        STRING("stdin", role_spec_set_stdin),
        STRING("output", role_spec_set_output),
        FLAG("xterm", xterm),
        STRINGS("xterm-args", XTERM_ARGS_MAX, role_spec_set_xterm_args),
        INVERTED_FLAG("ignore-sigpipe", default_sigpipe),
        STRING("exit-type", role_spec_set_exit_type),
        SIGNED("stop-signal", 1, SIGNAL_MAX, start_option_set_stop_signal),
        STRING("stop-to", role_spec_set_stop_to),
        UNSIGNED("stop-timeout-usec", 0, UINT64_MAX, start_option_set_stop_timeout),
        STRING("on-monitor-loss", role_spec_set_on_monitor_loss),
        SIGNED("nice", -20, 19, start_option_set_nice),
        UNSIGNED_ENTRIES("limits", role_spec_add_limit),
        FLAG("remove", remove),
        SCOPE_LIMIT("memory-max", UINT64_MAX - 1, start_option_set_memory_max, "memory"),
        SCOPE_LIMIT("tasks-max", UINT64_MAX - 1, start_option_set_tasks_max, "pids"),
        /* 1,000 CPUs, far below the value at which the microseconds of systemd overflow. */
        SCOPE_LIMIT("cpu-quota", 100000, start_option_set_cpu_quota, "cpu"),
        PORTS("tcp-ports"),
        PORTS("udp-ports"),
        PORTS("release-ports"),
};

typedef struct StartReading {
        RoleSpec *spec;
        GPtrArray *names; /* not owned */
} StartReading;

static int start_option_read(
        sd_bus_message *m, const BusOption *option, void *userdata, sd_bus_error *error) {
        const StartOption *o = (const StartOption *) option;
        StartReading *reading = userdata;

        g_ptr_array_add(reading->names, (gpointer) option->key);
        return o->read(m, o, reading->spec, error);
}

const BusOptions start_options = { "Start", start_entries, sizeof(start_entries[0]),
        ELEMENTSOF(start_entries), start_option_read };

static int start_option_compare_names(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

int start_options_read(sd_bus_message *m, RoleSpec **ret, char **ret_names, sd_bus_error *error) {
        g_autoptr(RoleSpec) spec = role_spec_new();
        g_autoptr(GPtrArray) names = g_ptr_array_new();
        g_auto(Fault) fault = {};
        g_auto(GStrv) command = NULL;

        int r = bus_read_strings(m, "The command", ROLE_COMMAND_ARGS_MAX, &command, error);
        if (r < 0)
                return r;
        r = role_spec_set_command(spec, command, &fault);
        if (r < 0)
                return fault_to_bus_error(&fault, r, error);

        r = bus_read_options(m, &start_options, &(StartReading){ spec, names }, error);
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
