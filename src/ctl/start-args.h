/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The options of Start on a command line, for every verb that starts a command. -p takes each key of role
 * files with the spelling that it has there, so an option of the table role_options has no code here. */

#include <getopt.h>

#include "ctl/verb.h"
#include "model/role-options.h"

typedef struct StartArgs {
        RoleSpec *spec;
        bool *given; /* of each of role_options */
} StartArgs;

void start_args_init(StartArgs *args);
void start_args_clear(StartArgs *args);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(StartArgs, start_args_clear)

/* For the options and the help of a verb; its own options are numbered from START_OPTION_OWN. */
enum {
        START_OPTION_UID = CTL_OPTION_OWN,
        START_OPTION_GID,
        START_OPTION_NICE,
        START_OPTION_WORKING_DIRECTORY,
        START_OPTION_SERVICE_TYPE,
        START_OPTION_LEASE,
        START_OPTION_FENCING_TOKEN,
        START_OPTION_OWN,
};

#define START_SHORT_OPTIONS "+p:E:dG"
#define START_LONG_OPTIONS \
        { "property", required_argument, NULL, 'p' }, { "setenv", required_argument, NULL, 'E' }, \
                { "same-dir", no_argument, NULL, 'd' }, { "collect", no_argument, NULL, 'G' }, \
                { "uid", required_argument, NULL, START_OPTION_UID }, \
                { "gid", required_argument, NULL, START_OPTION_GID }, \
                { "nice", required_argument, NULL, START_OPTION_NICE }, \
                { "working-directory", required_argument, NULL, START_OPTION_WORKING_DIRECTORY }, \
                { "service-type", required_argument, NULL, START_OPTION_SERVICE_TYPE }, \
                { "lease", required_argument, NULL, START_OPTION_LEASE }, { \
                "fencing-token", required_argument, NULL, START_OPTION_FENCING_TOKEN \
        }
#define START_OPTIONS_HELP \
        "  -p --property=KEY=VALUE     Set an option as in a role file\n" \
        "     --uid=USER --gid=GROUP   Run as this user, with this group\n" \
        "     --nice=LEVEL             The nice level\n" \
        "     --working-directory=PATH The directory in which the command begins\n" \
        "  -d --same-dir               The current directory\n" \
        "  -E --setenv=NAME[=VALUE]    Set a variable, by default to its value here\n" \
        "     --service-type=TYPE      What to wait for: exec, notify or oneshot\n" \
        "     --lease=NAME             The lease to which it belongs\n" \
        "     --fencing-token=N        The token of the lease\n" \
        "  -G --collect                Purge the role when it has ended\n"

/* Takes one of the options above, as ctl_getopt() has returned it. */
CtlExit start_args_take(StartArgs *args, const char *verb, int c, const char *value);

/* Sets an option by its key in role files; start_args_take() does that. The message of an error begins with
 * verb, which may be NULL. */
CtlExit start_args_set(StartArgs *args, const char *verb, const char *key, const char *value);

/* The same for a caller who knows the option, which may be Command=, and reports an error himself. */
int start_args_set_option(StartArgs *args, const RoleOption *option, const char *value, Fault *fault);

/* Replaces the names of a dependency, of which an empty list is none. */
int start_args_set_dependencies(StartArgs *args, Dependency kind, char **names, Fault *fault);

/* Sets the fencing token, of which 0 is none. */
void start_args_set_token(StartArgs *args, uint64_t token);

/* Whether the option with this key in role files is given, and whether any is. */
bool start_args_has(const StartArgs *args, const char *key);
bool start_args_any(const StartArgs *args);

/* Makes the call Start; an empty command stands for the definition. The caller unrefs *ret. */
CtlExit start_args_new_call(
        Ctl *ctl, const StartArgs *args, const char *role, char *const *command, sd_bus_message **ret);

/* What a person hears who presses Ctrl-C while a start goes on. */
extern const char start_goes_on[];

/* Makes this call, and waits until the role is started. */
CtlExit start_args_send(Ctl *ctl, const StartArgs *args, const char *role, char *const *command);
