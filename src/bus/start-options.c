/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>

#include "base/cgroup-util.h"
#include "base/macro.h"
#include "bus/operation.h"
#include "model/products.h"
#include "bus/start-options.h"
#include "model/role-terminal.h"
#include "bus/bus-util.h"

/* Defines how the value of one option is read, and where it is stored. */
typedef struct StartOption {
        BusOption base;
        int (*read)(sd_bus_message *m, const struct StartOption *option, RoleSpec *spec, sd_bus_error *error);
        union {
                int (*set_string)(RoleSpec *spec, const char *value, Fault *fault);
                int (*set_strings)(RoleSpec *spec, char **strings, Fault *fault);
                int (*read_element)(sd_bus_message *m, RoleSpec *spec, Fault *fault);
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
        g_autofree char *what = g_strdup_printf("Option \"%s\"", option->base.key);
        g_auto(GStrv) strings = NULL;
        g_auto(Fault) fault = {};

        int r = bus_enter_variant(m, option->base.key, option->base.type, error);
        if (r < 0)
                return r;
        r = bus_read_strings(m, what, (unsigned) option->max, &strings, error);
        if (r < 0)
                return r;
        r = option->set_strings(spec, strings, &fault);
        return r < 0 ? fault_to_bus_error(&fault, r, error) : sd_bus_message_exit_container(m);
}

/* Reads an array and checks each element. read_element returns 1 if it has read an element and 0 at the end;
 * on failure it may fill the fault. */
static int start_option_read_elements(
        sd_bus_message *m, const StartOption *option, RoleSpec *spec, sd_bus_error *error) {
        g_auto(Fault) fault = {};

        int r = bus_enter_variant(m, option->base.key, option->base.type, error);
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', option->base.type + 1);
        if (r < 0)
                return r;
        while ((r = option->read_element(m, spec, &fault)) > 0)
                ;
        if (fault.message)
                return fault_to_bus_error(&fault, r, error);
        if (r < 0)
                return r;
        r = sd_bus_message_exit_container(m);
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int start_option_read_flag(
        sd_bus_message *m, const StartOption *option, RoleSpec *spec, sd_bus_error *error) {
        return bus_read_variant_bool(m, option->base.key, (bool *) ((char *) spec + option->flag), error);
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

static int start_option_read_eups(sd_bus_message *m, RoleSpec *spec, Fault *fault) {
        const char *product, *version;

        int r = sd_bus_message_read(m, "(ss)", &product, &version);
        if (r <= 0)
                return r;
        r = role_spec_add_eups(spec, product, version, fault);
        return r < 0 ? r : 1;
}

static int start_option_read_variable(sd_bus_message *m, RoleSpec *spec, Fault *fault) {
        const char *name, *value;

        int r = sd_bus_message_read(m, "{ss}", &name, &value);
        if (r <= 0)
                return r;
        r = role_spec_add_environment(spec, name, value, fault);
        return r < 0 ? r : 1;
}

static int start_option_read_limit(sd_bus_message *m, RoleSpec *spec, Fault *fault) {
        const char *name;
        uint64_t value;

        int r = sd_bus_message_read(m, "{st}", &name, &value);
        if (r <= 0)
                return r;
        r = role_spec_add_limit(spec, name, value, fault);
        return r < 0 ? r : 1;
}

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
#define ELEMENTS(key, type, read) KIND(key, type, elements, .read_element = read)
#define IS_BOOL(member) __builtin_types_compatible_p(typeof(((RoleSpec *) NULL)->member), bool)
#define FLAG(key, member) \
        KIND(key, "b", flag, .flag = offsetof(RoleSpec, member) + 0 * sizeof(char[IS_BOOL(member) ? 1 : -1]))
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
        ELEMENTS("eups-list", "a(ss)", start_option_read_eups),
        STRING("provider", role_spec_set_provider),
        ELEMENTS("env", "a{ss}", start_option_read_variable),
        STRING("working-directory", role_spec_set_working_directory),
        STRING("user", role_spec_set_user),
        STRING("group", role_spec_set_group),
        STRING("stdin", role_spec_set_stdin),
        STRING("output", role_spec_set_output),
        FLAG("xterm", xterm),
        STRINGS("xterm-args", XTERM_ARGS_MAX, role_spec_set_xterm_args),
        SIGNED("stop-signal", 1, SIGNAL_MAX, start_option_set_stop_signal),
        STRING("stop-to", role_spec_set_stop_to),
        UNSIGNED("stop-timeout-usec", 0, UINT64_MAX, start_option_set_stop_timeout),
        STRING("on-monitor-loss", role_spec_set_on_monitor_loss),
        SIGNED("nice", -20, 19, start_option_set_nice),
        ELEMENTS("limits", "a{st}", start_option_read_limit),
        FLAG("remove", remove),
        SCOPE_LIMIT("memory-max", UINT64_MAX - 1, start_option_set_memory_max, "memory"),
        SCOPE_LIMIT("tasks-max", UINT64_MAX - 1, start_option_set_tasks_max, "pids"),
        /* 1,000 CPUs, far below the value at which the microseconds of systemd overflow. */
        SCOPE_LIMIT("cpu-quota", 100000, start_option_set_cpu_quota, "cpu"),
        PORTS("tcp-ports"),
        PORTS("udp-ports"),
        PORTS("release-ports"),
};

static int start_option_read(
        sd_bus_message *m, const BusOption *option, void *userdata, sd_bus_error *error) {
        const StartOption *o = (const StartOption *) option;

        return o->read(m, o, userdata, error);
}

const BusOptions start_options = { "Start", start_entries, sizeof(start_entries[0]),
        ELEMENTSOF(start_entries), start_option_read };

int start_options_read(sd_bus_message *m, RoleSpec **ret, sd_bus_error *error) {
        g_autoptr(RoleSpec) spec = role_spec_new();
        g_auto(Fault) fault = {};
        g_auto(GStrv) command = NULL;

        int r = bus_read_strings(m, "The command", ROLE_COMMAND_ARGS_MAX, &command, error);
        if (r < 0)
                return r;
        r = role_spec_set_command(spec, command, &fault);
        if (r < 0)
                return fault_to_bus_error(&fault, r, error);

        r = bus_read_options(m, &start_options, spec, error);
        if (r < 0)
                return r;
        r = role_spec_finish_terminal(spec, &fault);
        if (r < 0)
                return fault_to_bus_error(&fault, r, error);

        *ret = g_steal_pointer(&spec);
        return 0;
}
