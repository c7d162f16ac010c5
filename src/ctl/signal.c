/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The verbs "signal", "freeze" and "thaw". */

#include <limits.h>
#include <string.h>

#include "base/parse-util.h"
#include "ctl/connection.h"
#include "ctl/details.h"
#include "ctl/verb.h"

CtlExit verb_signal(Ctl *ctl, int argc, char *argv[]) {
        enum { ARG_TO = CTL_OPTION_OWN };
        static const struct option options[] = {
                { "to", required_argument, NULL, ARG_TO },
                { 0 },
        };
        const char *to = "main";
        CtlExit e = CTL_EXIT_OK;
        int c, signo;

        while ((c = ctl_getopt(ctl, argc, argv, NULL, options, &e)) >= 0)
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
        return ctl_call(ctl, NULL, "Signal", "ssi", argv[optind], to, signo);
}

/* Of patterns and groups those are meant that have not ended. */
static CtlExit call_each(Ctl *ctl, int argc, char *argv[], const char *method) {
        g_autoptr(GPtrArray) roles = NULL, selected = NULL;
        CtlExit e;

        if (!ctl_begin(ctl, argc, argv, 1, INT_MAX, &e))
                return e;
        char *const *words = argv + optind;
        e = ctl_get_details(ctl, words, NULL, &roles);
        if (e != CTL_EXIT_OK)
                return e;
        CtlExit first = ctl_select_details(ctl, words, roles, &selected);
        for (guint i = 0; i < selected->len; i++) {
                const CtlDetails *role = g_ptr_array_index(selected, i);

                if (strcmp(role->state, "ended") == 0 &&
                        !g_strv_contains((const char *const *) words, role->name))
                        continue;
                e = ctl_call(ctl, NULL, method, "s", role->name);
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
