/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>

#include "base/cgroup-util.h"
#include "bus/operation.h"
#include "model/products.h"
#include "bus/start-options.h"
#include "model/role-terminal.h"
#include "bus/bus-util.h"

/* One reader an option. Each is called with the message at the variant. */
typedef int (*OptionReader)(sd_bus_message *m, const char *key, RoleSpec *spec, sd_bus_error *error);

/* The options that are one checked string. */
static int read_string(sd_bus_message *m, const char *key, RoleSpec *spec,
        int (*set)(RoleSpec *, const char *, Fault *), sd_bus_error *error) {
        g_auto(Fault) fault = {};
        const char *value;

        int r = bus_read_variant_string(m, key, &value, error);
        if (r < 0)
                return r;
        r = set(spec, value, &fault);
        return r < 0 ? fault_to_bus_error(&fault, r, error) : r;
}

/* The options that are one checked list of strings. */
static int read_strings(sd_bus_message *m, const char *key, unsigned max, RoleSpec *spec,
        int (*set)(RoleSpec *, char **, Fault *), sd_bus_error *error) {
        g_autofree char *what = g_strdup_printf("Option \"%s\"", key);
        g_auto(GStrv) strings = NULL;
        g_auto(Fault) fault = {};

        int r = bus_enter_variant(m, key, "as", error);
        if (r < 0)
                return r;
        r = bus_read_strings(m, what, max, &strings, error);
        if (r < 0)
                return r;
        r = set(spec, strings, &fault);
        return r < 0 ? fault_to_bus_error(&fault, r, error) : sd_bus_message_exit_container(m);
}

static int read_setup_args(sd_bus_message *m, const char *key, RoleSpec *spec, sd_bus_error *error) {
        return read_strings(m, key, PRODUCT_LIST_MAX, spec, role_spec_set_setup_args, error);
}

static int read_xterm_args(sd_bus_message *m, const char *key, RoleSpec *spec, sd_bus_error *error) {
        return read_strings(m, key, XTERM_ARGS_MAX, spec, role_spec_set_xterm_args, error);
}

/* The options that are an array of this type, each element checked by itself. read: 1 one was read, 0 there is none; with a fault
 * it was refused. */
static int read_elements(sd_bus_message *m, const char *key, const char *type, RoleSpec *spec,
        int (*read)(sd_bus_message *, RoleSpec *, Fault *), sd_bus_error *error) {
        g_auto(Fault) fault = {};

        int r = bus_enter_variant(m, key, type, error);
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', type + 1);
        if (r < 0)
                return r;
        while ((r = read(m, spec, &fault)) > 0)
                ;
        if (fault.message)
                return fault_to_bus_error(&fault, r, error);
        if (r < 0)
                return r;
        r = sd_bus_message_exit_container(m);
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_eups_element(sd_bus_message *m, RoleSpec *spec, Fault *fault) {
        const char *product, *version;

        int r = sd_bus_message_read(m, "(ss)", &product, &version);
        if (r <= 0)
                return r;
        r = role_spec_add_eups(spec, product, version, fault);
        return r < 0 ? r : 1;
}

static int read_eups_list(sd_bus_message *m, const char *key, RoleSpec *spec, sd_bus_error *error) {
        return read_elements(m, key, "a(ss)", spec, read_eups_element, error);
}

static int read_env_element(sd_bus_message *m, RoleSpec *spec, Fault *fault) {
        const char *name, *value;

        int r = sd_bus_message_read(m, "{ss}", &name, &value);
        if (r <= 0)
                return r;
        r = role_spec_add_environment(spec, name, value, fault);
        return r < 0 ? r : 1;
}

static int read_env(sd_bus_message *m, const char *key, RoleSpec *spec, sd_bus_error *error) {
        return read_elements(m, key, "a{ss}", spec, read_env_element, error);
}

static int read_limits_element(sd_bus_message *m, RoleSpec *spec, Fault *fault) {
        const char *name;
        uint64_t value;

        int r = sd_bus_message_read(m, "{st}", &name, &value);
        if (r <= 0)
                return r;
        r = role_spec_add_limit(spec, name, value, fault);
        return r < 0 ? r : 1;
}

static int read_limits(sd_bus_message *m, const char *key, RoleSpec *spec, sd_bus_error *error) {
        return read_elements(m, key, "a{st}", spec, read_limits_element, error);
}

static int read_ports(sd_bus_message *m, const char *key, RoleSpec *spec, sd_bus_error *error) {
        g_autoptr(GArray) numbers = NULL;
        g_auto(Fault) fault = {};

        int r = bus_read_variant_unsigned_array(m, key, 1, UINT16_MAX, ROLE_PORTS_EACH_MAX, &numbers, error);
        if (r < 0)
                return r;
        r = role_spec_set_ports(
                spec, role_ports_from_string(key), (const uint64_t *) numbers->data, numbers->len, &fault);
        return r < 0 ? fault_to_bus_error(&fault, r, error) : r;
}

static int read_stop_signal(sd_bus_message *m, const char *key, RoleSpec *spec, sd_bus_error *error) {
        int64_t value;

        int r = bus_read_variant_signed(m, key, 1, SIGNAL_MAX, &value, error);
        if (r >= 0)
                spec->stop_signal = (int) value;
        return r;
}

static int read_stop_timeout(sd_bus_message *m, const char *key, RoleSpec *spec, sd_bus_error *error) {
        spec->stop_timeout_set = true;
        return bus_read_variant_unsigned(m, key, 0, UINT64_MAX, &spec->stop_timeout_usec, error);
}

static int read_nice(sd_bus_message *m, const char *key, RoleSpec *spec, sd_bus_error *error) {
        int64_t value;

        int r = bus_read_variant_signed(m, key, -20, 19, &value, error);
        if (r >= 0) {
                spec->nice = (int) value;
                spec->nice_set = true;
        }
        return r;
}

static int read_xterm(sd_bus_message *m, const char *key, RoleSpec *spec, sd_bus_error *error) {
        return bus_read_variant_bool(m, key, &spec->xterm, error);
}

static int read_remove(sd_bus_message *m, const char *key, RoleSpec *spec, sd_bus_error *error) {
        return bus_read_variant_bool(m, key, &spec->remove, error);
}

/* A limit that would be accepted and do nothing is worse than none. */
static int check_controller(const char *key, const char *controller, sd_bus_error *error) {
        if (cgroup_has_controller(controller))
                return 0;
        return sd_bus_error_setf(error, SD_BUS_ERROR_NOT_SUPPORTED,
                "Option \"%s\" needs the cgroup controller \"%s\", which this machine does not have", key,
                controller);
}

static int read_scope_limit(sd_bus_message *m, const char *key, uint64_t max, const char *controller,
        uint64_t *ret, sd_bus_error *error) {
        int r = bus_read_variant_unsigned(m, key, 1, max, ret, error);
        return r < 0 ? r : check_controller(key, controller, error);
}

static int read_memory_max(sd_bus_message *m, const char *key, RoleSpec *spec, sd_bus_error *error) {
        return read_scope_limit(m, key, UINT64_MAX - 1, "memory", &spec->memory_max, error);
}

static int read_tasks_max(sd_bus_message *m, const char *key, RoleSpec *spec, sd_bus_error *error) {
        return read_scope_limit(m, key, UINT64_MAX - 1, "pids", &spec->tasks_max, error);
}

static int read_cpu_quota(sd_bus_message *m, const char *key, RoleSpec *spec, sd_bus_error *error) {
        /* 1,000 CPUs; far below where systemd's microseconds overflow. */
        return read_scope_limit(m, key, 100000, "cpu", &spec->cpu_quota, error);
}

/* Each has one of the two. */
static const struct {
        const char *key;
        OptionReader read;
        int (*set_string)(RoleSpec *spec, const char *value, Fault *fault);
} options[] = {
        { "product", .set_string = role_spec_set_product },
        { "version", .set_string = role_spec_set_version },
        { "setup-args", read_setup_args },
        { "eups-list", read_eups_list },
        { "provider", .set_string = role_spec_set_provider },
        { "env", read_env },
        { "working-directory", .set_string = role_spec_set_working_directory },
        { "user", .set_string = role_spec_set_user },
        { "group", .set_string = role_spec_set_group },
        { "stdin", .set_string = role_spec_set_stdin },
        { "output", .set_string = role_spec_set_output },
        { "xterm", read_xterm },
        { "xterm-args", read_xterm_args },
        { "stop-signal", read_stop_signal },
        { "stop-to", .set_string = role_spec_set_stop_to },
        { "stop-timeout-usec", read_stop_timeout },
        { "on-monitor-loss", .set_string = role_spec_set_on_monitor_loss },
        { "nice", read_nice },
        { "limits", read_limits },
        { "remove", read_remove },
        { "memory-max", read_memory_max },
        { "tasks-max", read_tasks_max },
        { "cpu-quota", read_cpu_quota },
        { "tcp-ports", read_ports },
        { "udp-ports", read_ports },
        { "release-ports", read_ports },
};

static int find_option(const char *key) {
        for (size_t i = 0; i < ELEMENTSOF(options); i++)
                if (g_str_equal(options[i].key, key))
                        return (int) i;
        return -1;
}

static int read_option(sd_bus_message *m, int option, const char *key, void *userdata, sd_bus_error *error) {
        return options[option].read ? options[option].read(m, key, userdata, error)
                                    : read_string(m, key, userdata, options[option].set_string, error);
}

static const BusOptions bus_options = { find_option, read_option };

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

        r = bus_read_options(m, &bus_options, spec, error);
        if (r < 0)
                return r;
        r = role_spec_finish_terminal(spec, &fault);
        if (r < 0)
                return fault_to_bus_error(&fault, r, error);

        *ret = g_steal_pointer(&spec);
        return 0;
}
