/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The verb "env". */

#include <stdio.h>
#include <string.h>

#include "client/json.h"
#include "ctl/connection.h"
#include "ctl/json.h"
#include "ctl/verb.h"
#include "util/autoptr.h"

static CtlExit env_get(Ctl *ctl, char *const *arguments) {
        g_autoptr(sd_bus_message) reply = NULL;
        const char *value;

        CtlExit e = ctl_call(ctl, &reply, "GetEnv", "s", arguments[0]);
        if (e != CTL_EXIT_OK)
                return e;
        int r = sd_bus_message_read(reply, "s", &value);
        if (r < 0)
                return ctl_bad_reply(r);
        if (ctl->json == CTL_JSON_OFF)
                (void) puts(value);
        else {
                g_autoptr(GString) json = g_string_new(NULL);

                json_append_string(json, value);
                json_print(json->str, ctl->json);
        }
        return CTL_EXIT_OK;
}

static CtlExit env_set_one(Ctl *ctl, const char *name, const char *value) {
        return ctl_call(ctl, NULL, "SetEnv", "ss", name, value);
}

/* NAME VALUE, or any number of NAME=VALUE. Only a name without "=" can be set, so the two differ. */
static CtlExit env_set(Ctl *ctl, char *const *arguments) {
        if (!strchr(arguments[0], '=') && arguments[1] && !arguments[2])
                return env_set_one(ctl, arguments[0], arguments[1]);
        for (char *const *p = arguments; *p; p++)
                if (!strchr(*p, '='))
                        return ctl_usage(
                                "env", "\"%s\" has no value; set takes NAME VALUE or NAME=VALUE...", *p);
        for (; *arguments; arguments++) {
                const char *equals = strchr(*arguments, '=');
                g_autofree char *name = g_strndup(*arguments, (size_t) (equals - *arguments));

                CtlExit e = env_set_one(ctl, name, equals + 1);
                if (e != CTL_EXIT_OK)
                        return e;
        }
        return CTL_EXIT_OK;
}

static CtlExit env_unset(Ctl *ctl, char *const *arguments) {
        CtlExit e = CTL_EXIT_OK;

        for (; e == CTL_EXIT_OK && *arguments; arguments++)
                e = ctl_call(ctl, NULL, "UnsetEnv", "s", *arguments);
        return e;
}

static CtlExit env_list(Ctl *ctl, char *const *arguments) {
        g_autoptr(sd_bus_message) reply = NULL;
        g_autoptr(GString) json = g_string_new("{");
        g_auto(GStrv) variables = NULL;

        CtlExit e = ctl_call(ctl, &reply, "ListEnv", NULL);
        if (e != CTL_EXIT_OK)
                return e;
        int r = sd_bus_message_read_strv(reply, &variables);
        if (r < 0)
                return ctl_bad_reply(r);
        for (char **p = variables; p && *p; p++) {
                char *equals = strchr(*p, '=');

                if (!equals)
                        return ctl_bad_reply(-EBADMSG);
                if (ctl->json == CTL_JSON_OFF) {
                        (void) puts(*p);
                        continue;
                }
                *equals = '\0';
                if (json->len > 1)
                        g_string_append_c(json, ',');
                json_append_string(json, *p);
                g_string_append_c(json, ':');
                json_append_string(json, equals + 1);
        }
        g_string_append_c(json, '}');
        if (ctl->json != CTL_JSON_OFF)
                json_print(json->str, ctl->json);
        return CTL_EXIT_OK;
}

CtlExit verb_env(Ctl *ctl, int argc, char *argv[]) {
        static const struct {
                const char *name, *arguments;
                int min, max;
                CtlExit (*run)(Ctl *ctl, char *const *arguments);
        } actions[] = {
                { "list", "no argument", 0, 0, env_list },
                { "get", "NAME", 1, 1, env_get },
                { "set", "NAME VALUE or NAME=VALUE...", 1, INT_MAX, env_set },
                { "unset", "NAME...", 1, INT_MAX, env_unset },
        };
        CtlExit e = CTL_EXIT_OK;

        /* A value may begin with "-". */
        if (ctl_getopt(ctl, argc, argv, "+", NULL, &e) == CTL_OPTION_EXIT)
                return e;
        const char *name = optind < argc ? argv[optind++] : "list";
        for (size_t i = 0; i < ELEMENTSOF(actions); i++) {
                const int n = argc - optind;

                if (strcmp(actions[i].name, name) != 0)
                        continue;
                if (n < actions[i].min || n > actions[i].max)
                        return ctl_usage("env", "env %s takes %s", name, actions[i].arguments);
                return actions[i].run(ctl, argv + optind);
        }
        return ctl_usage("env", "env takes get, set, unset or list, not \"%s\"", name);
}
