/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The verbs about the service itself: "log-level", "log-to-sve", "reload" and "shutdown". */

#include <stdio.h>
#include <unistd.h>

#include "base/parse-util.h"
#include "base/time-util.h"
#include "client/json.h"
#include "ctl/connection.h"
#include "ctl/definitions.h"
#include "ctl/json.h"
#include "ctl/roles.h"
#include "ctl/verb.h"
#include "util/autoptr.h"

/* How often it is said who is still alive, after the first second. */
#define SHUTDOWN_SAY_USEC (5 * USEC_PER_SEC)

/* -- the log -- */

/* The level is a property of an interface of systemd, which the private socket does not have. */
static CtlExit log_level_show(Ctl *ctl) {
        g_autoptr(sd_bus_message) call = NULL, reply = NULL;
        g_autoptr(GString) json = g_string_new(NULL);
        const char *level;

        CtlExit e = ctl_connect_bus(ctl);
        if (e == CTL_EXIT_OK)
                e = ctl_new_call_of(
                        ctl, &call, "/org/freedesktop/LogControl1", "org.freedesktop.DBus.Properties", "Get");
        if (e != CTL_EXIT_OK)
                return e;
        int r = sd_bus_message_append(call, "ss", "org.freedesktop.LogControl1", "LogLevel");
        if (r < 0)
                return ctl_failed(r, "make a call");
        e = ctl_send(ctl, call, &reply);
        if (e != CTL_EXIT_OK)
                return e;
        r = sd_bus_message_read(reply, "v", "s", &level);
        if (r < 0)
                return ctl_bad_reply(r);
        if (ctl->json == CTL_JSON_OFF)
                (void) puts(level);
        else {
                json_append_string(json, level);
                json_print(json->str, ctl->json);
        }
        return CTL_EXIT_OK;
}

CtlExit verb_log_level(Ctl *ctl, int argc, char *argv[]) {
        CtlExit e;

        if (!ctl_begin(ctl, argc, argv, 0, 1, &e))
                return e;
        return optind < argc ? ctl_call(ctl, NULL, "SetLogLevel", "s", argv[optind]) : log_level_show(ctl);
}

CtlExit verb_log_to_sve(Ctl *ctl, int argc, char *argv[]) {
        bool enabled;
        CtlExit e;

        if (!ctl_begin(ctl, argc, argv, 1, 1, &e))
                return e;
        if (parse_boolean(argv[optind], &enabled) < 0)
                return ctl_usage(argv[0], "\"%s\" is neither yes nor no", argv[optind]);
        return ctl_call(ctl, NULL, "SetLogToSve", "b", (int) enabled);
}

/* -- reload -- */

CtlExit verb_reload(Ctl *ctl, int argc, char *argv[]) {
        g_autoptr(GArray) definitions = NULL;
        CtlExit e;

        if (!ctl_begin(ctl, argc, argv, 0, 0, &e))
                return e;
        e = ctl_call(ctl, NULL, "Reload", NULL);
        if (e == CTL_EXIT_OK)
                e = ctl_list_definitions(ctl, &definitions);
        if (e != CTL_EXIT_OK)
                return e;
        for (guint i = 0; i < definitions->len; i++) {
                const CtlDefinition *d = &g_array_index(definitions, CtlDefinition, i);

                if (!d->error)
                        continue;
                g_autofree char *text = ctl_definition_error(d);
                ctl_error("%s", text);
                e = CTL_EXIT_FAILED;
        }
        if (e != CTL_EXIT_OK)
                ctl_say(ctl, "The configuration and all other definitions were read.");
        return e;
}

/* -- shutdown -- */

typedef struct Shutdown {
        Ctl *ctl;
        GPtrArray *left; /* names of roles that have not ended */
        bool ended;
} Shutdown;

static void shutdown_clear(Shutdown *s) {
        g_clear_pointer(&s->left, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Shutdown, shutdown_clear)

static CtlExit shutdown_list(Shutdown *s) {
        g_autoptr(GArray) roles = NULL;

        CtlExit e = ctl_list_roles(s->ctl, &roles);
        if (e != CTL_EXIT_OK)
                return e;
        for (guint i = 0; i < roles->len; i++) {
                const CtlRole *role = &g_array_index(roles, CtlRole, i);

                if (ctl_role_is_running(role))
                        g_ptr_array_add(s->left, g_strdup(role->name));
        }
        return CTL_EXIT_OK;
}

/* As systemctl, which asks nothing in scripts: only who can be shown the question gets it. */
static CtlExit shutdown_confirm(const Shutdown *s) {
        const guint n = s->left->len;
        char answer[16] = "";

        if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
                return CTL_EXIT_OK;
        (void) fprintf(stderr, "Stop %u role%s and end? [y/N] ", n, n == 1 ? "" : "s");
        if (fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
                return CTL_EXIT_OK;
        ctl_error("nothing was stopped");
        return CTL_EXIT_FAILED;
}

static int shutdown_on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Shutdown *s = userdata;
        const char *role;
        guint i;

        if (sd_bus_message_is_signal(m, NULL, "RoleExited") && sd_bus_message_read(m, "s", &role) >= 0 &&
                g_ptr_array_find_with_equal_func(s->left, role, g_str_equal, &i))
                (void) g_ptr_array_remove_index(s->left, i);
        return 0;
}

static int shutdown_on_owner(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Shutdown *s = userdata;

        s->ended = true;
        return 0;
}

static void shutdown_say_left(const Shutdown *s) {
        g_autoptr(GString) names = g_string_new(NULL);

        for (guint i = 0; i < s->left->len; i++)
                g_string_append_printf(names, " %s", (const char *) s->left->pdata[i]);
        if (names->len > 0)
                ctl_say(s->ctl, "Still running:%s", names->str);
}

/* On a terminal it says from time to time who is still alive. The service is not asked, because a call after
 * its end would start it. */
static CtlExit shutdown_wait(Shutdown *s) {
        uint64_t interval = isatty(STDERR_FILENO) ? USEC_PER_SEC : USEC_INFINITY;
        CtlExit e;

        do {
                e = ctl_run_until_time(s->ctl, &s->ended, usec_add(now_usec(CLOCK_MONOTONIC), interval));
                if (e == CTL_EXIT_OK && !s->ended)
                        shutdown_say_left(s);
                interval = SHUTDOWN_SAY_USEC;
        } while (e == CTL_EXIT_OK && !s->ended);
        return e;
}

static CtlExit shutdown_run(Ctl *ctl, const char *reason, bool block) {
        g_auto(Shutdown) s = { .ctl = ctl, .left = g_ptr_array_new_with_free_func(g_free) };
        CtlExit e = CTL_EXIT_OK;

        if (block)
                e = ctl_subscribe(ctl, shutdown_on_signal, &s);
        if (e == CTL_EXIT_OK && block)
                e = ctl_subscribe_owner(ctl, shutdown_on_owner, &s);
        if (e == CTL_EXIT_OK)
                e = shutdown_list(&s);
        if (e == CTL_EXIT_OK && !ctl->yes && !ctl->many) /* which were asked about before */
                e = shutdown_confirm(&s);
        if (e == CTL_EXIT_OK)
                e = ctl_call(ctl, NULL, "Shutdown", "s", reason);
        return e == CTL_EXIT_OK && block ? shutdown_wait(&s) : e;
}

CtlExit verb_shutdown(Ctl *ctl, int argc, char *argv[]) {
        enum { ARG_NO_BLOCK = CTL_OPTION_OWN };
        static const struct option options[] = {
                { "no-block", no_argument, NULL, ARG_NO_BLOCK },
                { 0 },
        };
        bool block = true;
        CtlExit e = CTL_EXIT_OK;
        int c;

        while ((c = ctl_getopt(ctl, argc, argv, NULL, options, &e)) >= 0)
                block = false;
        if (c != CTL_OPTION_EXIT)
                e = ctl_check_arguments(argc, argv, 0, 1);
        if (c == CTL_OPTION_EXIT || e != CTL_EXIT_OK)
                return e;
        return shutdown_run(ctl, optind < argc ? argv[optind] : "", block);
}
