/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The verb "send". */

#include <limits.h>
#include <unistd.h>

#include "ctl/feed.h"
#include "ctl/loop.h"
#include "ctl/managed.h"
#include "ctl/verb.h"

static CtlExit send_all(Ctl *ctl, Feed *feed) {
        CtlExit e = ctl_loop_new(ctl, &feed->event);
        if (e == CTL_EXIT_OK)
                feed_begin(feed);
        if (e == CTL_EXIT_OK)
                e = ctl_loop_run(ctl, feed->event, &feed->done);
        if (e == CTL_EXIT_OK)
                e = feed->exit;
        feed_clear(feed);
        ctl_loop_free(ctl, feed->event);
        return e;
}

CtlExit verb_send(Ctl *ctl, int argc, char *argv[]) {
        enum { ARG_CLOSE = CTL_OPTION_OWN, ARG_FORCE };
        static const struct option options[] = {
                { "close", no_argument, NULL, ARG_CLOSE },
                { "force", no_argument, NULL, ARG_FORCE },
                { 0 },
        };
        g_autofree Feed *feed = g_new0(Feed, 1);
        g_autofree char *text = NULL;
        CtlExit e = CTL_EXIT_OK;
        bool force = false;
        int c;

        while ((c = ctl_getopt(ctl, argc, argv, NULL, options, &e)) >= 0)
                *(c == ARG_CLOSE ? &feed->close : &force) = true;
        if (c == CTL_OPTION_EXIT)
                return e;
        e = ctl_check_arguments(argc, argv, 1, INT_MAX);
        /* No manager minds the input, but a lease does. */
        if (e == CTL_EXIT_OK && force)
                e = ctl_check_managed(ctl, "send", (char *const[]){ argv[optind], NULL }, force);
        if (e != CTL_EXIT_OK)
                return e;
        if (ctl->many && !argv[optind + 1])
                return ctl_usage("send", "standard input goes to one host only, give TEXT for several");
        feed->ctl = ctl;
        feed->role = argv[optind];
        feed->fd = argv[optind + 1] ? -1 : STDIN_FILENO;
        text = g_strjoinv(" ", argv + optind + 1);
        feed->text = text;
        return send_all(ctl, feed);
}
