/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The verbs "start" and "restart". */

#include <string.h>
#include <unistd.h>

#include "base/unit-name.h"
#include "ctl/connection.h"
#include "ctl/details.h"
#include "ctl/loop.h"
#include "ctl/managed.h"
#include "ctl/roles.h"
#include "ctl/start-args.h"
#include "ctl/stop.h"
#include "ctl/words.h"
#include "util/autoptr.h"

static CtlExit start_many(Ctl *ctl, char *const *roles) {
        g_autoptr(sd_bus_message) call = NULL, reply = NULL;

        CtlExit e = ctl_new_call_many(ctl, "StartMany", roles, &call);
        if (e == CTL_EXIT_OK)
                e = ctl_send_lasting(ctl, call, start_goes_on, &reply);
        if (e == CTL_EXIT_OK)
                e = ctl_check_reply(ctl, call, reply);
        return e == CTL_EXIT_OK ? ctl_report_results(ctl, reply) : e;
}

/* One role may be started by whoever polkit permits it, several by root alone. */
static CtlExit start_defined(Ctl *ctl, const StartArgs *args, char *const *roles) {
        char *const none[] = { NULL };

        return roles[0][0] == '@' || roles[1] ? start_many(ctl, roles)
                                              : start_args_send(ctl, args, roles[0], none);
}

/* -- start -- */

/* Several words are either roles that have definitions, or a role and its command. */
typedef enum StartForm {
        START_DEFINED,
        START_COMMAND,
        START_UNCLEAR,
} StartForm;

static bool word_is_defined(const char *word, char *const *defined) {
        return word[0] == '@' || (defined && g_strv_contains((const char *const *) defined, word));
}

static StartForm start_form(char *const *words, char *const *defined) {
        unsigned n_defined = 0, n = 0;

        for (; words[n]; n++) {
                if (words[n][0] != '@' && !role_name_is_valid(words[n]))
                        return START_COMMAND; /* such as a path */
                n_defined += word_is_defined(words[n], defined);
        }
        return n_defined == n ? START_DEFINED : n_defined == 0 ? START_COMMAND : START_UNCLEAR;
}

static CtlExit refuse_unclear(char *const *words, char *const *defined) {
        const char *yes = NULL, *no = NULL;

        for (; *words; words++)
                if (word_is_defined(*words, defined))
                        yes = yes ?: *words;
                else
                        no = no ?: *words;
        return ctl_usage("start",
                "\"%s\" has a definition and \"%s\" has none; put -- before the first word of a command", yes,
                no);
}

static CtlExit start_words(Ctl *ctl, const StartArgs *args, char **words, bool command_follows) {
        g_auto(GStrv) defined = NULL;
        StartForm form = START_COMMAND;

        CtlExit e = ctl_connect(ctl);
        if (e != CTL_EXIT_OK)
                return e;
        if (!words[1])
                form = START_DEFINED;
        else if (!command_follows && !start_args_any(args)) {
                defined = ctl_definition_names(ctl);
                form = start_form(words, defined);
        }
        if (form == START_UNCLEAR)
                return refuse_unclear(words, defined);
        if (form == START_DEFINED && words[0][0] == '@' && start_args_any(args))
                return ctl_usage(
                        "start", "the roles of a group are started as they are defined, without options");
        return form == START_DEFINED ? start_defined(ctl, args, words)
                                     : start_args_send(ctl, args, words[0], words + 1);
}

/* Reads options up to the first argument that is none. */
static bool read_options(Ctl *ctl, StartArgs *args, int argc, char *argv[], CtlExit *ret) {
        static const struct option options[] = { START_LONG_OPTIONS, { 0 } };
        int c;

        *ret = CTL_EXIT_OK;
        while ((c = ctl_getopt(ctl, argc, argv, START_SHORT_OPTIONS, options, ret)) >= 0) {
                *ret = start_args_take(args, argv[0], c, optarg);
                if (*ret != CTL_EXIT_OK)
                        return false;
        }
        return c != CTL_OPTION_EXIT;
}

CtlExit verb_start(Ctl *ctl, int argc, char *argv[]) {
        g_auto(StartArgs) args;
        CtlExit e;

        start_args_init(&args);
        if (!read_options(ctl, &args, argc, argv, &e))
                return e;
        if (optind == argc)
                return ctl_usage("start", "start needs ROLE..., @GROUP..., or NAME and COMMAND");

        /* What follows the first word, with the name of the verb in place of that. */
        char *first = argv[optind];
        argc -= optind;
        argv += optind;
        argv[0] = (char *) "start";
        optind = 0;
        if (!read_options(ctl, &args, argc, argv, &e))
                return e;
        const bool command_follows = strcmp(argv[optind - 1], "--") == 0 && optind > 1;

        argv[optind - 1] = first;
        return start_words(ctl, &args, argv + optind - 1, command_follows);
}

/* -- restart -- */

/* Only a definition says everything that a role was started with: the service tells nobody the variables of
 * its environment. */
static CtlExit refuse_free(Ctl *ctl, const char *role) {
        g_auto(GStrv) command = NULL;

        ctl_error("\"%s\" was started with a command, and the service does not tell all options that it was "
                  "started with",
                role);
        if (ctl_peek_strings(ctl, role, "Command", &command) >= 0 && command) {
                g_autofree char *line = words_command((const char *const *) command);

                ctl_say(ctl,
                        "Start it again yourself: architectctl stop %s; architectctl start %s [OPTIONS] -- %s",
                        role, role, line);
        }
        ctl_say(ctl, "A role file makes it a role that can be restarted, see architect-node.role(5).");
        return CTL_EXIT_FAILED;
}

/* Nothing is stopped that could not be started again. */
static CtlExit check_restart(Ctl *ctl, const char *role) {
        g_autofree char *definition = NULL;

        if (ctl_peek_string(ctl, role, "Definition", &definition) >= 0 && !definition[0])
                return refuse_free(ctl, role);
        return ctl_call(ctl, NULL, "GetDefinition", "s", role);
}

static CtlExit check_restarts(Ctl *ctl, const GPtrArray *roles) {
        for (guint i = 0; i < roles->len; i++) {
                CtlExit e = check_restart(ctl, g_ptr_array_index(roles, i));
                if (e != CTL_EXIT_OK)
                        return e;
        }
        return CTL_EXIT_OK;
}

static bool role_runs(Ctl *ctl, const char *role) {
        g_autofree char *state = NULL;

        return ctl_peek_string(ctl, role, "State", &state) >= 0 && strcmp(state, "ended") != 0;
}

/* As for a unit of systemd, what was stopped because it depends on one of these is started again, too. */
static void add_dependents(Ctl *ctl, const GArray *before, GPtrArray *roles) {
        for (guint i = 0; i < before->len; i++) {
                const CtlRole *role = &g_array_index(before, CtlRole, i);
                g_autofree char *cause = NULL, *definition = NULL;

                if (!ctl_role_is_running(role) ||
                        g_ptr_array_find_with_equal_func(roles, role->name, g_str_equal, NULL) ||
                        role_runs(ctl, role->name) || ctl_peek_string(ctl, role->name, "Cause", &cause) < 0 ||
                        strcmp(cause, "dependency") != 0)
                        continue;
                if (ctl_peek_string(ctl, role->name, "Definition", &definition) >= 0 && definition[0])
                        g_ptr_array_add(roles, g_strdup(role->name));
                else
                        ctl_say(ctl, "\"%s\" was stopped with them and has no definition to start it from.",
                                role->name);
        }
}

/* For a caller who is not root, who may not start many at once. What one of them depends on may run already.
 */
static CtlExit start_each(Ctl *ctl, const GPtrArray *roles) {
        char *const none[] = { NULL };
        CtlExit first = CTL_EXIT_OK;
        g_auto(StartArgs) args;

        start_args_init(&args);
        for (guint i = 0; i < roles->len; i++) {
                const char *role = g_ptr_array_index(roles, i);

                if (role_runs(ctl, role))
                        continue;
                CtlExit e = start_args_send(ctl, &args, role, none);
                if (first == CTL_EXIT_OK)
                        first = e;
        }
        return first;
}

static CtlExit stop_for_restart(Ctl *ctl, const GPtrArray *roles) {
        g_autoptr(GPtrArray) there = g_ptr_array_new();

        for (guint i = 0; i < roles->len; i++) {
                g_autofree char *state = NULL;

                if (ctl_peek_string(ctl, g_ptr_array_index(roles, i), "State", &state) >= 0)
                        g_ptr_array_add(there, g_ptr_array_index(roles, i));
        }
        if (there->len == 0) /* which would mean all */
                return CTL_EXIT_OK;
        g_ptr_array_add(there, NULL);
        return ctl_stop_roles(ctl, &ctl_stop, (char *const *) there->pdata);
}

static CtlExit restart_roles(Ctl *ctl, GPtrArray *roles) {
        g_autoptr(GArray) before = NULL;

        CtlExit e = ctl_list_roles(ctl, &before);
        if (e == CTL_EXIT_OK)
                e = check_restarts(ctl, roles);
        if (e == CTL_EXIT_OK)
                e = stop_for_restart(ctl, roles);
        if (e != CTL_EXIT_OK)
                return e;
        add_dependents(ctl, before, roles);
        if (geteuid() != 0 && !ctl->user)
                return start_each(ctl, roles);
        g_ptr_array_add(roles, NULL);
        return start_many(ctl, (char *const *) roles->pdata);
}

CtlExit verb_restart(Ctl *ctl, int argc, char *argv[]) {
        g_autoptr(GPtrArray) roles = g_ptr_array_new_with_free_func(g_free);
        bool force;
        CtlExit e;

        if (!ctl_read_roles(ctl, argc, argv, &force, &e))
                return e;
        e = ctl_expand_roles(ctl, argv + optind, roles);
        if (e == CTL_EXIT_OK) {
                g_autofree const char **names = g_new0(const char *, roles->len + 1);

                for (guint i = 0; i < roles->len; i++)
                        names[i] = g_ptr_array_index(roles, i);
                e = ctl_check_managed(ctl, "restart", (char *const *) names, force);
        }
        if (e != CTL_EXIT_OK)
                return e;
        if (roles->len == 0) {
                ctl_error("none of these roles runs, so there is none to restart");
                return CTL_EXIT_NOT_RUNNING;
        }
        return restart_roles(ctl, roles);
}
