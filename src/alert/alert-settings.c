/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fnmatch.h>
#include <pwd.h>
#include <string.h>

#include "alert/alert-settings.h"
#include "base/parse-util.h"
#include "base/unit-name.h"
#include "model/words.h"
#include "proto/node-names.h"
#include "util/config-files.h"
#include "util/log.h"

#define SECTION_ALERT "Alert"
#define SUFFIX ".conf"
#define COMMANDS_MAX 16U
#define TIMEOUT_DEFAULT_USEC (30 * USEC_PER_SEC)
#define TIMEOUT_MIN_USEC USEC_PER_SEC
#define TIMEOUT_MAX_USEC (3600 * USEC_PER_SEC)
#define RATE_INTERVAL_DEFAULT_USEC (60 * USEC_PER_SEC)
#define RATE_BURST_DEFAULT 5U

static void command_free(void *p) {
        AlertCommand *command = p;

        g_strfreev(command->words);
        g_free(command);
}

Alert *alert_free(Alert *alert) {
        if (!alert)
                return NULL;
        g_free(alert->name);
        g_strfreev(alert->roles);
        g_strfreev(alert->groups);
        g_strfreev(alert->instances);
        g_ptr_array_unref(alert->commands);
        g_free(alert->user);
        g_free(alert->group);
        g_free(alert);
        return NULL;
}

static Alert *alert_new(const char *name) {
        Alert *alert = g_new(Alert, 1);

        *alert = (Alert){
                .name = g_strdup(name),
                .roles = g_new0(char *, 1),
                .groups = g_new0(char *, 1),
                .instances = g_new0(char *, 1),
                .commands = g_ptr_array_new_with_free_func(command_free),
                .timeout_usec = TIMEOUT_DEFAULT_USEC,
                .rate_interval_usec = RATE_INTERVAL_DEFAULT_USEC,
                .rate_burst = RATE_BURST_DEFAULT,
        };
        return alert;
}

/* -- values -- */

/* A problem is a sentence without its end, which the caller frees; NULL: there is none. */
typedef char *(*AlertSetter)(Alert *alert, const char *value);

/* As for lists of systemd, each line adds to it, and an empty one resets it. */
static char *add_words(
        const char *value, bool (*is_valid)(const char *word), const char *what, char ***list) {
        g_auto(GStrv) words = g_strsplit_set(value, " \t", -1);
        g_autoptr(GStrvBuilder) all = g_strv_builder_new();

        if (value[0])
                g_strv_builder_addv(all, (const char **) *list);
        for (char **w = words; *w; w++) {
                if (!(*w)[0])
                        continue;
                if (!is_valid(*w))
                        return g_strdup_printf("\"%s\" is not %s", *w, what);
                g_strv_builder_add(all, *w);
        }
        g_strfreev(*list);
        *list = g_strv_builder_end(all);
        return NULL;
}

static char *set_on(Alert *alert, const char *value) {
        g_auto(GStrv) words = g_strsplit_set(value, " \t", -1);
        unsigned kinds = value[0] ? alert->kinds : 0;

        for (char **w = words; *w; w++) {
                const IncidentKind kind = incident_kind_from_string(*w);

                if (!(*w)[0])
                        continue;
                if (kind < 0)
                        return g_strdup_printf(
                                "\"%s\" is none of failed, gave-up, oom, monitor and lost", *w);
                kinds |= INCIDENT_BIT(kind);
        }
        alert->kinds = kinds;
        return NULL;
}

/* Every character of a name, and those of a pattern. */
static bool pattern_is_valid(const char *word) {
        return strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-*?[]!") ==
               strlen(word);
}

static char *set_roles(Alert *alert, const char *value) {
        return add_words(
                value, pattern_is_valid, "a name of roles, which may have *, ? and [...]", &alert->roles);
}

static char *set_groups(Alert *alert, const char *value) {
        return add_words(value, role_name_is_valid, "the name of a group of roles", &alert->groups);
}

static char *set_instances(Alert *alert, const char *value) {
        return add_words(value, instance_name_is_valid, "the name of an instance", &alert->instances);
}

/* What systemd accepts: an absolute path, or a name that it looks up. */
static bool program_is_valid(const char *program) {
        return program[0] == '/' || (program[0] && !strchr(program, '/') && program[0] != '.');
}

static char *add_command(Alert *alert, const char *value) {
        g_auto(Fault) fault = {};
        g_auto(GStrv) words = NULL;

        if (!value[0]) {
                g_ptr_array_set_size(alert->commands, 0);
                return NULL;
        }
        const bool ignore = value[0] == '-';
        if (words_split(value + ignore, WORDS_UNIT, &words, &fault) < 0)
                return g_strdup(fault.message);
        if (!words[0])
                return g_strdup("it names no program");
        if (!program_is_valid(words[0]))
                return g_strdup_printf(
                        "\"%s\" is neither an absolute path nor the name of a program", words[0]);
        if (alert->commands->len >= COMMANDS_MAX)
                return g_strdup_printf("there are more than %u commands", COMMANDS_MAX);
        AlertCommand *command = g_new(AlertCommand, 1);
        *command = (AlertCommand){ .words = g_steal_pointer(&words), .ignore_failure = ignore };
        g_ptr_array_add(alert->commands, command);
        return NULL;
}

/* That the account exists is systemd's to find out, each time. */
static bool account_is_valid(const char *name) {
        return strlen(name) < 256 && !strpbrk(name, " \t:/,\"'\\") && name[0] != '-';
}

static char *set_account(const char *value, char **member) {
        if (!account_is_valid(value))
                return g_strdup("that is no name");
        g_free(*member);
        *member = value[0] ? g_strdup(value) : NULL;
        return NULL;
}

static char *set_user(Alert *alert, const char *value) {
        return set_account(value, &alert->user);
}

static char *set_user_group(Alert *alert, const char *value) {
        return set_account(value, &alert->group);
}

static char *set_timeout(Alert *alert, const char *value) {
        uint64_t usec;

        if (parse_time(value, USEC_PER_SEC, &usec) < 0)
                return g_strdup("that is no time, such as 30s");
        if (usec < TIMEOUT_MIN_USEC || usec > TIMEOUT_MAX_USEC)
                return g_strdup("it must be from 1s to 1h");
        alert->timeout_usec = usec;
        return NULL;
}

static char *set_rate_interval(Alert *alert, const char *value) {
        if (parse_time(value, USEC_PER_SEC, &alert->rate_interval_usec) < 0)
                return g_strdup("that is no time, such as 1min");
        return NULL;
}

static char *set_rate_burst(Alert *alert, const char *value) {
        if (parse_u32(value, &alert->rate_burst) < 0)
                return g_strdup("that is no number");
        return NULL;
}

static const struct {
        const char *key;
        AlertSetter set;
} alert_keys[] = {
        { "On", set_on },
        { "Roles", set_roles },
        { "RoleGroups", set_groups },
        { "Instances", set_instances },
        { "Command", add_command },
        { "User", set_user },
        { "Group", set_user_group },
        { "TimeoutSec", set_timeout },
        { "RateLimitIntervalSec", set_rate_interval },
        { "RateLimitBurst", set_rate_burst },
};

/* -- the files -- */

typedef struct Reading {
        Alert *alert;
        char **ret_message;
        bool empty; /* nothing is assigned */
} Reading;

static int reading_on_item(const char *path, const UnitFile *file, void *userdata) {
        Reading *reading = userdata;
        g_autofree char *problem = NULL;

        reading->empty = false;
        if (!g_str_equal(file->section, SECTION_ALERT)) {
                *reading->ret_message =
                        g_strdup_printf("%s:%u: there is no section [%s], only [" SECTION_ALERT "]", path,
                                file->line, file->section);
                return -EINVAL;
        }
        if (!file->key)
                return 0;
        for (size_t i = 0; i < ELEMENTSOF(alert_keys); i++) {
                if (!g_str_equal(alert_keys[i].key, file->key))
                        continue;
                problem = alert_keys[i].set(reading->alert, file->value);
                if (!problem)
                        return 0;
                *reading->ret_message = g_strdup_printf(
                        "%s:%u: %s=%s: %s", path, file->line, file->key, file->value, problem);
                return -EINVAL;
        }
        *reading->ret_message = g_strdup_printf("%s:%u: there is no key %s=", path, file->line, file->key);
        return -EINVAL;
}

static const char *alert_missing(const Alert *alert) {
        if (alert->kinds == 0)
                return "On= is missing, the events that it is run for";
        if (alert->commands->len == 0)
                return "Command= is missing, what it runs";
        if (alert->group && !alert->user)
                return "Group= needs User=";
        return NULL;
}

/* Returns NULL if the file is empty or masked, or with a message. */
static Alert *alert_load(const char *directory, const char *file, char **ret_message) {
        const char *const directories[] = { directory, NULL };
        g_autofree char *name = g_strndup(file, strlen(file) - strlen(SUFFIX));
        g_autofree char *path = g_build_filename(directory, file, NULL);
        g_autoptr(Alert) alert = alert_new(name);
        Reading reading = { .alert = alert, .ret_message = ret_message, .empty = true };

        if (!role_name_is_valid(name)) {
                *ret_message = g_strdup_printf(
                        "%s: the name of an alert has letters, digits, '_', '.' and '-' only, and at most 64 "
                        "of them",
                        path);
                return NULL;
        }
        if (config_file_is_masked(path) ||
                config_files_load(directories, file, reading_on_item, &reading, ret_message) < 0 ||
                reading.empty)
                return NULL;
        const char *missing = alert_missing(alert);
        if (missing) {
                *ret_message = g_strdup_printf("%s: %s", path, missing);
                return NULL;
        }
        if (!alert->instances[0])
                (void) set_instances(alert, NODE_DEFAULT_INSTANCE);
        if (alert->user && g_ascii_isalpha(alert->user[0]) && !getpwnam(alert->user))
                log_warning("%s: User=%s: there is no such user now", path, alert->user);
        return g_steal_pointer(&alert);
}

static void alert_free_element(void *p) {
        (void) alert_free(p);
}

static int compare_names(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

/* Returns the names of files in their order, or NULL with a message. */
static GPtrArray *alert_files(const char *directory, char **ret_message) {
        g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GError) error = NULL;
        g_autoptr(GDir) dir = g_dir_open(directory, 0, &error);
        const char *name;

        if (!dir) {
                if (g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
                        return g_steal_pointer(&files);
                *ret_message = g_strdup(error->message);
                return NULL;
        }
        while ((name = g_dir_read_name(dir)))
                if (name[0] != '.' && g_str_has_suffix(name, SUFFIX))
                        g_ptr_array_add(files, g_strdup(name));
        g_ptr_array_sort(files, compare_names);
        return g_steal_pointer(&files);
}

void alerts_load(const char *directory, GPtrArray **ret_alerts, GPtrArray **ret_problems) {
        GPtrArray *alerts = g_ptr_array_new_with_free_func(alert_free_element),
                  *problems = g_ptr_array_new_with_free_func(g_free);
        char *message = NULL;
        g_autoptr(GPtrArray) files = alert_files(directory, &message);

        if (!files)
                g_ptr_array_add(problems, g_steal_pointer(&message));
        for (unsigned i = 0; files && i < files->len; i++) {
                Alert *alert = alert_load(directory, g_ptr_array_index(files, i), &message);

                if (alert)
                        g_ptr_array_add(alerts, alert);
                else if (message)
                        g_ptr_array_add(problems, g_steal_pointer(&message));
        }
        *ret_alerts = alerts;
        *ret_problems = problems;
}

/* -- what it is run for -- */

static bool groups_match(const Alert *alert, char *const *groups) {
        for (char **g = alert->groups; *g; g++)
                if (g_strv_contains((const char *const *) groups, *g))
                        return true;
        return false;
}

static bool patterns_match(const Alert *alert, const char *role) {
        for (char **pattern = alert->roles; *pattern; pattern++)
                if (fnmatch(*pattern, role, 0) == 0)
                        return true;
        return false;
}

bool alert_matches(
        const Alert *alert, unsigned kinds, const char *instance, const char *role, char *const *groups) {
        if (!(alert->kinds & kinds) || !g_strv_contains((const char *const *) alert->instances, instance))
                return false;
        if (!role[0])
                return true;
        if (alert->roles[0] && !patterns_match(alert, role))
                return false;
        /* One alert too many is better than one too few. */
        return !alert->groups[0] || !groups || groups_match(alert, groups);
}

bool alert_take(Alert *alert, uint64_t now) {
        if (alert->rate_interval_usec == 0 || alert->rate_burst == 0)
                return true;
        if (alert->rate_n == 0 || now - alert->rate_begin_usec >= alert->rate_interval_usec) {
                alert->rate_begin_usec = now;
                alert->rate_n = 0;
        }
        if (alert->rate_n >= alert->rate_burst) {
                alert->n_suppressed++;
                return false;
        }
        alert->rate_n++;
        return true;
}
