/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* This verb connects our terminal to the terminal of a role. The service opens that, or the process that has
 * started us has opened it (a window). */

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/parse-util.h"
#include "ctl/connection.h"
#include "ctl/managed.h"
#include "ctl/terminal.h"
#include "ctl/verb.h"
#include "util/autoptr.h"

static CtlExit attach_parse_socket(const char *text, int *ret) {
        uint32_t fd;
        int type;
        socklen_t size = sizeof(type);

        if (parse_u32(text, &fd) < 0 || fd > INT32_MAX ||
                getsockopt((int) fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
                return ctl_usage("attach", "\"%s\" is not the descriptor of a socket", text);
        *ret = (int) fd;
        return CTL_EXIT_OK;
}

/* Parses "^]", a single character, or "none". */
static CtlExit attach_parse_escape(const char *text, int *ret) {
        if (strcmp(text, "none") == 0)
                *ret = TERMINAL_ESCAPE_NONE;
        else if (text[0] == '^' && text[1] >= '@' && text[1] <= '_' && !text[2])
                *ret = text[1] & 0x1f;
        else if (text[0] == '^' && text[1] >= 'a' && text[1] <= 'z' && !text[2])
                *ret = text[1] & 0x1f;
        else if (text[0] && !text[1])
                *ret = (unsigned char) text[0];
        else
                return ctl_usage("attach",
                        "the key of --escape= is \"%s\", but must be a character, ^ and a character, or none",
                        text);
        return CTL_EXIT_OK;
}

static CtlExit attach_parse_arguments(
        Ctl *ctl, Terminal *t, bool *replay, bool *force, int argc, char *argv[], bool *done) {
        enum { ARG_ESCAPE = CTL_OPTION_OWN, ARG_NO_REPLAY, ARG_FD, ARG_SIZE_FD, ARG_FORCE };
        static const struct option options[] = {
                { "escape", required_argument, NULL, ARG_ESCAPE },
                { "no-replay", no_argument, NULL, ARG_NO_REPLAY },
                { "fd", required_argument, NULL, ARG_FD },
                { "size-fd", required_argument, NULL, ARG_SIZE_FD },
                { "force", no_argument, NULL, ARG_FORCE },
                { 0 },
        };
        CtlExit e = CTL_EXIT_OK;
        int c = 0;

        while (e == CTL_EXIT_OK && (c = ctl_getopt(ctl, argc, argv, NULL, options, &e)) >= 0)
                switch (c) {
                case ARG_ESCAPE:
                        e = attach_parse_escape(optarg, &t->escape);
                        break;
                case ARG_NO_REPLAY:
                        *replay = false;
                        break;
                case ARG_FORCE:
                        *force = true;
                        break;
                case ARG_FD:
                        e = attach_parse_socket(optarg, &t->fd);
                        break;
                default:
                        e = attach_parse_socket(optarg, &t->size_fd);
                        break;
                }
        *done = c == CTL_OPTION_EXIT;
        if (*done || e != CTL_EXIT_OK)
                return e;

        if (argc - optind != (t->fd >= 0 ? 0 : 1) || (t->size_fd >= 0 && t->fd < 0))
                return ctl_usage("attach", "attach needs either a role or --fd=");
        t->role = argv[optind]; /* NULL after the last one */
        return ctl->host ? ctl_refuse_place(ctl, "attach") : CTL_EXIT_OK;
}

CtlExit verb_attach(Ctl *ctl, int argc, char *argv[]) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        bool replay = true, force = false, done = false;
        g_auto(Terminal) t;

        terminal_init(&t, NULL);
        CtlExit e = attach_parse_arguments(ctl, &t, &replay, &force, argc, argv, &done);
        if (e != CTL_EXIT_OK || done)
                return e;
        if (t.role) {
                e = ctl_connect(ctl);
                if (e == CTL_EXIT_OK && force)
                        e = ctl_check_managed(ctl, "attach", (char *const[]){ (char *) t.role, NULL }, force);
                if (e == CTL_EXIT_OK && terminal_open(ctl, &t, replay, &error) < 0)
                        e = ctl_report(ctl, t.role, &error);
        }
        return e == CTL_EXIT_OK ? terminal_show(&t, t.role && t.input_is_terminal && !ctl->quiet) : e;
}
