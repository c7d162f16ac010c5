/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <signal.h>
#include <string.h>

#include "base/macro.h"
#include "model/account.h"
#include "model/env.h"
#include "model/products.h"
#include "model/role-spec.h"

#define PATH_SIZE_MAX 4096U /* PATH_MAX of Linux, with its NUL */

static const char *const role_stdin_table[_ROLE_STDIN_MAX] = {
        [ROLE_STDIN_PIPE] = "pipe",
        [ROLE_STDIN_NULL] = "null",
        [ROLE_STDIN_PTY] = "pty",
};

DEFINE_STRING_TABLE(role_stdin, RoleStdin, role_stdin_table);

static const char *const stop_to_table[_STOP_TO_MAX] = {
        [STOP_TO_ALL] = "all",
        [STOP_TO_MAIN] = "main",
};

DEFINE_STRING_TABLE(stop_to, StopTo, stop_to_table);

static const char *const exit_type_table[_EXIT_TYPE_MAX] = {
        [EXIT_TYPE_MAIN] = "main",
        [EXIT_TYPE_CGROUP] = "cgroup",
};

DEFINE_STRING_TABLE(exit_type, ExitType, exit_type_table);

static const char *const monitor_loss_table[_MONITOR_LOSS_MAX] = {
        [MONITOR_LOSS_DEFAULT] = "",
        [MONITOR_LOSS_KEEP] = "keep",
        [MONITOR_LOSS_STOP] = "stop",
        [MONITOR_LOSS_KILL] = "kill",
};

DEFINE_STRING_TABLE(monitor_loss, MonitorLoss, monitor_loss_table);

static const char *const role_ports_table[_ROLE_PORTS_MAX] = {
        [ROLE_PORTS_TCP] = "tcp-ports",
        [ROLE_PORTS_UDP] = "udp-ports",
        [ROLE_PORTS_RELEASE] = "release-ports",
};

DEFINE_STRING_TABLE(role_ports, RolePorts, role_ports_table);

static const char *const product_provider_table[_PRODUCT_PROVIDER_MAX] = {
        [PRODUCT_PROVIDER_EUPS] = "eups",
        [PRODUCT_PROVIDER_MODULES] = "modules",
        [PRODUCT_PROVIDER_LMOD] = "lmod",
};

DEFINE_STRING_TABLE(product_provider, ProductProvider, product_provider_table);

RoleSpec *role_spec_new(void) {
        RoleSpec *spec = g_new0(RoleSpec, 1);

        spec->stop_signal = SIGTERM;
        spec->stop_timeout_usec = ROLE_STOP_TIMEOUT_DEFAULT_USEC;
        return spec;
}

RoleSpec *role_spec_free(RoleSpec *spec) {
        if (!spec)
                return NULL;
        g_strfreev(spec->command);
        g_strfreev(spec->environment);
        g_free(spec->working_directory);
        g_free(spec->user);
        g_free(spec->group);
        g_free(spec->output_path);
        g_free(spec->product);
        g_free(spec->version);
        g_strfreev(spec->setup_args);
        g_strfreev(spec->eups_list);
        for (int i = 0; i < _ROLE_PORTS_MAX; i++)
                g_clear_pointer(&spec->ports[i], g_array_unref);
        g_strfreev(spec->xterm_args);
        account_free(spec->account);
        g_free(spec);
        return NULL;
}

void role_spec_become(RoleSpec *spec, const Account *account) {
        account_free(spec->account);
        spec->account = account_copy(account);
        g_free(spec->user);
        spec->user = g_strdup(account->name);
        if (spec->group) {
                g_free(spec->group);
                spec->group = g_strdup(account->group);
        }
}

int role_spec_set_command(RoleSpec *spec, char **command, Fault *fault) {
        size_t n = command ? g_strv_length(command) : 0;

        if (n == 0)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS, "The command is empty");
        if (n > ROLE_COMMAND_ARGS_MAX)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "The command has %zu arguments, more than %u", n, ROLE_COMMAND_ARGS_MAX);
        if (command[0][0] == '\0')
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "The command's first argument, the program, is empty");

        g_strfreev(spec->command);
        spec->command = g_strdupv(command);
        return 0;
}

int role_spec_add_environment(RoleSpec *spec, const char *name, const char *value, Fault *fault) {
        if (!env_name_is_valid(name)) {
                g_autofree char *shown = g_strescape(name, NULL);
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "Option \"env\": \"%s\" is not a valid name of a variable", shown);
        }

        size_t n = spec->environment ? g_strv_length(spec->environment) : 0;
        /* Refused here, before the search for duplicates among so many variables. */
        if (n >= ROLE_ENVIRONMENT_MAX)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS, "Option \"env\" has more than %u variables",
                        ROLE_ENVIRONMENT_MAX);
        for (size_t i = 0; i < n; i++)
                if (env_variable_is(spec->environment[i], name))
                        return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                                "Option \"env\": \"%s\" is given twice", name);

        spec->environment = g_renew(char *, spec->environment, n + 2);
        spec->environment[n] = g_strconcat(name, "=", value, NULL);
        spec->environment[n + 1] = NULL;
        return 0;
}

static int role_spec_check_path(const char *option, const char *path, Fault *fault) {
        if (!g_path_is_absolute(path))
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "Option \"%s\": \"%s\" is not an absolute path", option, path);
        if (strlen(path) >= PATH_SIZE_MAX)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "Option \"%s\": the path is longer than %u bytes", option, PATH_SIZE_MAX - 1);
        return 0;
}

int role_spec_set_working_directory(RoleSpec *spec, const char *path, Fault *fault) {
        int r = role_spec_check_path("working-directory", path, fault);
        if (r < 0)
                return r;
        g_free(spec->working_directory);
        spec->working_directory = g_strdup(path);
        return 0;
}

static int role_spec_set_account(char **account, const char *option, const char *value, Fault *fault) {
        if (value[0] == '\0')
                return fault_set(fault, NODE_ERROR_INVALID_ARGS, "Option \"%s\" is empty", option);
        if (strlen(value) >= ACCOUNT_NAME_MAX)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS, "Option \"%s\" is longer than %u bytes",
                        option, ACCOUNT_NAME_MAX - 1);
        g_free(*account);
        *account = g_strdup(value);
        return 0;
}

int role_spec_set_user(RoleSpec *spec, const char *user, Fault *fault) {
        return role_spec_set_account(&spec->user, "user", user, fault);
}

int role_spec_set_group(RoleSpec *spec, const char *group, Fault *fault) {
        return role_spec_set_account(&spec->group, "group", group, fault);
}

int role_spec_set_stdin(RoleSpec *spec, const char *kind, Fault *fault) {
        RoleStdin k = role_stdin_from_string(kind);

        if ((int) k < 0)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "Option \"stdin\" is \"%s\", but must be pipe, null or pty", kind);
        spec->stdin_kind = k;
        spec->stdin_set = true;
        return 0;
}

int role_spec_set_output(RoleSpec *spec, const char *output, Fault *fault) {
        const char *colon = strchr(output, ':');
        g_autofree char *kind = colon ? g_strndup(output, (gsize) (colon - output)) : g_strdup(output);
        LaunchOutput o = launch_output_from_string(kind);
        bool wants_path = o == LAUNCH_OUTPUT_FILE || o == LAUNCH_OUTPUT_APPEND;

        if ((int) o < 0 || wants_path != !!colon)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "Option \"output\" is \"%s\", but must be journal, null, file:PATH or append:PATH",
                        output);
        if (wants_path) {
                int r = role_spec_check_path("output", colon + 1, fault);
                if (r < 0)
                        return r;
        }

        g_free(spec->output_path);
        spec->output = o;
        spec->output_path = wants_path ? g_strdup(colon + 1) : NULL;
        return 0;
}

int role_spec_set_exit_type(RoleSpec *spec, const char *exit_type, Fault *fault) {
        ExitType t = exit_type_from_string(exit_type);

        if ((int) t < 0)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "Option \"exit-type\" is \"%s\", but must be main or cgroup", exit_type);
        spec->exit_type = t;
        return 0;
}

int role_spec_set_stop_to(RoleSpec *spec, const char *stop_to, Fault *fault) {
        StopTo t = stop_to_from_string(stop_to);

        if ((int) t < 0)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "Option \"stop-to\" is \"%s\", but must be all or main", stop_to);
        spec->stop_to = t;
        return 0;
}

int role_spec_set_on_monitor_loss(RoleSpec *spec, const char *loss, Fault *fault) {
        MonitorLoss l = monitor_loss_from_string(loss);

        if ((int) l < 0 || l == MONITOR_LOSS_DEFAULT)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "Option \"on-monitor-loss\" is \"%s\", but must be keep, stop or kill", loss);
        spec->on_monitor_loss = l;
        return 0;
}

int role_spec_add_limit(RoleSpec *spec, const char *name, uint64_t value, Fault *fault) {
        int resource = rlimit_from_string(name);

        if (resource < 0)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "Option \"limits\": \"%s\" is not a resource limit (see setrlimit(2))", name);
        if (spec->limits_set & (UINT64_C(1) << resource))
                return fault_set(
                        fault, NODE_ERROR_INVALID_ARGS, "Option \"limits\": \"%s\" is given twice", name);
        spec->limits_set |= UINT64_C(1) << resource;
        spec->limits[resource] = value;
        return 0;
}

static bool role_spec_has_port(const GArray *list, uint16_t number) {
        for (unsigned i = 0; list && i < list->len; i++)
                if (g_array_index(list, uint16_t, i) == number)
                        return true;
        return false;
}

int role_spec_set_ports(RoleSpec *spec, RolePorts which, const uint64_t *numbers, size_t n, Fault *fault) {
        const char *option = role_ports_to_string(which);
        g_autoptr(GArray) list = g_array_new(false, false, sizeof(uint16_t));

        if (n == 0)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS, "Option \"%s\" names no port", option);
        if (n > ROLE_PORTS_EACH_MAX)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "Option \"%s\" names %zu ports, more than %u", option, n, ROLE_PORTS_EACH_MAX);
        for (size_t i = 0; i < n; i++) {
                uint16_t number = (uint16_t) numbers[i];

                if (numbers[i] == 0 || numbers[i] > UINT16_MAX)
                        return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                                "Option \"%s\": %" G_GUINT64_FORMAT " is not a port", option, numbers[i]);
                if (role_spec_has_port(list, number))
                        return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                                "Option \"%s\": port %u is given twice", option, number);
                g_array_append_val(list, number);
        }
        g_clear_pointer(&spec->ports[which], g_array_unref);
        spec->ports[which] = g_steal_pointer(&list);
        return 0;
}

bool role_spec_has_ports(const RoleSpec *spec) {
        for (int i = 0; i < _ROLE_PORTS_MAX; i++)
                if (spec->ports[i])
                        return true;
        return false;
}

static int role_spec_check_product(const char *option, const char *what, const char *text, Fault *fault) {
        if (text[0] == '\0')
                return fault_set(
                        fault, NODE_ERROR_INVALID_ARGS, "Option \"%s\": the %s is empty", option, what);
        if (strlen(text) > PRODUCT_TEXT_MAX)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "Option \"%s\": the %s is longer than %u bytes", option, what, PRODUCT_TEXT_MAX);
        return 0;
}

static int role_spec_set_product_text(char **to, const char *option, const char *text, Fault *fault) {
        int r = role_spec_check_product(option, option, text, fault);
        if (r < 0)
                return r;
        g_free(*to);
        *to = g_strdup(text);
        return 0;
}

int role_spec_set_product(RoleSpec *spec, const char *product, Fault *fault) {
        return role_spec_set_product_text(&spec->product, "product", product, fault);
}

int role_spec_set_version(RoleSpec *spec, const char *version, Fault *fault) {
        return role_spec_set_product_text(&spec->version, "version", version, fault);
}

int role_spec_set_setup_args(RoleSpec *spec, char **arguments, Fault *fault) {
        size_t n = arguments ? g_strv_length(arguments) : 0;

        if (n > PRODUCT_LIST_MAX)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "Option \"setup-args\" has %zu arguments, more than %u", n, PRODUCT_LIST_MAX);
        for (size_t i = 0; i < n; i++)
                if (strlen(arguments[i]) > PRODUCT_ARGUMENT_MAX)
                        return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                                "Option \"setup-args\": an argument is longer than %u bytes",
                                PRODUCT_ARGUMENT_MAX);
        g_strfreev(spec->setup_args);
        spec->setup_args = n > 0 ? g_strdupv(arguments) : NULL;
        return 0;
}

int role_spec_add_eups(RoleSpec *spec, const char *product, const char *version, Fault *fault) {
        size_t n = spec->eups_list ? g_strv_length(spec->eups_list) : 0;

        if (n / 2 >= PRODUCT_LIST_MAX)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "Option \"eups-list\" has more than %u products", PRODUCT_LIST_MAX);
        int r = role_spec_check_product("eups-list", "product", product, fault);
        if (r >= 0 && version[0])
                r = role_spec_check_product("eups-list", "version", version, fault);
        if (r < 0)
                return r;
        spec->eups_list = g_renew(char *, spec->eups_list, n + 3);
        spec->eups_list[n] = g_strdup(product);
        spec->eups_list[n + 1] = g_strdup(version);
        spec->eups_list[n + 2] = NULL;
        return 0;
}

int role_spec_set_provider(RoleSpec *spec, const char *provider, Fault *fault) {
        ProductProvider p = product_provider_from_string(provider);

        if ((int) p < 0) {
                g_autofree char *shown = g_strescape(provider, NULL);
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "Option \"provider\" is \"%s\", but must be eups, modules or lmod", shown);
        }
        spec->provider = p;
        spec->provider_set = true;
        return 0;
}

/* These options are refused: -e runs another command; -S and -C use another terminal; -into uses another
 * window, also in its abbreviations; -l and -lf write to a file or a command. "-ls" and similar options are
 * accepted. */
static bool role_spec_refuses_xterm_arg(const char *arg) {
        static const char *const words[] = { "-e", "-l", "+l", "-lf", "-in", "-int", "-into" };

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (g_str_equal(arg, words[i]))
                        return true;
        return g_str_has_prefix(arg, "-S") || g_str_equal(arg, "-C");
}

int role_spec_set_xterm_args(RoleSpec *spec, char **args, Fault *fault) {
        for (char **a = args; a && *a; a++)
                if (role_spec_refuses_xterm_arg(*a))
                        return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                                "Option \"xterm-args\": \"%.64s\" would take xterm away from the role's terminal",
                                *a);
        g_strfreev(spec->xterm_args);
        spec->xterm_args = g_strdupv(args);
        return 0;
}

int role_spec_finish_terminal(RoleSpec *spec, Fault *fault) {
        if (!spec->xterm)
                return spec->xterm_args && spec->xterm_args[0]
                               ? fault_set(fault, NODE_ERROR_INVALID_ARGS,
                                         "Option \"xterm-args\" needs \"xterm\" to be true")
                               : 0;
        if (spec->stdin_set && spec->stdin_kind != ROLE_STDIN_PTY)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "Option \"xterm\" needs \"stdin\" to be pty, but it is %s",
                        role_stdin_to_string(spec->stdin_kind));
        spec->stdin_kind = ROLE_STDIN_PTY;
        return 0;
}

int role_spec_check(const RoleSpec *spec, Fault *fault) {
        const GArray *released = spec->ports[ROLE_PORTS_RELEASE];
        size_t size = 0;

        for (unsigned i = 0; released && i < released->len; i++)
                for (int which = 0; which < ROLE_PORTS_RELEASE; which++)
                        if (role_spec_has_port(spec->ports[which], g_array_index(released, uint16_t, i)))
                                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                                        "Port %u is in \"release-ports\" and in \"%s\"",
                                        g_array_index(released, uint16_t, i),
                                        role_ports_to_string((RolePorts) which));

        /* The keeper stops the listening when the main process ends. */
        if (spec->exit_type == EXIT_TYPE_CGROUP)
                for (int which = 0; which < ROLE_PORTS_RELEASE; which++)
                        if (spec->ports[which])
                                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                                        "Option \"exit-type\" cannot be cgroup with \"%s\", whose sockets end with the main process; \"release-ports\" can be used",
                                        role_ports_to_string((RolePorts) which));

        for (char **a = spec->command; a && *a; a++)
                size += strlen(*a) + 1;
        for (char **e = spec->environment; e && *e; e++)
                size += strlen(*e) + 1;
        size += products_size(spec);
        for (char **a = spec->xterm_args; a && *a; a++)
                size += strlen(*a) + 1;
        if (size > ROLE_COMMAND_SIZE_MAX)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "The command and its environment have %zu bytes, more than %u", size,
                        ROLE_COMMAND_SIZE_MAX);
        return products_check(spec, fault);
}

char *role_spec_output(const RoleSpec *spec) {
        return spec->output_path
                       ? g_strconcat(launch_output_to_string(spec->output), ":", spec->output_path, NULL)
                       : g_strdup(launch_output_to_string(spec->output));
}
