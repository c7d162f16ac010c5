/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The verb "logs". journalctl shows them, on the host whose journal it is; this only knows which fields to
 * ask for. Each of them is set by journald itself or is asked for together with one that is, because every
 * user can write messages with an ARCHITECT_ROLE= or with the name of a role as their identifier. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/parse-util.h"
#include "base/unit-name.h"
#include "ctl/baton.h"
#include "ctl/connection.h"
#include "ctl/json.h"
#include "ctl/pager.h"
#include "ctl/remote-run.h"
#include "ctl/roles.h"
#include "ctl/verb.h"
#include "ctl/words.h"
#include "proto/node-names.h"

typedef struct Logs {
        Ctl *ctl;
        GPtrArray *argv; /* of journalctl */
        bool follow;
} Logs;

static void logs_clear(Logs *logs) {
        g_clear_pointer(&logs->argv, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Logs, logs_clear)

static _printf_(2, 3) void logs_add(Logs *logs, const char *format, ...);
static void logs_add(Logs *logs, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        g_ptr_array_add(logs->argv, g_strdup_vprintf(format, ap));
        va_end(ap);
}

/* -- which messages -- */

static const char *logs_unit_field(const Logs *logs) {
        return logs->ctl->user ? "_SYSTEMD_USER_UNIT" : "_SYSTEMD_UNIT";
}

/* Each user has units of these names. */
static void logs_add_user(Logs *logs) {
        if (logs->ctl->user)
                logs_add(logs, "_UID=%u", (unsigned) getuid());
}

/* What the roles have written, in their scopes and in those of their exec-stop-post. */
static void logs_add_output(Logs *logs, char *const *roles) {
        for (; *roles; roles++) {
                _cleanup_free_ char *scope = role_scope_name(logs->ctl->instance, *roles),
                                    *post = role_post_scope_name(logs->ctl->instance, *roles);

                logs_add(logs, "%s=%s", logs_unit_field(logs), scope);
                logs_add(logs, "%s=%s", logs_unit_field(logs), post);
        }
        logs_add_user(logs);
}

/* What the service says about them. */
static void logs_add_service(Logs *logs, char *const *roles) {
        g_autofree char *unit = ctl_unit_name(logs->ctl);

        logs_add(logs, "%s=%s", logs_unit_field(logs), unit);
        logs_add(logs, "ARCHITECT_INSTANCE=%s", logs->ctl->instance);
        for (; *roles; roles++)
                logs_add(logs, "ARCHITECT_ROLE=%s", *roles);
        logs_add_user(logs);
}

/* All roles, also those that the service has forgotten. Only its options know patterns of units. The name of
 * an instance has no "-", so no other one matches. */
static void logs_add_units(Logs *logs) {
        const char *option = logs->ctl->user ? "--user-unit" : "--unit";
        g_autofree char *unit = ctl_unit_name(logs->ctl);

        logs_add(logs, "%s=architect-%s-*.scope", option, logs->ctl->instance);
        logs_add(logs, "%s=%s", option, unit);
}

/* -- roles -- */

static CtlExit logs_check_roles(char *const *roles) {
        for (; *roles; roles++)
                if (!role_name_is_valid(*roles))
                        return ctl_usage("logs",
                                "\"%s\" is not the name of a role; journalctl knows no patterns", *roles);
        return CTL_EXIT_OK;
}

/* The journal has the output of roles that are long forgotten, and of a service that does not run, so an
 * unknown name is no error. But it may be a mistake. */
static void logs_say_unknown(Ctl *ctl, char *const *roles) {
        if (ctl->quiet || !*roles || !ctl_service_runs(ctl))
                return;
        g_auto(GStrv) names = ctl_role_names(ctl, true);
        for (; names && *roles; roles++) {
                const char *nearest = words_nearest(*roles, (const char *const *) names);

                if (g_strv_contains((const char *const *) names, *roles))
                        continue;
                if (nearest)
                        ctl_say(ctl, "There is no role \"%s\" now. Did you mean \"%s\"?", *roles, nearest);
                else
                        ctl_say(ctl, "There is no role \"%s\" now.", *roles);
        }
}

/* -- which journal -- */

static CtlExit logs_check_place(const Ctl *ctl) {
        if (ctl->machine && ctl->user)
                return ctl_usage("logs", "--user and --machine= cannot be used together for logs");
        return CTL_EXIT_OK;
}

/* Of several hosts each line has the host before it, or each value the member "host". */
static CtlExit logs_set_output(Logs *logs, const char *mode) {
        Ctl *ctl = logs->ctl;

        if (!mode && ctl->json != CTL_JSON_OFF)
                mode = ctl->json == CTL_JSON_PRETTY ? "json-pretty" : "json";
        if (ctl->many) {
                if (g_strcmp0(mode, "json-pretty") == 0) {
                        ctl->json = CTL_JSON_PRETTY;
                        mode = "json";
                } else if (g_strcmp0(mode, "json") == 0)
                        ctl->json = CTL_JSON_SHORT;
                else if (mode && (g_str_has_prefix(mode, "json-") || strcmp(mode, "export") == 0))
                        return ctl_usage("logs",
                                "-o %s has no place for the host; give one host, or use -o json", mode);
                else
                        ctl->json = CTL_JSON_OFF;
        }
        if (mode)
                logs_add(logs, "--output=%s", mode);
        return CTL_EXIT_OK;
}

static void logs_add_shared_options(Logs *logs) {
        const Ctl *ctl = logs->ctl;

        if (!ctl->pager || ctl->host)
                logs_add(logs, "--no-pager");
        /* journalctl would say that messages of others are not shown, which nobody has asked for. */
        if (ctl->quiet || ctl->user)
                logs_add(logs, "--quiet");
        if (ctl->machine)
                logs_add(logs, "--machine=%s", ctl->machine);
}

static void logs_on_line(const char *line, size_t size, void *userdata) {
        const Ctl *ctl = userdata;

        if (ctl->json == CTL_JSON_OFF) {
                (void) fwrite(line, 1, size, stdout);
                (void) putchar('\n');
        } else if (size > 0 && line[0] == '{') { /* it may say that there is nothing */
                g_autofree char *json = g_strndup(line, size);
                json_print(json, ctl->json);
        }
}

/* The connection to its bus comes first, which asks for a password if need be, and says why there is none. */
static CtlExit logs_run_there(Logs *logs, char *const *roles) {
        Ctl *ctl = logs->ctl;
        const RemoteRun run = {
                .argv = (const char *const *) logs->argv->pdata,
                .in_turn = !logs->follow,
                .on_line = logs_on_line,
                .userdata = ctl,
        };
        const char *name;

        CtlExit e = ctl_connect_bus(ctl);
        if (e != CTL_EXIT_OK)
                return e;
        int r = WITHOUT_BATON(sd_bus_get_unique_name(ctl->bus, &name));
        if (r < 0) {
                ctl_error("cannot connect to the system bus of %s: %s", ctl->host, strerror(-r));
                return CTL_EXIT_FAILED;
        }
        logs_say_unknown(ctl, roles);
        ctl_disconnect(ctl);
        if (!logs->follow)
                pager_open(ctl);
        return remote_run(ctl, &run);
}

static CtlExit logs_run(Logs *logs, char *const *roles) {
        g_ptr_array_add(logs->argv, NULL);
        if (logs->ctl->host)
                return logs_run_there(logs, roles);
        logs_say_unknown(logs->ctl, roles);
        ctl_disconnect(logs->ctl);
        (void) execvp("journalctl", (char **) logs->argv->pdata);
        return ctl_failed(errno, "run journalctl");
}

/* -- the verb -- */

CtlExit verb_logs(Ctl *ctl, int argc, char *argv[]) {
        enum { ARG_SINCE = CTL_OPTION_OWN };
        static const struct option options[] = {
                { "follow", no_argument, NULL, 'f' },
                { "lines", required_argument, NULL, 'n' },
                { "since", required_argument, NULL, ARG_SINCE },
                { "output", required_argument, NULL, 'o' },
                { 0 },
        };
        g_auto(Logs) logs = { .ctl = ctl, .argv = g_ptr_array_new_with_free_func(g_free) };
        const char *output = NULL;
        CtlExit e = CTL_EXIT_OK;
        uint32_t lines;
        int c;

        /* Without --all it shows the output of a terminal as "[blob data]". */
        logs_add(&logs, "journalctl");
        logs_add(&logs, "--all");
        while ((c = ctl_getopt(ctl, argc, argv, "fn:o:", options, &e)) >= 0)
                switch (c) {
                case 'f':
                        logs_add(&logs, "--follow");
                        logs.follow = true;
                        break;
                case 'n':
                        if (strcmp(optarg, "all") != 0 && parse_u32(optarg, &lines) < 0)
                                return ctl_usage(
                                        argv[0], "-n %s is not a number of lines or \"all\"", optarg);
                        logs_add(&logs, "--lines=%s", optarg);
                        break;
                case ARG_SINCE:
                        logs_add(&logs, "--since=%s", optarg);
                        break;
                default:
                        output = optarg;
                        break;
                }
        if (c == CTL_OPTION_EXIT)
                return e;
        char *const *roles = argv + optind;
        e = logs_check_place(ctl);
        if (e == CTL_EXIT_OK)
                e = logs_check_roles(roles);
        if (e == CTL_EXIT_OK)
                e = logs_set_output(&logs, output);
        if (e != CTL_EXIT_OK)
                return e;
        logs_add_shared_options(&logs);
        if (*roles) {
                logs_add_output(&logs, roles);
                logs_add(&logs, "+");
                logs_add_service(&logs, roles);
        } else
                logs_add_units(&logs);
        return logs_run(&logs, roles);
}
