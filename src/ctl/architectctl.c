/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* architectctl, the command line of architect-node. */

#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time-util.h"
#include "ctl/connection.h"
#include "ctl/fan-out.h"
#include "ctl/pager.h"
#include "ctl/verb.h"
#include "ctl/words.h"
#include "proto/node-names.h"

static CtlExit run_verb(Ctl *ctl, int argc, char *argv[]) {
        const CtlVerb *verb = ctl_verb_find(argv[0]);

        if (!verb) {
                const char *names[64] = {}, *nearest;

                for (size_t i = 0; i < n_ctl_verbs; i++)
                        names[i] = ctl_verbs[i].name;
                nearest = words_nearest(argv[0], names);
                return nearest ? ctl_usage(NULL, "there is no verb \"%s\"; did you mean \"%s\"?", argv[0],
                                         nearest)
                               : ctl_usage(NULL, "there is no verb \"%s\"", argv[0]);
        }
        optind = 0; /* getopt() starts again */
        if (verb->looks)
                ctl->auto_start = false;
        /* A verb may change its own. */
        g_autofree char **copy = g_new0(char *, (gsize) argc + 1);
        memcpy(copy, argv, (size_t) argc * sizeof(argv[0]));
        CtlExit e = verb->run(ctl, argc, argv);
        return ctl->hosts && verb->many != CTL_MANY_HOLD && e == CTL_EXIT_OK
                       ? fan_out_run(ctl, verb, argc, copy, fan_out_address)
                       : e;
}

static CtlExit run(Ctl *ctl, int argc, char *argv[]) {
        char *list[] = { (char *) "list", NULL };
        CtlExit e = CTL_EXIT_OK;

        /* The options after the verb are the verb's. */
        if (ctl_getopt(ctl, argc, argv, "+", NULL, &e) == CTL_OPTION_EXIT)
                return e;
        return optind < argc ? run_verb(ctl, argc - optind, argv + optind) : run_verb(ctl, 1, list);
}

/* A full disk loses what was printed, which is a failure, also if only a part of it did not fit into a
 * buffer. */
static CtlExit finish_output(CtlExit e) {
        const bool failed = ferror(stdout) != 0;

        if (fflush(stdout) == 0 && !failed)
                return e;
        return e == CTL_EXIT_OK ? ctl_failed(errno > 0 ? errno : EIO, "write to standard output") : e;
}

int main(int argc, char *argv[]) {
        Ctl ctl = {
                .instance = NODE_DEFAULT_INSTANCE,
                .legend = true,
                .pager = true,
                .ask_password = true,
                .auto_start = true,
        };

        (void) setlocale(LC_ALL, "");
        CtlExit e = run(&ctl, argc, argv);
        e = finish_output(e);
        pager_close();
        ctl_disconnect(&ctl);
        g_clear_pointer(&ctl.host_words, g_ptr_array_unref);
        g_clear_pointer(&ctl.hosts, g_ptr_array_unref);
        return e;
}
