/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <signal.h>
#include <string.h>

#include "base/command-list.h"
#include "base/cpu-list.h"
#include "base/exit-status.h"
#include "base/macro.h"
#include "base/unit-name.h"
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

static const char *const role_type_table[_ROLE_TYPE_MAX] = {
        [ROLE_TYPE_EXEC] = "exec",
        [ROLE_TYPE_NOTIFY] = "notify",
        [ROLE_TYPE_ONESHOT] = "oneshot",
};

DEFINE_STRING_TABLE(role_type, RoleType, role_type_table);

static const char *const notify_access_table[_NOTIFY_ACCESS_MAX] = {
        [NOTIFY_ACCESS_DEFAULT] = "",
        [NOTIFY_ACCESS_MAIN] = "main",
        [NOTIFY_ACCESS_ALL] = "all",
};

DEFINE_STRING_TABLE(notify_access, NotifyAccess, notify_access_table);

static const char *const monitor_loss_table[_MONITOR_LOSS_MAX] = {
        [MONITOR_LOSS_DEFAULT] = "",
        [MONITOR_LOSS_KEEP] = "keep",
        [MONITOR_LOSS_STOP] = "stop",
        [MONITOR_LOSS_KILL] = "kill",
};

DEFINE_STRING_TABLE(monitor_loss, MonitorLoss, monitor_loss_table);

static const char *const restart_policy_table[_RESTART_POLICY_MAX] = {
        [RESTART_NO] = "no",
        [RESTART_ON_SUCCESS] = "on-success",
        [RESTART_ON_FAILURE] = "on-failure",
        [RESTART_ON_ABNORMAL] = "on-abnormal",
        [RESTART_ON_ABORT] = "on-abort",
        [RESTART_ON_WATCHDOG] = "on-watchdog",
        [RESTART_ALWAYS] = "always",
};

DEFINE_STRING_TABLE(restart_policy, RestartPolicy, restart_policy_table);

static const char *const role_ports_table[_ROLE_PORTS_MAX] = {
        [ROLE_PORTS_TCP] = "tcp-ports",
        [ROLE_PORTS_UDP] = "udp-ports",
        [ROLE_PORTS_RELEASE] = "release-ports",
};

DEFINE_STRING_TABLE(role_ports, RolePorts, role_ports_table);

static const char *const dependency_table[_DEPENDENCY_MAX] = {
        [DEPENDENCY_AFTER] = "after",
        [DEPENDENCY_WANTS] = "wants",
        [DEPENDENCY_REQUIRES] = "requires",
        [DEPENDENCY_BINDS_TO] = "binds-to",
        [DEPENDENCY_PART_OF] = "part-of",
};

DEFINE_STRING_TABLE(dependency, Dependency, dependency_table);

static const char *const product_provider_table[_PRODUCT_PROVIDER_MAX] = {
        [PRODUCT_PROVIDER_EUPS] = "eups",
        [PRODUCT_PROVIDER_MODULES] = "modules",
        [PRODUCT_PROVIDER_LMOD] = "lmod",
};

DEFINE_STRING_TABLE(product_provider, ProductProvider, product_provider_table);

const RoleSpec role_spec_defaults = {
        .stop_signal = SIGTERM,
        .watchdog_signal = SIGABRT,
        .stop_timeout_usec = ROLE_STOP_TIMEOUT_DEFAULT_USEC,
        .restart_usec = RESTART_USEC_DEFAULT,
        .restart_max_delay_usec = USEC_INFINITY,
        .start_limit_interval_usec = START_LIMIT_INTERVAL_DEFAULT_USEC,
        .start_limit_burst = START_LIMIT_BURST_DEFAULT,
};

RoleSpec *role_spec_new(void) {
        return g_memdup2(&role_spec_defaults, sizeof(role_spec_defaults));
}

RoleSpec *role_spec_copy(const RoleSpec *spec) {
        RoleSpec *copy = g_memdup2(spec, sizeof(*spec));

        copy->command = g_strdupv(spec->command);
        copy->environment = g_strdupv(spec->environment);
        copy->working_directory = g_strdup(spec->working_directory);
        copy->user = g_strdup(spec->user);
        copy->group = g_strdup(spec->group);
        copy->output_path = g_strdup(spec->output_path);
        copy->success_exit_status = g_strdupv(spec->success_exit_status);
        copy->restart_prevent_exit_status = g_strdupv(spec->restart_prevent_exit_status);
        copy->product = g_strdup(spec->product);
        copy->version = g_strdup(spec->version);
        copy->setup_args = g_strdupv(spec->setup_args);
        copy->eups_list = g_strdupv(spec->eups_list);
        for (int i = 0; i < _ROLE_PORTS_MAX; i++)
                copy->ports[i] = spec->ports[i] ? g_array_copy(spec->ports[i]) : NULL;
        copy->xterm_args = g_strdupv(spec->xterm_args);
        copy->role_groups = g_strdupv(spec->role_groups);
        for (int i = 0; i < _DEPENDENCY_MAX; i++)
                copy->dependencies[i] = g_strdupv(spec->dependencies[i]);
        copy->cpu_affinity = g_strdup(spec->cpu_affinity);
        copy->environment_files = g_strdupv(spec->environment_files);
        copy->exec_start_pre = g_strdupv(spec->exec_start_pre);
        copy->exec_stop = g_strdupv(spec->exec_stop);
        copy->exec_stop_post = g_strdupv(spec->exec_stop_post);
        copy->lease = g_strdup(spec->lease);
        copy->managed_by = g_strdup(spec->managed_by);
        copy->definition = g_strdup(spec->definition);
        copy->definition_hash = g_strdup(spec->definition_hash);
        copy->account = spec->account ? account_copy(spec->account) : NULL;
        return copy;
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
        g_strfreev(spec->success_exit_status);
        g_strfreev(spec->restart_prevent_exit_status);
        g_free(spec->product);
        g_free(spec->version);
        g_strfreev(spec->setup_args);
        g_strfreev(spec->eups_list);
        for (int i = 0; i < _ROLE_PORTS_MAX; i++)
                g_clear_pointer(&spec->ports[i], g_array_unref);
        g_strfreev(spec->xterm_args);
        g_strfreev(spec->role_groups);
        for (int i = 0; i < _DEPENDENCY_MAX; i++)
                g_strfreev(spec->dependencies[i]);
        g_strfreev(spec->environment_files);
        g_strfreev(spec->exec_start_pre);
        g_strfreev(spec->exec_stop);
        g_strfreev(spec->exec_stop_post);
        g_free(spec->lease);
        g_free(spec->managed_by);
        g_free(spec->definition);
        g_free(spec->definition_hash);
        g_free(spec->cpu_affinity);
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

int role_spec_set_type(RoleSpec *spec, const char *type, Fault *fault) {
        RoleType t = role_type_from_string(type);

        if ((int) t < 0)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "Option \"type\" is \"%s\", but must be exec, notify or oneshot", type);
        spec->type = t;
        return 0;
}

int role_spec_set_notify_access(RoleSpec *spec, const char *access, Fault *fault) {
        NotifyAccess a = notify_access_from_string(access);

        if ((int) a < 0 || a == NOTIFY_ACCESS_DEFAULT)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "Option \"notify-access\" is \"%s\", but must be main or all", access);
        spec->notify_access = a;
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

int role_spec_set_lease(RoleSpec *spec, const char *lease, Fault *fault) {
        if (!role_name_is_valid(lease)) {
                g_autofree char *refused = role_spec_refuse_name("name of a lease", lease);
                return fault_set(fault, NODE_ERROR_INVALID_ARGS, "Option \"lease\": %s", refused);
        }
        g_free(spec->lease);
        spec->lease = g_strdup(lease);
        return 0;
}

/* It is shown to people and parsed by programs. */
static bool manager_is_valid(const char *manager) {
        const char *colon = strchr(manager, ':');

        if (!colon || colon == manager || colon[1] == '\0' || strlen(manager) > MANAGED_BY_MAX ||
                !g_utf8_validate(manager, -1, NULL))
                return false;
        for (const char *c = manager; c < colon; c++)
                if (!g_ascii_isalnum(*c) && *c != '-' && *c != '_' && *c != '.')
                        return false;
        for (const char *c = colon; *c; c = g_utf8_next_char(c))
                if (!g_unichar_isprint(g_utf8_get_char(c)))
                        return false;
        return true;
}

int role_spec_set_managed_by(RoleSpec *spec, const char *manager, Fault *fault) {
        if (!manager_is_valid(manager))
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "Option \"managed-by\" is not KIND:NAME, as pacemaker:guider: the kind has characters of A-Za-z0-9_.-, the name printable ones, and together they have at most %u bytes",
                        MANAGED_BY_MAX);
        g_free(spec->managed_by);
        spec->managed_by = g_strdup(manager);
        return 0;
}

int role_spec_set_restart(RoleSpec *spec, const char *policy, Fault *fault) {
        RestartPolicy p = restart_policy_from_string(policy);

        if ((int) p < 0)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "Option \"restart\" is \"%s\", but must be no, on-success, on-failure, on-abnormal, on-abort, on-watchdog or always",
                        policy);
        spec->restart = p;
        return 0;
}

static int role_spec_set_exit_statuses(char ***member, const char *option, char **entries, Fault *fault) {
        for (char **entry = entries; *entry; entry++)
                if (!exit_status_entry_is_valid(*entry))
                        return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                                "Option \"%s\" has \"%s\", but must have statuses from 0 to 255, names of them such as TEMPFAIL, or signals such as SIGKILL",
                                option, *entry);
        g_strfreev(*member);
        *member = entries[0] ? g_strdupv(entries) : NULL;
        return 0;
}

int role_spec_set_success_exit_status(RoleSpec *spec, char **entries, Fault *fault) {
        return role_spec_set_exit_statuses(&spec->success_exit_status, "success-exit-status", entries, fault);
}

int role_spec_set_restart_prevent_exit_status(RoleSpec *spec, char **entries, Fault *fault) {
        return role_spec_set_exit_statuses(
                &spec->restart_prevent_exit_status, "restart-prevent-exit-status", entries, fault);
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

bool role_spec_is_watched(const RoleSpec *spec) {
        return spec->watchdog_usec > 0 && spec->watchdog_usec < USEC_INFINITY;
}

bool role_spec_notifies(const RoleSpec *spec) {
        return spec->type == ROLE_TYPE_NOTIFY || spec->notify_access != NOTIFY_ACCESS_DEFAULT ||
               role_spec_is_watched(spec);
}

bool role_spec_has_hooks(const RoleSpec *spec) {
        return spec->exec_start_pre || spec->exec_stop || spec->exec_stop_post;
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

int role_spec_set_cpu_affinity(RoleSpec *spec, const char *cpus, Fault *fault) {
        CpuList list = {};

        int r = cpu_list_parse(cpus, &list);
        if (r < 0)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "Option \"cpu-affinity\" is \"%.64s\", but must be CPUs such as \"0-3 5\"%s", cpus,
                        r == -ERANGE ? ", with numbers below 8192" : "");
        if (spec->cpu_affinity)
                (void) cpu_list_parse(spec->cpu_affinity, &list);
        g_autofree char *text = cpu_list_format(&list);
        g_free(spec->cpu_affinity);
        spec->cpu_affinity = g_strdup(text);
        return 0;
}

unsigned role_spec_cgroups_max(const RoleSpec *spec) {
        return spec->delegate && spec->account ? ROLE_CGROUPS_MAX : 0;
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

char *role_spec_refuse_name(const char *what, const char *name) {
        g_autofree char *shown = g_strescape(name, NULL);
        char *suggested = role_name_suggest(name); /* allocated by libc, in base */
        g_autofree char *instead = suggested ? g_strdup_printf("; \"%s\" is", suggested) : g_strdup("");

        free(suggested);
        return g_strdup_printf(
                "\"%.*s\" is not a valid %s, it must be 1 to %d characters of A-Za-z0-9_.- beginning with a letter or digit%s",
                2 * ROLE_NAME_MAX, shown, what, ROLE_NAME_MAX, instead);
}

/* Names, which are valid role names, each once; one that several drop-ins of a role file add is in the list
 * once. what is "name of a group" or "role name". */
static int role_spec_set_names(
        char ***member, const char *option, const char *what, unsigned max, char **names, Fault *fault) {
        g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
        g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

        for (char **n = names; n && *n; n++) {
                if (!role_name_is_valid(*n)) {
                        g_autofree char *refused = role_spec_refuse_name(what, *n);
                        return fault_set(
                                fault, NODE_ERROR_INVALID_ARGS, "Option \"%s\": %s", option, refused);
                }
                if (g_hash_table_add(seen, *n))
                        g_strv_builder_add(builder, *n);
        }
        if (g_hash_table_size(seen) > max)
                return fault_set(
                        fault, NODE_ERROR_INVALID_ARGS, "Option \"%s\" has more than %u names", option, max);
        g_strfreev(*member);
        *member = g_hash_table_size(seen) > 0 ? g_strv_builder_end(builder) : NULL;
        return 0;
}

int role_spec_set_role_groups(RoleSpec *spec, char **groups, Fault *fault) {
        return role_spec_set_names(
                &spec->role_groups, "role-groups", "name of a group", ROLE_GROUPS_MAX, groups, fault);
}

int role_spec_set_dependencies(RoleSpec *spec, Dependency which, char **names, Fault *fault) {
        return role_spec_set_names(&spec->dependencies[which], dependency_to_string(which), "role name",
                ROLE_DEPENDENCIES_MAX, names, fault);
}

bool role_spec_depends(const RoleSpec *spec, Dependency which, const char *name) {
        const char *const *names = (const char *const *) spec->dependencies[which];

        return names && g_strv_contains(names, name);
}

bool role_spec_needs(const RoleSpec *spec, const char *name) {
        return role_spec_depends(spec, DEPENDENCY_REQUIRES, name) ||
               role_spec_depends(spec, DEPENDENCY_BINDS_TO, name);
}

bool role_spec_has_dependencies(const RoleSpec *spec) {
        for (unsigned i = 0; i < _DEPENDENCY_MAX; i++)
                if (spec->dependencies[i])
                        return true;
        return false;
}

int role_spec_set_environment_files(RoleSpec *spec, char **files, Fault *fault) {
        size_t n = files ? g_strv_length(files) : 0;

        if (n > ENVIRONMENT_FILES_MAX)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "Option \"environment-file\" has more than %u files", ENVIRONMENT_FILES_MAX);
        for (size_t i = 0; i < n; i++) {
                int r = role_spec_check_path("environment-file", files[i] + (files[i][0] == '-'), fault);
                if (r < 0)
                        return r;
        }
        g_strfreev(spec->environment_files);
        spec->environment_files = n > 0 ? g_strdupv(files) : NULL;
        return 0;
}

int role_spec_add_command(char ***list, const char *option, char **words, Fault *fault) {
        const size_t n = *list ? g_strv_length(*list) : 0, n_words = words ? g_strv_length(words) : 0;
        const char *program = n_words > 0 ? words[0] + (words[0][0] == COMMAND_IGNORES_FAILURE) : "";

        if (*program == '\0')
                return fault_set(
                        fault, NODE_ERROR_INVALID_ARGS, "Option \"%s\" has an empty command", option);
        if (strchr("-@:+!|", *program))
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "Option \"%s\" has the prefix \"%c\" before \"%.64s\", but only \"-\", once, is supported",
                        option, *program, program + 1);
        if (n_words > ROLE_COMMAND_ARGS_MAX)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "Option \"%s\" has a command with %zu arguments, more than %u", option, n_words,
                        ROLE_COMMAND_ARGS_MAX);
        if (command_list_count(*list) >= ROLE_COMMANDS_MAX)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS, "Option \"%s\" has more than %u commands",
                        option, ROLE_COMMANDS_MAX);
        *list = g_renew(char *, *list, n + 1 + n_words + 1);
        (*list)[n] = g_strdup_printf("%zu", n_words);
        for (size_t i = 0; i <= n_words; i++)
                (*list)[n + 1 + i] = g_strdup(words[i]); /* with the NULL at the end */
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

static size_t strings_size(char *const *strings) {
        size_t size = 0;

        for (; strings && *strings; strings++)
                size += strlen(*strings) + 1;
        return size;
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

        if (spec->output_timestamps && !spec->output_path)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "Option \"output-timestamps\" needs \"output\" to be file: or append:, but it is %s%s",
                        launch_output_to_string(spec->output),
                        spec->output == LAUNCH_OUTPUT_JOURNAL ? ", which has the time of each line" : "");

        /* The set-up, which a start waits for with every type, has SetupTimeout=. */
        if (spec->timeout_start_set && spec->type == ROLE_TYPE_EXEC && !spec->exec_start_pre)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "Option \"timeout-start-usec\" needs \"type\" to be notify or oneshot, or \"exec-start-pre\", because the start of type exec ends with the exec");
        /* As for systemd: its work is done when it has succeeded. */
        if (spec->type == ROLE_TYPE_ONESHOT &&
                (spec->restart == RESTART_ALWAYS || spec->restart == RESTART_ON_SUCCESS))
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "Option \"restart\" cannot be %s with \"type\" oneshot",
                        restart_policy_to_string(spec->restart));
        if (role_spec_is_watched(spec) && spec->type == ROLE_TYPE_ONESHOT)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "Option \"watchdog-usec\" cannot be used with \"type\" oneshot, because a role is watched from its start on; \"timeout-start-usec\" can be used");
        if (spec->watchdog_signal != SIGABRT && !role_spec_is_watched(spec))
                return fault_set(
                        fault, NODE_ERROR_INVALID_ARGS, "Option \"watchdog-signal\" needs \"watchdog-usec\"");

        if (spec->fencing_token > 0 && !spec->lease)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS, "Option \"fencing-token\" needs \"lease\"");

        for (char **a = spec->command; a && *a; a++)
                size += strlen(*a) + 1;
        for (char **e = spec->environment; e && *e; e++)
                size += strlen(*e) + 1;
        size += products_size(spec);
        for (char **a = spec->xterm_args; a && *a; a++)
                size += strlen(*a) + 1;
        size += strings_size(spec->exec_start_pre) + strings_size(spec->exec_stop) +
                strings_size(spec->exec_stop_post);
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
