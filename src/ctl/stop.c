/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The verbs "stop" and "kill". A stop takes as long as the role's stop timeout, and this waits for it. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/connection.h"
#include "ctl/details.h"
#include "ctl/loop.h"
#include "ctl/managed.h"
#include "ctl/roles.h"
#include "ctl/stop.h"
#include "ctl/verb.h"
#include "proto/node-errors.h"
#include "proto/node-names.h"
#include "util/autoptr.h"

const CtlStop ctl_stop = { "Stop", "StopMany", "stopping",
        "The stop goes on; architectctl list shows what is left, architectctl kill ends it at once." };
const CtlStop ctl_kill = { "Kill", "KillMany", "killing", "The kill goes on." };

/* -- progress -- */

typedef struct Progress {
        sd_bus_slot *slot; /* of the signals */
        GPtrArray *alive;  /* names; NULL: nothing is shown */
        guint total;
        const char *doing;
} Progress;

static void progress_show(const Progress *p) {
        const guint done = p->total - p->alive->len;

        if (p->alive->len > 0)
                (void) fprintf(stderr, "\r\033[K[%u/%u] %.40s: %s", done, p->total,
                        (const char *) g_ptr_array_index(p->alive, 0), p->doing);
        else
                (void) fprintf(stderr, "\r\033[K[%u/%u] %s what they left", done, p->total, p->doing);
}

static int progress_on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Progress *p = userdata;
        const char *role;
        guint i;

        if (sd_bus_message_read_basic(m, 's', &role) <= 0 ||
                !g_ptr_array_find_with_equal_func(p->alive, role, g_str_equal, &i))
                return 0;
        g_ptr_array_remove_index(p->alive, i);
        progress_show(p);
        return 0;
}

static bool roles_have_running(const GArray *roles, const char *name) {
        for (guint i = 0; i < roles->len; i++) {
                const CtlRole *role = &g_array_index(roles, CtlRole, i);

                if (strcmp(role->name, name) == 0)
                        return ctl_role_is_running(role);
        }
        return false;
}

static bool role_runs(Ctl *ctl, const char *name) {
        char *state = NULL;

        int r = ctl_peek_string(ctl, name, "State", &state);
        const bool runs = r >= 0 && strcmp(state, "ended") != 0;
        g_free(state);
        return runs;
}

/* One is asked for alone, several together. Groups and all were expanded to those that run. */
static CtlExit keep_running(Ctl *ctl, char *const *words, GPtrArray *names) {
        g_autoptr(GArray) roles = NULL;
        bool any_name = false;

        for (; *words; words++)
                any_name = any_name || ctl_word_is_name(*words);
        if (!any_name)
                return CTL_EXIT_OK;
        if (names->len == 1) {
                if (!role_runs(ctl, g_ptr_array_index(names, 0)))
                        g_ptr_array_set_size(names, 0);
                return CTL_EXIT_OK;
        }
        CtlExit e = ctl_list_roles(ctl, &roles);
        for (guint i = names->len; roles && i > 0; i--)
                if (!roles_have_running(roles, g_ptr_array_index(names, i - 1)))
                        g_ptr_array_remove_index(names, i - 1);
        return e;
}

/* Only a person sees it. What cannot be shown is no error of the stop. */
static CtlExit progress_begin(Ctl *ctl, const CtlStop *stop, char *const *roles, Progress *p) {
        const char *term = getenv("TERM");

        if (ctl->quiet || ctl->many || !isatty(STDERR_FILENO) || !term || strcmp(term, "dumb") == 0 ||
                !ctl_try_connect_bus(ctl))
                return CTL_EXIT_OK;
        p->alive = g_ptr_array_new_with_free_func(g_free);
        p->doing = stop->doing;
        int r = sd_bus_match_signal(ctl->bus, &p->slot, ctl->bus_name, NODE_PATH, NODE_INTERFACE,
                "RoleExited", progress_on_signal, p);
        if (r < 0)
                return CTL_EXIT_OK;
        CtlExit e = ctl_expand_roles(ctl, roles, p->alive);
        if (e == CTL_EXIT_OK)
                e = keep_running(ctl, roles, p->alive);
        if (e != CTL_EXIT_OK)
                return e;
        p->total = p->alive->len;
        if (p->total > 0)
                progress_show(p);
        return CTL_EXIT_OK;
}

static void progress_end(Progress *p) {
        if (p->total > 0)
                (void) fputs("\r\033[K", stderr);
        (void) sd_bus_slot_unref(p->slot);
        g_clear_pointer(&p->alive, g_ptr_array_unref);
}

/* -- the calls -- */

CtlExit ctl_stop_roles(Ctl *ctl, const CtlStop *stop, char *const *roles) {
        /* One role has its own method, whose errors say more about the rights on that role. */
        const bool one = roles[0] && !roles[1] && roles[0][0] != '@' && !ctl->force;
        g_autoptr(sd_bus_message) call = NULL, reply = NULL;
        Progress p = {};

        CtlExit e = progress_begin(ctl, stop, roles, &p);
        if (e == CTL_EXIT_OK)
                e = one ? ctl_new_call(ctl, &call, stop->one, "s", roles[0])
                        : ctl_new_call_many(ctl, stop->many, roles, &call);
        if (e == CTL_EXIT_OK)
                e = ctl_send_lasting(ctl, call, stop->goes_on, &reply);
        progress_end(&p);
        if (e == CTL_EXIT_OK)
                e = ctl_check_reply(ctl, call, reply);
        return e == CTL_EXIT_OK && !one ? ctl_report_results(ctl, reply) : e;
}

/* -- the verbs -- */

bool ctl_read_roles(Ctl *ctl, int argc, char *argv[], bool *ret_force, CtlExit *ret) {
        enum { ARG_ALL = CTL_OPTION_OWN, ARG_FORCE };
        static const struct option options[] = {
                { "all", no_argument, NULL, ARG_ALL },
                { "force", no_argument, NULL, ARG_FORCE },
                { 0 },
        };
        bool all = false, force = false;
        int c;

        *ret = CTL_EXIT_OK;
        while ((c = ctl_getopt(ctl, argc, argv, NULL, options, ret)) >= 0)
                *(c == ARG_ALL ? &all : &force) = true;
        if (c == CTL_OPTION_EXIT)
                return false;
        if (all && optind < argc)
                *ret = ctl_usage(argv[0], "%s takes either --all or names: \"%s\" is one too many", argv[0],
                        argv[optind]);
        else if (!all && optind == argc)
                *ret = ctl_usage(argv[0], "%s needs ROLE..., @GROUP... or --all", argv[0]);
        *ret_force = force;
        return *ret == CTL_EXIT_OK;
}

static CtlExit stop_words(Ctl *ctl, int argc, char *argv[], const CtlStop *stop) {
        bool force;
        CtlExit e;

        if (!ctl_read_roles(ctl, argc, argv, &force, &e))
                return e;
        e = ctl_check_managed_words(ctl, argv[0], argv + optind, force);
        return e == CTL_EXIT_OK ? ctl_stop_roles(ctl, stop, argv + optind) : e;
}

CtlExit verb_stop(Ctl *ctl, int argc, char *argv[]) {
        return stop_words(ctl, argc, argv, &ctl_stop);
}

CtlExit verb_kill(Ctl *ctl, int argc, char *argv[]) {
        return stop_words(ctl, argc, argv, &ctl_kill);
}
