/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is read from a message: integers of every type, and the options of Start, also beside the text of a
 * role file. Each message is marshalled and read again, as if it had been received. */

#include "bus-world.h"
#include "option-samples.h"
#include "spec-compare.h"

#include <inttypes.h>
#include <signal.h>
#include <sys/resource.h>

#include "base/cgroup-util.h"
#include "bus/start-options.h"
#include "bus/bus-util.h"
#include "model/role-option-text.h"
#include "model/role-state.h"

/* Converts the message into the form in which its reader receives it. */
static void deliver(sd_bus_message *m) {
        assert_return_code(sd_bus_message_seal(m, 1, 0), 0);
        assert_return_code(sd_bus_message_rewind(m, true), 0);
}

static sd_bus_message *variant(BusWorld *b, const char *type, int64_t value) {
        sd_bus_message *m = call_new(b, CLIENT, NODE_PATH, NODE_INTERFACE, "Start");

        switch (type[0]) {
        case 'y':
        case 'n':
        case 'q':
        case 'i':
        case 'u':
                assert_return_code(sd_bus_message_append(m, "v", type, (int) value), 0);
                break;
        default:
                assert_return_code(sd_bus_message_append(m, "v", type, value), 0);
                break;
        }
        deliver(m);
        return m;
}

typedef struct Range {
        const char *type;
        int64_t min, max; /* as bits, so the maximum of t is -1 */
} Range;

static const Range ranges[] = {
        { "y", 0, UINT8_MAX },
        { "n", INT16_MIN, INT16_MAX },
        { "q", 0, UINT16_MAX },
        { "i", INT32_MIN, INT32_MAX },
        { "u", 0, UINT32_MAX },
        { "x", INT64_MIN, INT64_MAX },
        { "t", 0, -1 },
};

static int read_signed(BusWorld *b, const char *type, int64_t value, int64_t min, int64_t max, int64_t *ret,
        sd_bus_error *error) {
        g_autoptr(sd_bus_message) m = variant(b, type, value);

        int r = bus_read_variant_signed(m, "key", min, max, ret, error);
        if (r >= 0)
                assert_true(sd_bus_message_at_end(m, true));
        return r;
}

static int read_unsigned(BusWorld *b, const char *type, int64_t value, uint64_t min, uint64_t max,
        uint64_t *ret, sd_bus_error *error) {
        g_autoptr(sd_bus_message) m = variant(b, type, value);

        int r = bus_read_variant_unsigned(m, "key", min, max, ret, error);
        if (r >= 0)
                assert_true(sd_bus_message_at_end(m, true));
        return r;
}

static void test_signed(void **state) {
        BusWorld *b = *state;

        for (size_t i = 0; i < ELEMENTSOF(ranges); i++) {
                const int64_t values[] = { ranges[i].min, 0, 1, ranges[i].max };

                for (size_t v = 0; v < ELEMENTSOF(values); v++) {
                        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
                        bool too_large = ranges[i].type[0] == 't' && values[v] < 0;
                        int64_t value = 4711;

                        int r = read_signed(
                                b, ranges[i].type, values[v], INT64_MIN, INT64_MAX, &value, &error);
                        if (too_large) {
                                assert_int_equal(r, -EINVAL);
                                assert_contains(error.message,
                                        "Option \"key\" is 18446744073709551615, but must be from -9223372036854775808 to 9223372036854775807");
                                assert_int_equal(value, 4711); /* not changed */
                        } else {
                                assert_return_code(r, 0);
                                assert_true(value == values[v]);
                        }
                }
        }
}

static void test_unsigned(void **state) {
        BusWorld *b = *state;

        for (size_t i = 0; i < ELEMENTSOF(ranges); i++) {
                const int64_t values[] = { ranges[i].min, 0, 1, ranges[i].max };

                for (size_t v = 0; v < ELEMENTSOF(values); v++) {
                        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
                        bool negative = ranges[i].type[0] != 't' && values[v] < 0;
                        uint64_t value = 4711;

                        int r = read_unsigned(b, ranges[i].type, values[v], 0, UINT64_MAX, &value, &error);
                        if (negative) {
                                assert_int_equal(r, -EINVAL);
                                g_autofree char *text = g_strdup_printf(
                                        "Option \"key\" is %" PRIi64 ", but must be from 0 to", values[v]);
                                assert_contains(error.message, text);
                                assert_int_equal(value, 4711);
                        } else {
                                assert_return_code(r, 0);
                                assert_true(value == (uint64_t) values[v]);
                        }
                }
        }
}

static void test_bounds(void **state) {
        BusWorld *b = *state;
        static const struct {
                int64_t value;
                bool ok;
        } cases[] = { { -21, false }, { -20, true }, { 0, true }, { 19, true }, { 20, false } };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
                int64_t value;

                int r = read_signed(b, "i", cases[i].value, -20, 19, &value, &error);
                assert_int_equal(r >= 0, cases[i].ok);
                if (r < 0)
                        assert_contains(error.message, "must be from -20 to 19");
        }
        g_auto(sd_bus_error) low = SD_BUS_ERROR_NULL, high = SD_BUS_ERROR_NULL;
        uint64_t value;
        assert_int_equal(read_unsigned(b, "t", 4, 5, 7, &value, &low), -EINVAL);
        assert_int_equal(read_unsigned(b, "y", 8, 5, 7, &value, &high), -EINVAL);
        assert_contains(high.message, "Option \"key\" is 8, but must be from 5 to 7");
        assert_return_code(read_unsigned(b, "q", 7, 5, 7, &value, NULL), 0);
}

static void test_no_integer(void **state) {
        BusWorld *b = *state;
        static const struct {
                const char *type;
                int64_t value;
        } cases[] = { { "b", 1 }, { "d", 0 }, { "o", 0 }, { "ai", 0 }, { "as", 0 } };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
                g_autoptr(sd_bus_message) m = call_new(b, CLIENT, NODE_PATH, NODE_INTERFACE, "Start");
                int64_t value;

                if (cases[i].type[0] == 'd')
                        assert_return_code(sd_bus_message_append(m, "v", "d", 1.0), 0);
                else if (cases[i].type[0] == 'o')
                        assert_return_code(sd_bus_message_append(m, "v", "o", "/1"), 0);
                else
                        assert_return_code(
                                sd_bus_message_append(m, "v", cases[i].type, (int) cases[i].value), 0);
                deliver(m);
                assert_int_equal(bus_read_variant_signed(m, "nice", -20, 19, &value, &error), -EINVAL);
                assert_string_equal(error.name, SD_BUS_ERROR_INVALID_ARGS);
                g_autofree char *text =
                        g_strdup_printf("Option \"nice\" has type %s, but must be an integer", cases[i].type);
                assert_string_equal(error.message, text);
        }
}

static void test_strings_and_booleans(void **state) {
        BusWorld *b = *state;
        g_autoptr(sd_bus_message) m = call_new(b, CLIENT, NODE_PATH, NODE_INTERFACE, "Start");
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL, other = SD_BUS_ERROR_NULL;
        const char *s;
        bool yes = false, no = true;

        assert_return_code(
                sd_bus_message_append(m, "vvvvv", "s", "text", "b", 1, "b", 0, "o", "/", "s", "x"), 0);
        deliver(m);
        assert_return_code(bus_read_variant_string(m, "key", &s, NULL), 0);
        assert_string_equal(s, "text");
        assert_return_code(bus_read_variant_bool(m, "key", &yes, NULL), 0);
        assert_return_code(bus_read_variant_bool(m, "key", &no, NULL), 0);
        assert_true(yes);
        assert_false(no);
        assert_int_equal(bus_read_variant_string(m, "key", &s, &error), -EINVAL);
        assert_string_equal(error.message, "Option \"key\" has type o, but must be s");
        assert_return_code(sd_bus_message_rewind(m, true), 0);
        assert_return_code(sd_bus_message_skip(m, "vvvv"), 0);
        assert_int_equal(bus_read_variant_bool(m, "key", &yes, &other), -EINVAL);
        assert_string_equal(other.message, "Option \"key\" has type s, but must be b");
        assert_true(yes);
}

/* The arguments of Start. The test appends the options. */
static sd_bus_message *start_new(BusWorld *b) {
        sd_bus_message *m = call_new(b, CLIENT, NODE_PATH, NODE_INTERFACE, "Start");

        assert_return_code(sd_bus_message_append(m, "as", 2, "/bin/echo", ""), 0);
        assert_return_code(sd_bus_message_open_container(m, 'a', "{sv}"), 0);
        return m;
}

/* The same without a command, as the definition of the role has it. */
static sd_bus_message *start_defined_new(BusWorld *b) {
        sd_bus_message *m = call_new(b, CLIENT, NODE_PATH, NODE_INTERFACE, "Start");

        assert_return_code(sd_bus_message_append(m, "as", 0), 0);
        assert_return_code(sd_bus_message_open_container(m, 'a', "{sv}"), 0);
        return m;
}

/* An entry of the a{sv}, which is consumed. */
static void append_option(sd_bus_message *m, GVariant *entry) {
        g_autoptr(GVariant) owned = g_variant_take_ref(entry);

        assert_return_code(bus_append_gvariant(m, owned), 0);
}

static int read_start_of(
        sd_bus_message *m, const Definitions *definitions, RoleSpec **ret, sd_bus_error *error) {
        assert_return_code(sd_bus_message_close_container(m), 0);
        deliver(m);
        g_autofree char *names = NULL;
        int r = start_options_read(m, definitions, "cam", ret, &names, error);
        if (r >= 0)
                assert_true(sd_bus_message_at_end(m, true));
        return r;
}

static int read_start(sd_bus_message *m, RoleSpec **ret, sd_bus_error *error) {
        g_autoptr(Definitions) none = definitions_new();

        return read_start_of(m, none, ret, error);
}

static void expect_refused(sd_bus_message *m, const char *text) {
        g_autoptr(RoleSpec) spec = NULL;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        assert_int_equal(read_start(m, &spec, &error), -EINVAL);
        assert_string_equal(error.name, SD_BUS_ERROR_INVALID_ARGS);
        assert_contains(error.message, text);
        assert_null(spec);
}

static void test_every_option(void **state) {
        BusWorld *b = *state;
        g_autoptr(sd_bus_message) m = start_new(b);
        g_autoptr(RoleSpec) spec = NULL;

        assert_return_code(bus_append_entry(m, "env", "a{ss}", 2, "A", "1", "B", "x=y"), 0);
        assert_return_code(bus_append_entry(m, "working-directory", "s", "/tmp"), 0);
        assert_return_code(bus_append_entry(m, "user", "s", "daemon"), 0);
        assert_return_code(bus_append_entry(m, "group", "s", "adm"), 0);
        assert_return_code(bus_append_entry(m, "stdin", "s", "null"), 0);
        assert_return_code(bus_append_entry(m, "output", "s", "file:/tmp/x"), 0);
        assert_return_code(bus_append_entry(m, "output-timestamps", "b", 1), 0);
        assert_return_code(bus_append_entry(m, "ignore-sigpipe", "b", 0), 0);
        assert_return_code(bus_append_entry(m, "exit-type", "s", "cgroup"), 0);
        assert_return_code(bus_append_entry(m, "stop-signal", "y", SIGINT), 0);
        assert_return_code(bus_append_entry(m, "stop-to", "s", "main"), 0);
        assert_return_code(bus_append_entry(m, "stop-timeout-usec", "t", UINT64_MAX), 0);
        assert_return_code(bus_append_entry(m, "nice", "n", -5), 0);
        assert_return_code(
                bus_append_entry(m, "limits", "a{st}", 2, "nofile", UINT64_C(64), "core", UINT64_MAX), 0);
        assert_return_code(bus_append_entry(m, "remove", "b", 1), 0);
        assert_return_code(bus_append_entry(m, "product", "s", "base"), 0);
        assert_return_code(bus_append_entry(m, "version", "s", "1.0"), 0);
        assert_return_code(bus_append_entry(m, "setup-args", "as", 3, "-t", "", "a b"), 0);
        assert_return_code(bus_append_entry(m, "eups-list", "a(ss)", 2, "one", "", "two", "2"), 0);
        assert_return_code(bus_append_entry(m, "provider", "s", "lmod"), 0);
        assert_return_code(bus_append_entry(m, "xterm", "b", 0), 0);
        assert_return_code(bus_append_entry(m, "xterm-args", "as", 0), 0);
        assert_return_code(bus_append_entry(m, "type", "s", "oneshot"), 0);
        assert_return_code(bus_append_entry(m, "timeout-start-usec", "t", UINT64_C(5)), 0);
        assert_return_code(bus_append_entry(m, "notify-access", "s", "all"), 0);
        assert_return_code(bus_append_entry(m, "watchdog-usec", "t", UINT64_C(6)), 0);
        assert_return_code(bus_append_entry(m, "watchdog-signal", "i", SIGKILL), 0);
        assert_return_code(bus_append_entry(m, "lease", "s", "cluster"), 0);
        assert_return_code(bus_append_entry(m, "fencing-token", "t", UINT64_C(7)), 0);
        assert_return_code(bus_append_entry(m, "managed-by", "s", "pacemaker:cam"), 0);
        assert_return_code(read_start(m, &spec, NULL), 0);

        assert_string_equal(spec->lease, "cluster");
        assert_int_equal(spec->fencing_token, 7);
        assert_string_equal(spec->managed_by, "pacemaker:cam");
        assert_string_equal(spec->product, "base");
        assert_string_equal(spec->version, "1.0");
        g_autofree char *arguments = g_strjoinv("|", spec->setup_args),
                        *list = g_strjoinv("|", spec->eups_list);
        assert_string_equal(arguments, "-t||a b");
        assert_string_equal(list, "one||two|2");
        assert_true(spec->provider_set);
        assert_int_equal(spec->provider, PRODUCT_PROVIDER_LMOD);
        assert_int_equal(g_strv_length(spec->command), 2);
        assert_string_equal(spec->command[0], "/bin/echo");
        assert_string_equal(spec->command[1], "");
        assert_int_equal(g_strv_length(spec->environment), 2);
        assert_string_equal(spec->environment[1], "B=x=y");
        assert_string_equal(spec->working_directory, "/tmp");
        assert_string_equal(spec->user, "daemon");
        assert_string_equal(spec->group, "adm");
        assert_int_equal(spec->stdin_kind, ROLE_STDIN_NULL);
        assert_int_equal(spec->output, LAUNCH_OUTPUT_FILE);
        assert_string_equal(spec->output_path, "/tmp/x");
        assert_true(spec->output_timestamps);
        assert_true(spec->default_sigpipe);
        assert_int_equal(spec->exit_type, EXIT_TYPE_CGROUP);
        assert_int_equal(spec->stop_signal, SIGINT);
        assert_int_equal(spec->stop_to, STOP_TO_MAIN);
        assert_true(spec->stop_timeout_usec == USEC_INFINITY);
        assert_true(spec->nice_set);
        assert_int_equal(spec->nice, -5);
        assert_true(spec->limits_set == ((UINT64_C(1) << RLIMIT_NOFILE) | (UINT64_C(1) << RLIMIT_CORE)));
        assert_int_equal(spec->limits[RLIMIT_NOFILE], 64);
        assert_true(spec->remove);
        assert_int_equal(spec->type, ROLE_TYPE_ONESHOT);
        assert_true(spec->timeout_start_set);
        assert_int_equal(spec->timeout_start_usec, 5);
        assert_int_equal(spec->notify_access, NOTIFY_ACCESS_ALL);
        assert_int_equal(spec->watchdog_usec, 6);
        assert_int_equal(spec->watchdog_signal, SIGKILL);
        assert_false(spec->xterm);
}

static void test_window(void **state) {
        BusWorld *b = *state;
        g_autoptr(sd_bus_message) m = start_new(b), pipe = start_new(b), args = start_new(b),
                                  e = start_new(b);
        g_autoptr(RoleSpec) spec = NULL;

        assert_return_code(bus_append_entry(m, "xterm-args", "as", 2, "-geometry", "132x50"), 0);
        assert_return_code(bus_append_entry(m, "xterm", "b", 1), 0);
        assert_return_code(read_start(m, &spec, NULL), 0);
        assert_true(spec->xterm);
        assert_int_equal(spec->stdin_kind, ROLE_STDIN_PTY);
        assert_int_equal(g_strv_length(spec->xterm_args), 2);
        assert_string_equal(spec->xterm_args[1], "132x50");

        assert_return_code(bus_append_entry(pipe, "xterm", "b", 1), 0);
        assert_return_code(bus_append_entry(pipe, "stdin", "s", "null"), 0);
        expect_refused(pipe, "Option \"xterm\" needs \"stdin\" to be pty");
        assert_return_code(bus_append_entry(args, "xterm-args", "as", 1, "-rv"), 0);
        expect_refused(args, "Option \"xterm-args\" needs");
        assert_return_code(bus_append_entry(e, "xterm", "b", 1), 0);
        assert_return_code(bus_append_entry(e, "xterm-args", "as", 1, "-e"), 0);
        expect_refused(e, "Option \"xterm-args\": \"-e\"");
}

static void test_no_options(void **state) {
        BusWorld *b = *state;
        g_autoptr(sd_bus_message) m = start_new(b);
        g_autoptr(RoleSpec) spec = NULL, defaults = role_spec_new();

        assert_return_code(read_start(m, &spec, NULL), 0);
        assert_int_equal(spec->stop_signal, defaults->stop_signal);
        assert_true(spec->stop_timeout_usec == defaults->stop_timeout_usec);
        assert_null(spec->environment);
        assert_false(spec->nice_set);

        /* What is said to be the default is the default. */
        g_autoptr(sd_bus_message) said = start_new(b);
        g_autoptr(RoleSpec) again = NULL;
        assert_return_code(bus_append_entry(said, "ignore-sigpipe", "b", 1), 0);
        assert_return_code(read_start(said, &again, NULL), 0);
        assert_false(again->default_sigpipe);
}

/* Limits of the scope are accepted if the machine has the controller, and refused with the name of the option
 * if it has not. */
static void test_scope_limits(void **state) {
        BusWorld *b = *state;
        static const struct {
                const char *key, *controller;
                size_t offset;
                bool v2;
        } limits[] = {
                { "memory-max", "memory", offsetof(RoleSpec, memory_max), false },
                { "tasks-max", "pids", offsetof(RoleSpec, tasks_max), false },
                { "cpu-quota", "cpu", offsetof(RoleSpec, cpu_quota), false },
                { "cpu-weight", "cpu", offsetof(RoleSpec, cpu_weight), false },
                { "io-weight", "io", offsetof(RoleSpec, io_weight), true },
                { "memory-high", "memory", offsetof(RoleSpec, memory_high), true },
        };

        for (size_t i = 0; i < ELEMENTSOF(limits); i++) {
                g_autoptr(sd_bus_message) m = start_new(b);
                g_autoptr(RoleSpec) spec = NULL;
                g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

                assert_return_code(bus_append_entry(m, limits[i].key, "u", 10000U), 0);
                int r = read_start(m, &spec, &error);
                if (cgroup_has_controller(limits[i].controller) && (!limits[i].v2 || cgroup_is_unified())) {
                        assert_return_code(r, 0);
                        assert_int_equal(*(uint64_t *) ((char *) spec + limits[i].offset), 10000);
                } else {
                        g_autofree char *text = g_strdup_printf(
                                "Option \"%s\" needs the cgroup controller \"%s\"%s, which", limits[i].key,
                                limits[i].controller, limits[i].v2 ? " of cgroup v2" : "");
                        assert_int_equal(r, -EOPNOTSUPP);
                        assert_string_equal(error.name, SD_BUS_ERROR_NOT_SUPPORTED);
                        assert_contains(error.message, text);
                        assert_null(spec);
                }
        }
}

static bool type_is_one_of(const char *type, const char *types) {
        g_auto(GStrv) list = g_strsplit(types, " ", -1);

        return g_strv_contains((const char *const *) list, type);
}

/* Each option with each type that is not its own. */
static void test_wrong_types(void **state) {
        BusWorld *b = *state;
        static const char *const values[] = {
                "int32 1",
                "uint64 1",
                "'/x'",
                "true",
                "{'A': '1'}",
                "{'nofile': uint64 1}",
                "['x']",
                "[('p', '1')]",
                "[uint16 1]",
                "<<1.0>>", /* a variant in variants */
                "1.0",
        };

        const BusOptions options = start_options();

        for (size_t i = 0; i < options.n_entries; i++)
                for (size_t v = 0; v < ELEMENTSOF(values); v++) {
                        g_autoptr(sd_bus_message) m = start_new(b);
                        g_autoptr(RoleSpec) spec = NULL;
                        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
                        g_autoptr(GVariant) value = g_variant_ref_sink(g_variant_new_parsed(values[v]));
                        const BusOption *option = bus_options_get(&options, i);
                        const char *type = g_variant_get_type_string(value), *want = option->type;

                        if (!option->key)
                                continue;
                        if (type[0] == 'v')
                                type = "d";
                        if (type_is_one_of(want, "i t u")) {
                                if (type_is_one_of(type, "i t s")) /* a string: see test_not_by_meaning() */
                                        continue;
                                want = "an integer";
                        } else if (g_str_equal(want, "aq")) {
                                if (type_is_one_of(type, "aq as"))
                                        continue;
                                want = "an array of integers";
                        } else if (g_str_equal(want, "a{st}")) {
                                if (type_is_one_of(type, "a{st} a{ss}"))
                                        continue;
                                want = "a dictionary of integers";
                        } else if (g_str_equal(type, want))
                                continue;

                        append_option(m, g_variant_new("{sv}", option->key, value));
                        g_autofree char *text = g_strdup_printf(
                                "Option \"%s\" has type %s, but must be %s", option->key, type, want);
                        assert_int_equal(read_start(m, &spec, &error), -EINVAL);
                        assert_string_equal(error.name, SD_BUS_ERROR_INVALID_ARGS);
                        assert_string_equal(error.message, text);
                        assert_null(spec);
                }
}

/* Reads a Start with these options, an a{sv} as text. */
static void append_options(sd_bus_message *m, const char *options) {
        g_autoptr(GVariant) value = g_variant_ref_sink(g_variant_new_parsed(options));

        for (gsize i = 0; i < g_variant_n_children(value); i++)
                append_option(m, g_variant_get_child_value(value, i));
}

static int read_options(BusWorld *b, const char *options, RoleSpec **ret, sd_bus_error *error) {
        g_autoptr(sd_bus_message) m = start_new(b);

        append_options(m, options);
        return read_start(m, ret, error);
}

/* What is saved of a role that was started with these options; NULL: this machine does not support one. */
static char *saved(BusWorld *b, const char *options) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        RoleSpec *spec = NULL;

        int r = read_options(b, options, &spec, &error);
        if (r == -EOPNOTSUPP)
                return NULL;
        if (r < 0)
                fail_msg("%s: %s", options, error.message);
        g_autoptr(Role) role = role_new(b->world->node, "cam", spec);
        return role_state_format(role);
}

/* What languages without D-Bus types send for an option has the same effect as its own type. */
static void test_by_meaning(void **state) {
        BusWorld *b = *state;
        static const struct {
                const char *given, *meant;
        } cases[] = {
                { "{'user': <<'daemon'>>}", "{'user': <'daemon'>}" },
                { "{'user': <<<'daemon'>>>}", "{'user': <'daemon'>}" },
                { "{'remove': <<true>>}", "{'remove': <true>}" },
                { "{'nice': <'-5'>}", "{'nice': <-5>}" },
                { "{'nice': <<int64 -5>>}", "{'nice': <-5>}" },
                { "{'nice': <'-0'>}", "{'nice': <0>}" },
                { "{'stop-signal': <'2'>}", "{'stop-signal': <2>}" },
                { "{'stop-timeout-usec': <'18446744073709551615'>}",
                        "{'stop-timeout-usec': <uint64 18446744073709551615>}" },
                { "{'stop-timeout-usec': <<'3000000'>>}", "{'stop-timeout-usec': <3000000>}" },
                { "{'product': <'p'>, 'setup-args': <[<'-t'>, <<'x'>>]>}",
                        "{'product': <'p'>, 'setup-args': <['-t', 'x']>}" },
                { "{'product': <'p'>, 'setup-args': <<['-t', 'x']>>}",
                        "{'product': <'p'>, 'setup-args': <['-t', 'x']>}" },
                { "{'product': <'p'>, 'setup-args': <@av []>}", "{'product': <'p'>}" },
                { "{'stdin': <'pty'>, 'xterm': <true>, 'xterm-args': <[<'-rv'>]>}",
                        "{'stdin': <'pty'>, 'xterm': <true>, 'xterm-args': <['-rv']>}" },
                { "{'eups-list': <[<('p', '1')>, <('q', '')>]>}",
                        "{'eups-list': <[('p', '1'), ('q', '')]>}" },
                { "{'env': <{'A': <'1'>, 'B': <<'x=y'>>}>}", "{'env': <{'A': '1', 'B': 'x=y'}>}" },
                { "{'env': <<{'A': '1'}>>}", "{'env': <{'A': '1'}>}" },
                { "{'env': <@a{sv} {}>}", "{'env': <@a{ss} {}>}" },
                { "{'limits': <{'nofile': 64}>}", "{'limits': <{'nofile': uint64 64}>}" },
                { "{'limits': <{'nofile': byte 64}>}", "{'limits': <{'nofile': uint64 64}>}" },
                { "{'limits': <{'nofile': '64'}>}", "{'limits': <{'nofile': uint64 64}>}" },
                { "{'limits': <{'nofile': <64>, 'core': <'18446744073709551615'>}>}",
                        "{'limits': <{'nofile': uint64 64, 'core': 18446744073709551615}>}" },
                { "{'tcp-ports': <[1, 65535]>}", "{'tcp-ports': <[uint16 1, 65535]>}" },
                { "{'tcp-ports': <['1', '65535']>}", "{'tcp-ports': <[uint16 1, 65535]>}" },
                { "{'udp-ports': <[<1>, <'65535'>, <<uint16 7>>]>}",
                        "{'udp-ports': <[uint16 1, 65535, 7]>}" },
                { "{'release-ports': <<[uint64 1]>>}", "{'release-ports': <[uint16 1]>}" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                g_autofree char *given = saved(b, cases[i].given), *meant = saved(b, cases[i].meant);

                assert_non_null(meant);
                assert_string_equal(given, meant);
        }
}

/* Where the meaning is not certain, the error names the key, the wanted type and the given one. */
static void test_not_by_meaning(void **state) {
        BusWorld *b = *state;
        static const struct {
                const char *key, *value, *text;
        } cases[] = {
                { "nice", "'five'", "Option \"nice\" is \"five\" of type s, but must be an integer" },
                { "nice", "''", "Option \"nice\" is \"\" of type s, but must be an integer" },
                { "nice", "'+5'", "Option \"nice\" is \"+5\" of type s, but must be an integer" },
                { "nice", "' 5'", "Option \"nice\" is \" 5\" of type s, but must be an integer" },
                { "nice", "'0x5'", "Option \"nice\" is \"0x5\" of type s, but must be an integer" },
                { "nice", "'5.0'", "Option \"nice\" is \"5.0\" of type s, but must be an integer" },
                { "nice", "'--5'", "Option \"nice\" is \"--5\" of type s, but must be an integer" },
                { "stop-timeout-usec", "'18446744073709551616'",
                        "Option \"stop-timeout-usec\" is \"18446744073709551616\" of type s, but must be an integer" },
                { "stop-timeout-usec", "'-1'",
                        "Option \"stop-timeout-usec\" is -1, but must be from 0 to 18446744073709551615" },
                { "stop-timeout-usec", "<5.0>",
                        "Option \"stop-timeout-usec\" has type d, but must be an integer" },
                { "remove", "'true'", "Option \"remove\" has type s, but must be b" },
                { "remove", "1", "Option \"remove\" has type i, but must be b" },
                { "user", "1000", "Option \"user\" has type i, but must be s" },
                { "setup-args", "[<'-t'>, <5>]",
                        "Option \"setup-args\": element 2 has type i, but must be s" },
                { "setup-args", "'-t'", "Option \"setup-args\" has type s, but must be as" },
                { "eups-list", "[['p', '1']]", "Option \"eups-list\" has type aas, but must be a(ss)" },
                { "eups-list", "[<['p', '1']>]",
                        "Option \"eups-list\": element 1 has type as, but must be (ss)" },
                { "eups-list", "[<('p', 1)>]",
                        "Option \"eups-list\": element 1 has type (si), but must be (ss)" },
                { "exec-start-pre", "['/x']", "Option \"exec-start-pre\" has type as, but must be aas" },
                { "exec-start-pre", "[<['/x']>, <'y'>]",
                        "Option \"exec-start-pre\": element 2 has type s, but must be as" },
                { "exec-start-pre", "[[<'/x'>, <1>]]",
                        "Option \"exec-start-pre\": element 1 has type i, but must be s" },
                { "env", "{'A': <'x'>, 'B': <1>}",
                        "Option \"env\": the value of \"B\" has type i, but must be s" },
                { "env", "{'A': 1}", "Option \"env\" has type a{si}, but must be a{ss}" },
                { "env", "[('A', 'x')]", "Option \"env\" has type a(ss), but must be a{ss}" },
                { "env", "('A', 'x')", "Option \"env\" has type (ss), but must be a{ss}" },
                { "limits", "{'nofile': <1.0>}",
                        "Option \"limits\": the value of \"nofile\" has type d, but must be an integer" },
                { "limits", "{'nofile': 'many'}",
                        "Option \"limits\": the value of \"nofile\" is \"many\" of type s, but must be an integer" },
                { "limits", "{'nofile': -1}",
                        "Option \"limits\": the value of \"nofile\" is -1, but must be from 0 to 18446744073709551615" },
                { "tcp-ports", "5", "Option \"tcp-ports\" has type i, but must be an array of integers" },
                { "tcp-ports", "[<1>, <'http'>]",
                        "Option \"tcp-ports\": element 2 is \"http\" of type s, but must be an integer" },
                { "tcp-ports", "[<1>, <[2]>]",
                        "Option \"tcp-ports\": element 2 has type ai, but must be an integer" },
                { "tcp-ports", "['0']", "Option \"tcp-ports\" is 0, but must be from 1 to 65535" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                g_autoptr(sd_bus_message) m = start_new(b);
                g_autoptr(RoleSpec) spec = NULL;
                g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

                append_option(m, g_variant_new("{sv}", cases[i].key, g_variant_new_parsed(cases[i].value)));
                assert_int_equal(read_start(m, &spec, &error), -EINVAL);
                assert_string_equal(error.name, SD_BUS_ERROR_INVALID_ARGS);
                assert_string_equal(error.message, cases[i].text);
                assert_null(spec);
        }
}

/* Each option of the table makes a difference in what is saved. Whether that is read again test-node-state
 * shows. */
static void test_each_is_saved(void **state) {
        BusWorld *b = *state;

        assert_all_sampled();
        for (size_t i = 0; i < ELEMENTSOF(samples); i++) {
                g_autofree char *without = saved(b, samples[i].without), *with = saved(b, samples[i].with);

                assert_non_null(without);
                if (g_strcmp0(without, with) == 0)
                        fail_msg("Option \"%s\" is not saved", samples[i].key);
        }
}

/* Each key of role files gives the value that its option has on D-Bus, or the same error. */
static void test_text_means_the_same(void **state) {
        BusWorld *b = *state;
        g_autoptr(GHashTable) keys = g_hash_table_new(g_str_hash, g_str_equal);

        for (size_t i = 0; i < ELEMENTSOF(samples); i++) {
                g_autoptr(RoleSpec) said = NULL, written = role_spec_new();
                g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
                g_auto(Fault) fault = {};

                int r = read_options(b, samples[i].with, &said, &error);
                assert_return_code(test_spec_set_lines(written, "Command=/bin/echo \"\"", keys, &fault), 0);
                int t = test_spec_set_lines(written, samples[i].text, keys, &fault);
                if (t >= 0)
                        t = role_spec_finish_terminal(written, &fault);
                if (t != r)
                        fail_msg("%s: \"%s\", but on D-Bus \"%s\"", samples[i].text, fault.message,
                                error.message);
                if (r < 0) { /* this machine does not support it */
                        assert_int_equal(r, -EOPNOTSUPP);
                        assert_contains(fault.message, "= needs the cgroup controller");
                        continue;
                }
                for (size_t m = 0; m < ELEMENTSOF(spec_members); m++)
                        if (!same_member(&spec_members[m], said, written))
                                fail_msg("%s: %s differs", samples[i].text, spec_members[m].name);
        }
        for (size_t i = 0; i < n_role_options; i++)
                if (role_options[i].file_key && !g_hash_table_contains(keys, role_options[i].file_key))
                        fail_msg("%s= has no sample here", role_options[i].file_key);
}

static const RoleOption *option_of(const char *key) {
        for (size_t i = 0; i < n_role_options; i++)
                if (g_strcmp0(role_options[i].key, key) == 0)
                        return &role_options[i];
        fail_msg("%s is no option", key);
        return NULL;
}

/* Without a command a start is what the definition says. An option of the call replaces the whole value, also
 * that of a list. */
static void test_definition(void **state) {
        static const char lines[] =
                "Command=/x 'a b'\nEnvironment=A=1 C=3\nWorkingDirectory=/w\nUser=u\nGroup=g\n"
                "StandardOutput=file:/log\nOutputTimestamps=yes\nIgnoreSIGPIPE=no\nKillSignal=KILL\nStopTo=main\nTimeoutStopSec=7\n"
                "OnMonitorLoss=stop\nNice=7\nRemove=yes\nLimitNPROC=7\nLimitCORE=7\nEupsList=r=1\n"
                "ReleasePorts=7\nRoleGroups=dusk";
        BusWorld *b = *state;
        g_autoptr(Definitions) definitions = test_definitions("cam", lines);
        g_autoptr(sd_bus_message) plain = start_defined_new(b);
        g_autoptr(RoleSpec) defined = NULL, written = role_spec_new();

        assert_return_code(read_start_of(plain, definitions, &defined, NULL), 0);
        assert_return_code(test_spec_set_lines(written, lines, NULL, NULL), 0);
        assert_non_null(defined->definition);
        written->definition = g_strdup(defined->definition);
        written->definition_hash = g_strdup(defined->definition_hash);
        for (size_t i = 0; i < ELEMENTSOF(spec_members); i++)
                if (!same_member(&spec_members[i], defined, written))
                        fail_msg("%s is not as defined", spec_members[i].name);

        for (size_t i = 0; i < ELEMENTSOF(samples); i++) {
                g_autoptr(sd_bus_message) m = start_defined_new(b);
                g_autoptr(RoleSpec) said = NULL, alone = NULL;
                unsigned n = 0;

                if (read_options(b, samples[i].with, &alone, NULL) < 0)
                        continue; /* this machine does not support it */
                append_options(m, samples[i].with);
                assert_return_code(read_start_of(m, definitions, &said, NULL), 0);
                for (size_t o = 0; o < n_role_options; o++)
                        for (size_t k = 0; k < ELEMENTSOF(spec_members); k++)
                                if (g_strcmp0(role_options[o].key, samples[i].key) == 0 &&
                                        role_options[o].kind != ROLE_OPTION_PORTS &&
                                        spec_members[k].offset == role_options[o].offset) {
                                        n++;
                                        if (!same_member(&spec_members[k], said, alone))
                                                fail_msg("%s does not replace %s", samples[i].with,
                                                        spec_members[k].name);
                                }
                /* The three lists of ports are one member, and so are the five of dependencies. */
                const RoleOption *option = option_of(samples[i].key);
                if (n == 0 && option->kind == ROLE_OPTION_STRINGS) {
                        g_auto(GStrv) a = role_option_get_strings(said, option),
                                      z = role_option_get_strings(alone, option);

                        assert_true(g_strv_equal((const char *const *) a, (const char *const *) z));
                } else if (n == 0) {
                        assert_true(g_str_has_suffix(samples[i].key, "-ports"));
                        assert_int_equal(said->ports[ROLE_PORTS_RELEASE]->len, 1);
                        assert_int_equal(g_array_index(said->ports[ROLE_PORTS_RELEASE], uint16_t, 0),
                                g_str_equal(samples[i].key, "release-ports") ? 3 : 7);
                }
                if (g_str_equal(samples[i].key, "limits"))
                        assert_memory_equal(said->limits, alone->limits, sizeof(said->limits));
                assert_string_equal(said->command[1], "a b");
                assert_string_equal(said->definition, defined->definition);
        }
}

static void test_no_definition(void **state) {
        BusWorld *b = *state;
        g_autoptr(sd_bus_message) without = start_defined_new(b), bad = start_defined_new(b);
        g_autoptr(Definitions) definitions = test_definitions("cam", "Command=/x\nNice=20");
        g_auto(sd_bus_error) missing = SD_BUS_ERROR_NULL, refused = SD_BUS_ERROR_NULL;
        g_autoptr(RoleSpec) spec = NULL;

        assert_int_equal(read_start(without, &spec, &missing), -ENOENT);
        assert_string_equal(missing.name, "org.architect.Node.Error.NoSuchDefinition");
        assert_contains(missing.message, "Role \"cam\" has no definition, and the command is empty");
        assert_int_equal(read_start_of(bad, definitions, &spec, &refused), -EBADMSG);
        assert_string_equal(refused.name, "org.architect.Node.Error.BadDefinition");
        assert_contains(refused.message, "cam.role:3: Nice= is 20, but must be from -20 to 19");
        assert_null(spec);
}

static void test_unknown_option(void **state) {
        BusWorld *b = *state;
        static const char *const keys[][2] = { { "Env", "Unknown option \"Env\"" },
                { "", "Unknown option \"\"" }, { "nice ", "Unknown option \"nice \"" },
                { "a\n\"b", "Unknown option \"a\\n\\\"b\"" } };

        for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
                g_autoptr(sd_bus_message) m = start_new(b);

                assert_return_code(bus_append_entry(m, "nice", "i", 1), 0);
                assert_return_code(bus_append_entry(m, keys[i][0], "s", "x"), 0);
                expect_refused(m, keys[i][1]);
        }
}

static void test_given_twice(void **state) {
        BusWorld *b = *state;
        g_autoptr(sd_bus_message) option = start_new(b), variable = start_new(b), limit = start_new(b);

        assert_return_code(bus_append_entry(option, "nice", "i", 1), 0);
        assert_return_code(bus_append_entry(option, "remove", "b", 1), 0);
        assert_return_code(bus_append_entry(option, "nice", "n", 1), 0);
        expect_refused(option, "Option \"nice\" is given twice");
        assert_return_code(bus_append_entry(variable, "env", "a{ss}", 2, "A", "1", "A", "1"), 0);
        expect_refused(variable, "Option \"env\": \"A\" is given twice");
        assert_return_code(
                bus_append_entry(limit, "limits", "a{st}", 2, "as", UINT64_C(1), "as", UINT64_C(1)), 0);
        expect_refused(limit, "Option \"limits\": \"as\" is given twice");
}

static void test_out_of_range(void **state) {
        BusWorld *b = *state;
        static const struct {
                const char *key;
                int64_t value;
                const char *text;
        } cases[] = {
                { "stop-signal", 0, "must be from 1 to 64" },
                { "stop-signal", 65, "must be from 1 to 64" },
                { "stop-signal", -15, "must be from 1 to 64" },
                { "stop-signal", INT64_MAX, "must be from 1 to 64" },
                { "watchdog-signal", 0, "must be from 1 to 64" },
                { "watchdog-signal", 65, "must be from 1 to 64" },
                { "watchdog-usec", -1, "Option \"watchdog-usec\" is -1" },
                { "timeout-start-usec", -1, "Option \"timeout-start-usec\" is -1" },
                { "fencing-token", -1, "Option \"fencing-token\" is -1" },
                { "nice", -21, "must be from -20 to 19" },
                { "nice", 20, "must be from -20 to 19" },
                { "stop-timeout-usec", -1, "Option \"stop-timeout-usec\" is -1" },
                { "memory-max", 0, "must be from 1 to" },
                { "tasks-max", 0, "must be from 1 to" },
                { "cpu-quota", 0, "must be from 1 to 100000" },
                { "cpu-quota", 100001, "must be from 1 to 100000" },
                { "oom-score-adjust", -1001, "must be from -1000 to 1000" },
                { "oom-score-adjust", 1001, "must be from -1000 to 1000" },
                { "cpu-weight", 0, "must be from 1 to 10000" },
                { "cpu-weight", 10001, "must be from 1 to 10000" },
                { "io-weight", 0, "must be from 1 to 10000" },
                { "io-weight", 10001, "must be from 1 to 10000" },
                { "memory-high", 0, "must be from 1 to" },
                { "memory-max", -1, "must be from 1 to 18446744073709551614" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                g_autoptr(sd_bus_message) m = start_new(b);

                assert_return_code(bus_append_entry(m, cases[i].key, "x", cases[i].value), 0);
                expect_refused(m, cases[i].text);
        }
        g_autoptr(sd_bus_message) infinity = start_new(b);
        assert_return_code(bus_append_entry(infinity, "memory-max", "t", UINT64_MAX), 0);
        expect_refused(infinity, "Option \"memory-max\" is 18446744073709551615");
}

static void test_bad_values(void **state) {
        BusWorld *b = *state;
        static const char *const strings[][3] = {
                { "working-directory", "tmp", "not an absolute path" },
                { "user", "", "Option \"user\" is empty" },
                { "group", "", "Option \"group\" is empty" },
                { "stdin", "tty", "must be pipe, null or pty" },
                { "output", "file:x", "Option \"output\"" },
                { "exit-type", "half", "must be main or cgroup" },
                { "type", "simple", "must be exec, notify or oneshot" },
                { "notify-access", "none", "must be main or all" },
                { "stop-to", "half", "must be all or main" },
                { "cpu-affinity", "", "Option \"cpu-affinity\" is \"\", but must be CPUs such as" },
                { "cpu-affinity", "numa", "Option \"cpu-affinity\" is \"numa\", but must be CPUs" },
                { "cpu-affinity", "8192", "with numbers below 8192" },
        };

        for (size_t i = 0; i < ELEMENTSOF(strings); i++) {
                g_autoptr(sd_bus_message) m = start_new(b);

                assert_return_code(bus_append_entry(m, strings[i][0], "s", strings[i][1]), 0);
                expect_refused(m, strings[i][2]);
        }
        g_autoptr(sd_bus_message) variable = start_new(b), limit = start_new(b), group = start_new(b);
        assert_return_code(bus_append_entry(variable, "env", "a{ss}", 1, "1A", "x"), 0);
        expect_refused(variable, "Option \"env\": \"1A\"");
        assert_return_code(bus_append_entry(limit, "limits", "a{st}", 1, "files", UINT64_C(1)), 0);
        expect_refused(limit, "Option \"limits\": \"files\"");
        g_autoptr(sd_bus_message) file = start_new(b);
        assert_return_code(bus_append_entry(file, "environment-file", "as", 2, "/a", "-b"), 0);
        expect_refused(file, "Option \"environment-file\": \"b\" is not an absolute path");
        assert_return_code(bus_append_entry(group, "role-groups", "as", 2, "night", "a b"), 0);
        expect_refused(group, "Option \"role-groups\": \"a b\" is not a valid name of a group");
}

/* The same through the service, as a client calls it. The call is refused before anything has been done. */
static void test_through_the_service(void **state) {
        BusWorld *b = *state;
        g_auto(Call) call = {}, wrong = {}, sized = {};
        g_autoptr(sd_bus_message) m = call_new(b, CLIENT, NODE_PATH, NODE_INTERFACE, "Start"),
                                  w = call_new(b, CLIENT, NODE_PATH, NODE_INTERFACE, "Start");

        assert_return_code(sd_bus_message_append(m, "sasa{sv}", "cam", 1, "x", 1, "colour", "s", "red"), 0);
        call_send(b, &call, m);
        assert_return_code(sd_bus_message_append(w, "ss", "cam", "no array"), 0);
        call_send(b, &wrong, w);
        g_autofree char *huge = g_strnfill(ROLE_COMMAND_SIZE_MAX, 'x');
        call_node(b, &sized, "Start", "sasa{sv}", "cam", 1, huge, 0);
        bus_world_settle(b);
        assert_error(&call, SD_BUS_ERROR_INVALID_ARGS, "Unknown option \"colour\"");
        assert_error(&wrong, SD_BUS_ERROR_INVALID_ARGS, "");
        assert_error(&sized, SD_BUS_ERROR_INVALID_ARGS, "more than 1048576");
        expect_calls(b->world, "");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                BUS_TEST(test_signed),
                BUS_TEST(test_unsigned),
                BUS_TEST(test_bounds),
                BUS_TEST(test_no_integer),
                BUS_TEST(test_strings_and_booleans),
                BUS_TEST(test_every_option),
                BUS_TEST(test_window),
                BUS_TEST(test_no_options),
                BUS_TEST(test_scope_limits),
                BUS_TEST(test_wrong_types),
                BUS_TEST(test_by_meaning),
                BUS_TEST(test_not_by_meaning),
                BUS_TEST(test_each_is_saved),
                BUS_TEST(test_text_means_the_same),
                BUS_TEST(test_unknown_option),
                BUS_TEST(test_given_twice),
                BUS_TEST(test_out_of_range),
                BUS_TEST(test_bad_values),
                BUS_TEST(test_definition),
                BUS_TEST(test_no_definition),
                BUS_TEST(test_through_the_service),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
