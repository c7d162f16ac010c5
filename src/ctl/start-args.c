/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bus/option-values.h"
#include "ctl/connection.h"
#include "ctl/loop.h"
#include "ctl/start-args.h"
#include "ctl/words.h"
#include "model/role-option-text.h"
#include "util/autoptr.h"

void start_args_init(StartArgs *args) {
        *args = (StartArgs){ role_spec_new(), g_new0(bool, n_role_options) };
}

void start_args_clear(StartArgs *args) {
        args->spec = role_spec_free(args->spec);
        g_clear_pointer(&args->given, g_free);
}

/* -- one option -- */

static CtlExit refuse_key(const char *verb, const char *key) {
        static const char *const other[] = { "Command", "Description", "AutoStart", "Instances" };
        g_autofree const char **keys = g_new0(const char *, n_role_options + 1);
        const char *nearest;
        size_t n = 0;

        for (size_t i = 0; i < ELEMENTSOF(other); i++)
                if (strcmp(key, other[i]) == 0)
                        return ctl_usage(verb, "%s= is for role files only%s", key,
                                i == 0 ? "; here the command comes last" : "");
        for (size_t i = 0; i < n_role_options; i++)
                if (role_options[i].file_key)
                        keys[n++] = role_options[i].file_key;
        nearest = words_nearest(key, keys);
        if (nearest)
                return ctl_usage(verb, "there is no option %s=; did you mean %s=?", key, nearest);
        return ctl_usage(verb, "there is no option %s=; architect-node.role(5) lists them", key);
}

/* "infinity" takes a limit of the scope back, and that has no value on the bus. */
static bool option_is_set(const RoleSpec *spec, const RoleOption *option, const char *value) {
        if (value[strspn(value, " \t\n")] == '\0')
                return false;
        return option->part_of || option->kind != ROLE_OPTION_UNSIGNED ||
               *(const uint64_t *) ((const char *) spec + option->offset) >= option->min;
}

int start_args_set_option(StartArgs *args, const RoleOption *option, const char *value, Fault *fault) {
        const RoleOption *whole = role_option_whole(option);

        int r = role_option_set_from_text(args->spec, option, value, fault);
        if (r >= 0 && whole->key)
                args->given[whole - role_options] = option_is_set(args->spec, option, value) ||
                                                    (option->part_of && args->spec->limits_set != 0);
        return r;
}

int start_args_set_dependencies(StartArgs *args, Dependency kind, char **names, Fault *fault) {
        const size_t offset = offsetof(RoleSpec, dependencies) + kind * sizeof(char **);

        int r = role_spec_set_dependencies(args->spec, kind, names, fault);
        for (size_t i = 0; i < n_role_options; i++)
                if (role_options[i].offset == offset)
                        args->given[i] = names[0];
        return r;
}

void start_args_set_token(StartArgs *args, uint64_t token) {
        const RoleOption *option = role_option_find_file_key("FencingToken");

        args->spec->fencing_token = token;
        args->given[option - role_options] = token > 0;
}

CtlExit start_args_set(StartArgs *args, const char *verb, const char *key, const char *value) {
        const RoleOption *option = role_option_find_file_key(key);
        g_auto(Fault) fault = {};

        if (!option || !role_option_whole(option)->key)
                return refuse_key(verb, key);
        int r = start_args_set_option(args, option, value, &fault);
        if (r < 0 && fault.error == NODE_ERROR_NOT_SUPPORTED) {
                ctl_error("%s", fault.message);
                return CTL_EXIT_FAILED;
        }
        return r < 0 ? ctl_usage(verb, "%s", fault.message) : CTL_EXIT_OK;
}

static CtlExit set_property(StartArgs *args, const char *verb, const char *text) {
        const char *equals = strchr(text, '=');

        if (!equals || equals == text)
                return ctl_usage(verb, "-p %s is not KEY=VALUE, as -p Nice=5", text);
        g_autofree char *key = g_strndup(text, (size_t) (equals - text));
        return start_args_set(args, verb, key, equals + 1);
}

/* As the words of Environment=, in which a backslash begins an escape. */
static CtlExit set_variable(StartArgs *args, const char *verb, const char *text) {
        const char *value = strchr(text, '=') ? NULL : getenv(text);
        g_autofree char *variable = NULL, *escaped = NULL, *word = NULL;
        char upper[129]; /* g_strescape() leaves these bytes, which are those of UTF-8 */

        if (!strchr(text, '=') && !value)
                return ctl_usage(verb, "-E %s: there is no such variable here, give it a value", text);
        for (size_t i = 0; i < 128; i++)
                upper[i] = (char) (128 + i);
        upper[128] = '\0';
        variable = value ? g_strconcat(text, "=", value, NULL) : g_strdup(text);
        escaped = g_strescape(variable, upper);
        word = g_strconcat("\"", escaped, "\"", NULL);
        return start_args_set(args, verb, "Environment", word);
}

static CtlExit set_same_directory(StartArgs *args, const char *verb) {
        g_autofree char *directory = g_get_current_dir();

        return start_args_set(args, verb, "WorkingDirectory", directory);
}

CtlExit start_args_take(StartArgs *args, const char *verb, int c, const char *value) {
        switch (c) {
        case 'p':
                return set_property(args, verb, value);
        case 'E':
                return set_variable(args, verb, value);
        case 'd':
                return set_same_directory(args, verb);
        case 'G':
                return start_args_set(args, verb, "Remove", "yes");
        case START_OPTION_UID:
                return start_args_set(args, verb, "User", value);
        case START_OPTION_GID:
                return start_args_set(args, verb, "Group", value);
        case START_OPTION_NICE:
                return start_args_set(args, verb, "Nice", value);
        case START_OPTION_WORKING_DIRECTORY:
                return start_args_set(args, verb, "WorkingDirectory", value);
        case START_OPTION_SERVICE_TYPE:
                return start_args_set(args, verb, "Type", value);
        case START_OPTION_LEASE:
                return start_args_set(args, verb, "Lease", value);
        case START_OPTION_FENCING_TOKEN:
                return start_args_set(args, verb, "FencingToken", value);
        default:
                g_assert_not_reached();
        }
}

bool start_args_has(const StartArgs *args, const char *key) {
        const RoleOption *option = role_option_find_file_key(key);

        g_assert(option);
        return args->given[role_option_whole(option) - role_options];
}

bool start_args_any(const StartArgs *args) {
        for (size_t i = 0; i < n_role_options; i++)
                if (args->given[i])
                        return true;
        return false;
}

/* -- the call -- */

static int append_options(sd_bus_message *call, const StartArgs *args) {
        int r = sd_bus_message_open_container(call, 'a', "{sv}");
        for (size_t i = 0; r >= 0 && i < n_role_options; i++)
                if (args->given[i])
                        r = option_value_append_entry(call, args->spec, &role_options[i]);
        return r < 0 ? r : sd_bus_message_close_container(call);
}

CtlExit start_args_new_call(
        Ctl *ctl, const StartArgs *args, const char *role, char *const *command, sd_bus_message **ret) {
        g_autoptr(sd_bus_message) call = NULL;

        CtlExit e = ctl_new_call(ctl, &call, "Start", "s", role);
        if (e != CTL_EXIT_OK)
                return e;
        int r = sd_bus_message_append_strv(call, (char **) command);
        if (r >= 0)
                r = append_options(call, args);
        if (r < 0)
                return ctl_cannot_send(r);
        *ret = g_steal_pointer(&call);
        return CTL_EXIT_OK;
}

const char start_goes_on[] = "The start goes on; architectctl stop ends it.";

CtlExit start_args_send(Ctl *ctl, const StartArgs *args, const char *role, char *const *command) {
        g_autoptr(sd_bus_message) call = NULL, reply = NULL;

        CtlExit e = start_args_new_call(ctl, args, role, command, &call);
        if (e == CTL_EXIT_OK)
                e = ctl_send_lasting(ctl, call, start_goes_on, &reply);
        return e == CTL_EXIT_OK ? ctl_check_reply(ctl, call, reply) : e;
}
