/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The verbs "signal", "freeze" and "thaw". */

#include <limits.h>
#include <string.h>

#include "base/parse-util.h"
#include "ctl/connection.h"
#include "ctl/details.h"
#include "ctl/managed.h"
#include "ctl/verb.h"
#include "util/autoptr.h"

/* -- calls that a lease may demand more of -- */

static CtlExit send_change(Ctl *ctl, sd_bus_message *call) {
        int r = ctl_append_change(ctl, call);
        return r < 0 ? ctl_cannot_send(r) : ctl_send(ctl, call, NULL);
}

static CtlExit send_signal(Ctl *ctl, const char *role, const char *to, int signo) {
        g_autofree char *method = ctl_change_name(ctl, "Signal");
        g_autoptr(sd_bus_message) call = NULL;

        CtlExit e = ctl_new_call(ctl, &call, method, "ssi", role, to, signo);
        return e == CTL_EXIT_OK ? send_change(ctl, call) : e;
}

static CtlExit send_freeze(Ctl *ctl, const char *verb, const char *role) {
        g_autofree char *method = ctl_change_name(ctl, verb);
        g_autoptr(sd_bus_message) call = NULL;

        CtlExit e = ctl_new_call(ctl, &call, method, "s", role);
        return e == CTL_EXIT_OK ? send_change(ctl, call) : e;
}

/* -- the verbs -- */

CtlExit verb_signal(Ctl *ctl, int argc, char *argv[]) {
        enum { ARG_TO = CTL_OPTION_OWN, ARG_FORCE };
        static const struct option options[] = {
                { "to", required_argument, NULL, ARG_TO },
                { "force", no_argument, NULL, ARG_FORCE },
                { 0 },
        };
        const char *to = "main";
        CtlExit e = CTL_EXIT_OK;
        bool force = false;
        int c, signo;

        while ((c = ctl_getopt(ctl, argc, argv, NULL, options, &e)) >= 0)
                if (c == ARG_FORCE)
                        force = true;
                else
                        to = optarg;
        if (c == CTL_OPTION_EXIT)
                return e;
        e = ctl_check_arguments(argc, argv, 2, 2);
        if (e != CTL_EXIT_OK)
                return e;
        if (strcmp(to, "main") != 0 && strcmp(to, "all") != 0)
                return ctl_usage("signal",
                        "--to=%s: there are main (the main process) and all (every process of the role)", to);
        if (parse_signal(argv[optind + 1], &signo) < 0)
                return ctl_usage("signal", "\"%s\" is no signal, as HUP, SIGUSR1, RTMIN+3 or 15 are",
                        argv[optind + 1]);
        char *const role[] = { argv[optind], NULL };
        e = ctl_check_managed(ctl, "signal", role, force);
        return e == CTL_EXIT_OK ? send_signal(ctl, role[0], to, signo) : e;
}

static CtlExit call_each(Ctl *ctl, int argc, char *argv[], const char *method) {
        enum { ARG_FORCE = CTL_OPTION_OWN };
        static const struct option options[] = {
                { "force", no_argument, NULL, ARG_FORCE },
                { 0 },
        };
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        CtlExit e = CTL_EXIT_OK;
        bool force = false;
        int c;

        while ((c = ctl_getopt(ctl, argc, argv, NULL, options, &e)) >= 0)
                force = true;
        if (c != CTL_OPTION_EXIT)
                e = ctl_check_arguments(argc, argv, 1, INT_MAX);
        if (c == CTL_OPTION_EXIT || e != CTL_EXIT_OK)
                return e;
        CtlExit first = ctl_select_names(ctl, argv + optind, false, names);
        char *const *roles = (char *const *) names->pdata;
        e = ctl_check_managed(ctl, argv[0], roles, force);
        if (e != CTL_EXIT_OK)
                return e;
        for (; *roles; roles++) {
                e = send_freeze(ctl, method, *roles);
                if (first == CTL_EXIT_OK)
                        first = e;
        }
        return first;
}

CtlExit verb_freeze(Ctl *ctl, int argc, char *argv[]) {
        return call_each(ctl, argc, argv, "Freeze");
}

CtlExit verb_thaw(Ctl *ctl, int argc, char *argv[]) {
        return call_each(ctl, argc, argv, "Thaw");
}
