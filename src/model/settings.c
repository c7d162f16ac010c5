/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/parse-util.h"
#include "model/env.h"
#include "model/role-spec.h"
#include "model/settings.h"
#include "proto/keeper-limits.h"
#include "util/config-files.h"
#include "util/log.h"
#include "util/unit-file.h"

#define SECTION_NODE "Node"
#define SECTION_ENVIRONMENT "Environment"

static const char *const monitor_action_table[_MONITOR_ACTION_MAX] = {
        [MONITOR_ACTION_SHUTDOWN] = "shutdown",
        [MONITOR_ACTION_STOP_ROLES] = "stop-roles",
        [MONITOR_ACTION_NONE] = "none",
};

DEFINE_STRING_TABLE(monitor_action, MonitorAction, monitor_action_table);

Settings *settings_new(void) {
        Settings *settings = g_new0(Settings, 1);

        settings->default_stop_timeout_usec = ROLE_STOP_TIMEOUT_DEFAULT_USEC;
        settings->setup_timeout_usec = ROLE_SETUP_TIMEOUT_USEC;
        settings->monitor_timeout_usec = MONITOR_TIMEOUT_DEFAULT_USEC;
        settings->monitor_action = MONITOR_ACTION_SHUTDOWN;
        settings->max_concurrent_starts = NODE_MAX_CONCURRENT_STARTS;
        settings->max_ended_roles = NODE_MAX_ENDED_ROLES;
        settings->max_ended_roles_per_user = NODE_MAX_ENDED_ROLES_PER_USER;
        settings->max_starts_per_user = NODE_MAX_STARTS_PER_USER;
        settings->max_ports_per_user = NODE_MAX_PORTS_PER_USER;
        settings->max_leases_per_user = NODE_MAX_LEASES_PER_USER;
        settings->max_environment_per_user = NODE_MAX_ENVIRONMENT_PER_USER;
        settings->max_queued_input_per_user = NODE_MAX_QUEUED_INPUT_PER_USER;
        settings->max_waiting_calls_per_user = NODE_MAX_WAITING_CALLS_PER_USER;
        settings->max_roles_per_user = NODE_MAX_ROLES_PER_USER;
        settings->max_call_time_per_user_usec = NODE_MAX_CALL_TIME_PER_USER_USEC;
        settings->product_provider = PRODUCT_PROVIDER_EUPS;
        settings->modules_command = g_strdup(MODULES_COMMAND_DEFAULT);
        settings->lmod_command = g_strdup(LMOD_COMMAND_DEFAULT);
        return settings;
}

Settings *settings_free(Settings *settings) {
        if (!settings)
                return NULL;
        g_free(settings->modules_command);
        g_free(settings->lmod_command);
        g_free(settings->default_user);
        g_strfreev(settings->environment);
        g_free(settings);
        return NULL;
}

/* Returns -EDOM for 0, which would leave no time. */
static int settings_set_positive_time(const char *text, uint64_t *ret) {
        uint64_t usec;

        int r = parse_time(text, USEC_PER_SEC, &usec);
        if (r < 0)
                return r;
        if (usec == 0)
                return -EDOM;
        *ret = usec;
        return 0;
}

/* Counts, and sizes in bytes, from 1 to the maximum. */
static const struct {
        const char *key;
        bool is_size; /* a size_t, else an unsigned */
        size_t max;
        size_t offset;
} settings_limits[] = {
        { "MaxConcurrentStarts", false, 1000, offsetof(Settings, max_concurrent_starts) },
        { "MaxEndedRoles", false, NODE_MAX_ROLES, offsetof(Settings, max_ended_roles) },
        { "MaxEndedRolesPerUser", false, NODE_MAX_ROLES, offsetof(Settings, max_ended_roles_per_user) },
        { "MaxEnvironmentPerUser", true, ENV_SIZE_MAX, offsetof(Settings, max_environment_per_user) },
        { "MaxLeasesPerUser", false, NODE_MAX_LEASES, offsetof(Settings, max_leases_per_user) },
        { "MaxPortsPerUser", false, KEEPER_PORTS_MAX, offsetof(Settings, max_ports_per_user) },
        { "MaxQueuedInputPerUser", true, 512UL * 1024UL * 1024UL,
                offsetof(Settings, max_queued_input_per_user) },
        { "MaxRolesPerUser", false, NODE_MAX_ROLES, offsetof(Settings, max_roles_per_user) },
        { "MaxStartsPerUser", false, 6000, offsetof(Settings, max_starts_per_user) },
        { "MaxWaitingCallsPerUser", false, NODE_MAX_ROLES, offsetof(Settings, max_waiting_calls_per_user) },
};

/* Returns -ENOENT if the key is none of these. */
static int settings_set_limit(Settings *s, const char *key, const char *text) {
        for (size_t i = 0; i < ELEMENTSOF(settings_limits); i++) {
                void *value = (char *) s + settings_limits[i].offset;
                uint64_t size;

                if (!g_str_equal(settings_limits[i].key, key))
                        continue;
                int r = settings_limits[i].is_size ? parse_size(text, &size) : parse_u64(text, &size);
                if (r < 0)
                        return r;
                if (size < 1 || size > settings_limits[i].max)
                        return -ERANGE;
                if (settings_limits[i].is_size)
                        *(size_t *) value = (size_t) size;
                else
                        *(unsigned *) value = (unsigned) size;
                return 0;
        }
        return -ENOENT;
}

/* The time in each second. */
static int settings_set_call_time(const char *text, uint64_t *ret) {
        uint64_t usec;

        int r = parse_time(text, USEC_PER_SEC, &usec);
        if (r < 0)
                return r;
        if (usec < USEC_PER_MSEC || usec > USEC_PER_SEC)
                return -ERANGE;
        *ret = usec;
        return 0;
}

static int settings_set_program(const char *text, char **ret) {
        if (!g_path_is_absolute(text))
                return -EINVAL;
        g_free(*ret);
        *ret = g_strdup(text);
        return 0;
}

/* The empty string resets it. */
static int settings_set_default_user(const char *text, char **ret) {
        if (strlen(text) >= ACCOUNT_NAME_MAX)
                return -ERANGE;
        g_free(*ret);
        *ret = text[0] ? g_strdup(text) : NULL;
        return 0;
}

/* In a user's own service they are refused. */
static const char *const settings_keys_about_users[] = { "DefaultUser", "RequireUser", NULL };

/* Returns -ENOENT if the key does not exist. */
static int settings_set_key(Settings *s, const char *key, const char *value) {
        if (g_str_equal(key, "DefaultStopTimeout"))
                return parse_time(value, USEC_PER_SEC, &s->default_stop_timeout_usec);
        if (g_str_equal(key, "SetupTimeout"))
                return settings_set_positive_time(value, &s->setup_timeout_usec);
        if (g_str_equal(key, "MonitorTimeout"))
                return parse_time(value, USEC_PER_SEC, &s->monitor_timeout_usec);
        if (g_str_equal(key, "MaxCallTimePerUser"))
                return settings_set_call_time(value, &s->max_call_time_per_user_usec);
        if (g_str_equal(key, "BindAddress"))
                return bind_address_parse(value, &s->bind_address);
        if (g_str_equal(key, "MonitorAction")) {
                MonitorAction action = monitor_action_from_string(value);

                if ((int) action < 0)
                        return (int) action;
                s->monitor_action = action;
                return 0;
        }
        if (g_str_equal(key, "ProductProvider")) {
                ProductProvider provider = product_provider_from_string(value);

                if ((int) provider < 0)
                        return (int) provider;
                s->product_provider = provider;
                return 0;
        }
        if (g_str_equal(key, "ModulesCommand"))
                return settings_set_program(value, &s->modules_command);
        if (g_str_equal(key, "LmodCommand"))
                return settings_set_program(value, &s->lmod_command);
        if (g_str_equal(key, "DefaultUser"))
                return settings_set_default_user(value, &s->default_user);
        if (g_str_equal(key, "RequireUser"))
                return parse_boolean(value, &s->require_user);
        return settings_set_limit(s, key, value);
}

static void settings_set_variable(Settings *s, const char *name, const char *value) {
        size_t n = s->environment ? g_strv_length(s->environment) : 0;

        for (size_t i = 0; i < n; i++)
                if (env_variable_is(s->environment[i], name)) {
                        g_free(s->environment[i]);
                        s->environment[i] = g_strconcat(name, "=", value, NULL);
                        return;
                }
        s->environment = g_renew(char *, s->environment, n + 2);
        s->environment[n] = g_strconcat(name, "=", value, NULL);
        s->environment[n + 1] = NULL;
}

static int settings_read_variable(Settings *s, const char *path, const UnitFile *file, Fault *fault) {
        if (!env_name_is_valid(file->key))
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "%s:%u: \"%s\" is not a valid name of a variable", path, file->line, file->key);
        settings_set_variable(s, file->key, file->value);
        return 0;
}

static int settings_read_key(Settings *s, const char *path, const UnitFile *file, bool user, Fault *fault) {
        if (user && g_strv_contains(settings_keys_about_users, file->key))
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "%s:%u: %s= is refused: all roles of a user's own service run as this user", path,
                        file->line, file->key);
        int r = settings_set_key(s, file->key, file->value);
        if (r == -ENOENT)
                log_warning("%s:%u: unknown key %s=, ignoring", path, file->line, file->key);
        else if (r < 0)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS, "%s:%u: %s=%s is %s", path, file->line,
                        file->key, file->value,
                        r == -ERANGE ? "out of range"
                        : r == -EDOM ? "out of range: give a time longer than 0, or \"infinity\""
                                     : "not a valid value");
        return 0;
}

typedef struct SettingsReading {
        Settings *settings;
        bool user;
        Fault *fault;
} SettingsReading;

/* A section header, or a key with its value. */
static int settings_on_item(const char *path, const UnitFile *file, void *userdata) {
        const SettingsReading *reading = userdata;
        Settings *s = reading->settings;

        if (g_str_equal(file->section, SECTION_NODE))
                return file->key ? settings_read_key(s, path, file, reading->user, reading->fault) : 0;
        if (g_str_equal(file->section, SECTION_ENVIRONMENT))
                return file->key ? settings_read_variable(s, path, file, reading->fault) : 0;
        if (!file->key)
                log_warning("%s:%u: unknown section [%s], ignoring", path, file->line, file->section);
        return 0;
}

static char *settings_file_name(const char *instance) {
        return g_strconcat(instance, ".conf", NULL);
}

int settings_load(const char *directory, const char *instance, bool user, Settings **ret, Fault *fault) {
        const char *const directories[] = { directory, NULL };
        g_autoptr(Settings) settings = settings_new();
        g_autofree char *name = settings_file_name(instance), *message = NULL;
        SettingsReading reading = { .settings = settings, .user = user, .fault = fault };

        int r = config_files_load(directories, name, settings_on_item, &reading, &message);
        if (message)
                return fault_set(
                        fault, r == -EBADMSG ? NODE_ERROR_INVALID_ARGS : NODE_ERROR_IO_ERROR, "%s", message);
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&settings);
        return 0;
}

/* The file may be one that cannot be parsed, so this looks for the keys at the beginning of all its lines,
 * whatever is between them. What cannot be read may have them. */
static bool settings_file_is_about_users(const char *path) {
        _cleanup_free_ char *text = NULL; /* allocated by libc */
        size_t size;

        int r = config_file_read(path, &text, &size);
        if (r <= 0)
                return r < 0;
        for (size_t i = 0; i < size; i++) {
                i += strspn(text + i, " \t\xef\xbb\xbf"); /* with a byte order mark */
                for (const char *const *key = settings_keys_about_users; *key; key++)
                        if (g_str_has_prefix(text + i, *key))
                                return true;
                i += strcspn(text + i, "\n\r"); /* also stops at a NUL byte */
        }
        return false;
}

Settings *settings_new_fallback(const char *directory, const char *instance) {
        const char *const directories[] = { directory, NULL }; /* the one of the configuration */
        g_autofree char *name = settings_file_name(instance);
        g_autoptr(GPtrArray) files = NULL;
        Settings *settings = settings_new();

        settings->require_user = config_files_list(directories, name, &files) < 0;
        for (unsigned i = 0; files && i < files->len && !settings->require_user; i++)
                settings->require_user = settings_file_is_about_users(g_ptr_array_index(files, i));
        return settings;
}
