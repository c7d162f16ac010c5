/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/fd-util.h"
#include "base/parse-util.h"
#include "base/utf8.h"
#include "model/env.h"
#include "model/role-spec.h"
#include "model/settings.h"
#include "proto/keeper-limits.h"
#include "util/log.h"

#define FILE_MAX (1024U * 1024U)

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

int settings_parse_time(const char *text, uint64_t *ret_usec) {
        static const struct {
                const char *unit;
                uint64_t usec;
        } units[] = {
                { "", USEC_PER_SEC },
                { "us", 1 },
                { "ms", USEC_PER_MSEC },
                { "s", USEC_PER_SEC },
                { "sec", USEC_PER_SEC },
                { "m", 60 * USEC_PER_SEC },
                { "min", 60 * USEC_PER_SEC },
                { "h", 3600 * USEC_PER_SEC },
        };
        uint64_t sum = 0;
        bool any = false;

        if (g_str_equal(text, "infinity")) {
                *ret_usec = USEC_INFINITY;
                return 0;
        }

        for (const char *p = text;;) {
                uint64_t number, scale = 0;

                p += strspn(p, " ");
                if (!*p)
                        break;
                size_t digits = strspn(p, "0123456789");
                g_autofree char *number_text = g_strndup(p, digits);
                p += digits;
                size_t letters = strspn(p, "abcdefghijklmnopqrstuvwxyz");
                g_autofree char *unit = g_strndup(p, letters);
                p += letters;

                int r = parse_u64(number_text, &number);
                if (r < 0)
                        return r;
                for (size_t i = 0; i < ELEMENTSOF(units); i++)
                        if (g_str_equal(units[i].unit, unit))
                                scale = units[i].usec;
                if (scale == 0)
                        return -EINVAL;
                if (!g_uint64_checked_mul(&number, number, scale) || !g_uint64_checked_add(&sum, sum, number))
                        return -ERANGE;
                any = true;
        }
        if (!any)
                return -EINVAL;
        *ret_usec = sum;
        return 0;
}

int settings_parse_size(const char *text, size_t *ret) {
        const size_t digits = strspn(text, "0123456789");
        g_autofree char *number = g_strndup(text, digits);
        const char *unit = text + digits;
        uint64_t size, scale;

        if (*unit == '\0')
                scale = 1;
        else if (g_str_equal(unit, "K"))
                scale = 1024;
        else if (g_str_equal(unit, "M"))
                scale = 1024UL * 1024UL;
        else
                return -EINVAL;
        int r = parse_u64(number, &size);
        if (r < 0)
                return r;
        if (!g_uint64_checked_mul(&size, size, scale) || size > SIZE_MAX)
                return -ERANGE;
        *ret = (size_t) size;
        return 0;
}

/* Returns -EDOM for 0, which would leave no time. */
static int settings_set_positive_time(const char *text, uint64_t *ret) {
        uint64_t usec;

        int r = settings_parse_time(text, &usec);
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
                uint32_t count = 0;
                size_t size = 0;

                if (!g_str_equal(settings_limits[i].key, key))
                        continue;
                int r = settings_limits[i].is_size ? settings_parse_size(text, &size)
                                                   : parse_u32(text, &count);
                if (r < 0)
                        return r;
                if (!settings_limits[i].is_size)
                        size = count;
                if (size < 1 || size > settings_limits[i].max)
                        return -ERANGE;
                if (settings_limits[i].is_size)
                        *(size_t *) value = size;
                else
                        *(unsigned *) value = count;
                return 0;
        }
        return -ENOENT;
}

/* The time in each second. */
static int settings_set_call_time(const char *text, uint64_t *ret) {
        uint64_t usec;

        int r = settings_parse_time(text, &usec);
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

static int settings_set_address(const char *text, BindAddress *ret) {
        BindAddress address = {};

        if (*text == '\0')
                ; /* any value */
        else if (inet_pton(AF_INET, text, address.address) > 0)
                address.ip_version = 4;
        else if (inet_pton(AF_INET6, text, address.address) > 0)
                address.ip_version = 6;
        else
                return -EINVAL;
        *ret = address;
        return 0;
}

/* Accepts the words that systemd accepts. */
static int settings_set_boolean(const char *text, bool *ret) {
        static const char *const yes[] = { "1", "yes", "y", "true", "t", "on", NULL };
        static const char *const no[] = { "0", "no", "n", "false", "f", "off", NULL };
        g_autofree char *lower = g_ascii_strdown(text, -1);

        if (!g_strv_contains(yes, lower) && !g_strv_contains(no, lower))
                return -EINVAL;
        *ret = g_strv_contains(yes, lower);
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

static bool settings_key_is_about_users(const char *key) {
        return g_str_equal(key, "DefaultUser") || g_str_equal(key, "RequireUser");
}

/* Returns -ENOENT if the key does not exist. */
static int settings_set_key(Settings *s, const char *key, const char *value) {
        if (g_str_equal(key, "DefaultStopTimeout"))
                return settings_parse_time(value, &s->default_stop_timeout_usec);
        if (g_str_equal(key, "SetupTimeout"))
                return settings_set_positive_time(value, &s->setup_timeout_usec);
        if (g_str_equal(key, "MonitorTimeout"))
                return settings_parse_time(value, &s->monitor_timeout_usec);
        if (g_str_equal(key, "MaxCallTimePerUser"))
                return settings_set_call_time(value, &s->max_call_time_per_user_usec);
        if (g_str_equal(key, "BindAddress"))
                return settings_set_address(value, &s->bind_address);
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
                return settings_set_boolean(value, &s->require_user);
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

/* GKeyFile does not keep the lines, which the messages must contain. */
static unsigned settings_find_line(const char *text, const char *section, const char *key) {
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        g_autofree char *header = g_strconcat("[", section, "]", NULL);
        bool inside = false;

        for (unsigned i = 0; lines[i]; i++) {
                char *line = g_strstrip(lines[i]);

                if (line[0] == '[')
                        inside = g_str_equal(line, header);
                else if (inside && key && g_str_has_prefix(line, key) && strchr(" \t=", line[strlen(key)]))
                        return i + 1;
                if (inside && !key)
                        return i + 1;
        }
        return 0;
}

static int settings_load_section(Settings *s, GKeyFile *file, const char *path, const char *text,
        const char *section, bool user, Fault *fault) {
        g_auto(GStrv) keys = g_key_file_get_keys(file, section, NULL, NULL);
        bool environment = g_str_equal(section, SECTION_ENVIRONMENT);

        if (!environment && !g_str_equal(section, SECTION_NODE)) {
                log_warning("%s:%u: unknown section [%s], ignoring", path,
                        settings_find_line(text, section, NULL), section);
                return 0;
        }
        for (char **k = keys; k && *k; k++) {
                g_autoptr(GError) error = NULL;
                g_autofree char *value = g_key_file_get_string(file, section, *k, &error);

                if (!value)
                        return fault_set(fault, NODE_ERROR_INVALID_ARGS, "%s:%u: %s", path,
                                settings_find_line(text, section, *k), error->message);
                if (!utf8_is_valid(value)) /* such as a noncharacter, which GKeyFile accepts */
                        return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                                "%s:%u: the value of %s= has characters that D-Bus does not permit", path,
                                settings_find_line(text, section, *k), *k);
                if (environment) {
                        if (!env_name_is_valid(*k))
                                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                                        "%s:%u: \"%s\" is not a valid name of a variable", path,
                                        settings_find_line(text, section, *k), *k);
                        settings_set_variable(s, *k, value);
                        continue;
                }
                if (user && settings_key_is_about_users(*k))
                        return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                                "%s:%u: %s= is refused: all roles of a user's own service run as this user",
                                path, settings_find_line(text, section, *k), *k);
                int r = settings_set_key(s, *k, value);
                if (r == -ENOENT)
                        log_warning("%s:%u: unknown key %s=, ignoring", path,
                                settings_find_line(text, section, *k), *k);
                else if (r < 0)
                        return fault_set(fault, NODE_ERROR_INVALID_ARGS, "%s:%u: %s=%s is %s", path,
                                settings_find_line(text, section, *k), *k, value,
                                r == -ERANGE ? "out of range"
                                : r == -EDOM ? "out of range: give a time longer than 0, or \"infinity\""
                                             : "not a valid value");
        }
        return 0;
}

/* A file that is /dev/null, or a symlink to it: an administrator masks in this way what a package has
 * installed. */
static bool settings_is_null_device(const char *path) {
        struct stat st;

        return stat(path, &st) >= 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
}

static int settings_load_file(Settings *s, const char *path, bool user, Fault *fault) {
        g_autoptr(GKeyFile) file = g_key_file_new();
        g_autoptr(GError) error = NULL;
        _cleanup_free_ char *text = NULL; /* allocated by libc */

        int r = file_read(AT_FDCWD, path, FILE_MAX, &text, NULL);
        if (r == -ENOENT || (r == -EBADFD && settings_is_null_device(path)))
                return 0;
        if (r == -EBADFD)
                return fault_set(fault, NODE_ERROR_IO_ERROR,
                        "Cannot read %s: it is neither a regular file nor /dev/null", path);
        if (r < 0)
                return fault_set(fault, NODE_ERROR_IO_ERROR, "Cannot read %s: %s", path, g_strerror(-r));
        if (!g_key_file_load_from_data(file, text, (gsize) -1, G_KEY_FILE_NONE, &error))
                return fault_set(fault, NODE_ERROR_INVALID_ARGS, "%s: %s", path, error->message);

        g_auto(GStrv) sections = g_key_file_get_groups(file, NULL);
        for (char **section = sections; *section; section++) {
                r = settings_load_section(s, file, path, text, *section, user, fault);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int settings_compare_paths(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

/* Returns the paths in the order in which they are read. The main file may not exist. */
static GPtrArray *settings_list_files(const char *directory, const char *instance) {
        GPtrArray *files = g_ptr_array_new_with_free_func(g_free);
        g_autofree char *file = g_strconcat(directory, "/", instance, ".conf", NULL);
        g_autofree char *drop_ins = g_strconcat(file, ".d", NULL);
        g_autoptr(GDir) dir = g_dir_open(drop_ins, 0, NULL);

        for (const char *name; dir && (name = g_dir_read_name(dir));)
                if (g_str_has_suffix(name, ".conf"))
                        g_ptr_array_add(files, g_build_filename(drop_ins, name, NULL));
        g_ptr_array_sort(files, settings_compare_paths);
        g_ptr_array_insert(files, 0, g_steal_pointer(&file));
        return files;
}

int settings_load(const char *directory, const char *instance, bool user, Settings **ret, Fault *fault) {
        g_autoptr(Settings) settings = settings_new();
        g_autoptr(GPtrArray) files = settings_list_files(directory, instance);

        for (unsigned i = 0; i < files->len; i++) {
                int r = settings_load_file(settings, g_ptr_array_index(files, i), user, fault);
                if (r < 0)
                        return r;
        }
        *ret = g_steal_pointer(&settings);
        return 0;
}

/* The file may be one that GKeyFile cannot parse, so this looks for the keys in its lines. */
static bool settings_file_is_about_users(const char *path) {
        _cleanup_free_ char *text = NULL; /* allocated by libc */

        if (file_read(AT_FDCWD, path, FILE_MAX, &text, NULL) < 0)
                return false;
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        for (char **line = lines; *line; line++) {
                g_autofree char *key = g_strndup(g_strchug(*line), strcspn(g_strchug(*line), " \t="));

                if (settings_key_is_about_users(key))
                        return true;
        }
        return false;
}

Settings *settings_new_fallback(const char *directory, const char *instance) {
        g_autoptr(GPtrArray) files = settings_list_files(directory, instance);
        Settings *settings = settings_new();

        for (unsigned i = 0; i < files->len && !settings->require_user; i++)
                settings->require_user = settings_file_is_about_users(g_ptr_array_index(files, i));
        return settings;
}
