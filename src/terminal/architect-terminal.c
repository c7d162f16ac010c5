/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* architect-terminal reads the pseudo-terminal of one role, or the pipe of its output, shows it to clients,
 * and exits with the role. architect-keeper starts it, and starts another one if it dies. See
 * proto/terminal-protocol.h. */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/parse-util.h"
#include "base/stderr-log.h"
#include "config.h"
#include "terminal/terminal-loop.h"

static int terminal_parse_fd(const char *text) {
        uint32_t fd;

        if (parse_u32(text, &fd) < 0 || fd > INT32_MAX || fcntl((int) fd, F_GETFD) < 0) {
                log_error("\"%s\" is not an open descriptor", text);
                return -EBADF;
        }
        return (int) fd;
}

static void terminal_help(void) {
        (void) printf("architect-terminal --master=FD --control=FD --output=FD [--timestamps] ROLE\n\n"
                      "Drains the terminal of a role of architect-node, or the pipe of its output.\n"
                      "architect-keeper starts it.\n");
}

int main(int argc, char *argv[]) {
        enum { ARG_VERSION = 0x100, ARG_MASTER, ARG_CONTROL, ARG_OUTPUT, ARG_TIMESTAMPS };
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, ARG_VERSION },
                { "master", required_argument, NULL, ARG_MASTER },
                { "control", required_argument, NULL, ARG_CONTROL },
                { "output", required_argument, NULL, ARG_OUTPUT },
                { "timestamps", no_argument, NULL, ARG_TIMESTAMPS },
                { 0 },
        };
        static Terminal terminal;
        int c, r, master = -EBADF, control = -EBADF, output = -EBADF;
        bool timestamps = false;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'h':
                        terminal_help();
                        return EXIT_SUCCESS;
                case ARG_VERSION:
                        (void) printf("architect-terminal %s\n", PROJECT_VERSION);
                        return EXIT_SUCCESS;
                case ARG_MASTER:
                        master = terminal_parse_fd(optarg);
                        break;
                case ARG_CONTROL:
                        control = terminal_parse_fd(optarg);
                        break;
                case ARG_OUTPUT:
                        output = terminal_parse_fd(optarg);
                        break;
                case ARG_TIMESTAMPS:
                        timestamps = true;
                        break;
                default:
                        return EXIT_FAILURE;
                }
        if (master < 0 || control < 0 || output < 0 || optind + 1 != argc) {
                log_error("The usage is wrong, see architect-terminal --help");
                return EXIT_FAILURE;
        }

        (void) signal(SIGPIPE, SIG_IGN);
        (void) signal(SIGHUP, SIG_IGN);
        (void) prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);

        r = terminal_init(&terminal, master, control, output, timestamps);
        if (r >= 0)
                r = terminal_run(&terminal);
        if (r < 0)
                log_error("The terminal of role %s cannot continue: %s", argv[optind], strerror(-r));
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
