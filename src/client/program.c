/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fd-util.h"
#include "base/macro.h"
#include "base/time-util.h"
#include "client/program.h"
#include "config.h"
#include "util/log.h"
#include "util/notify.h"

/* A node that is just starting answers no call before its roles are up to date. */
#define CALL_TIMEOUT_USEC (120 * USEC_PER_SEC)

int program_parse_options(int argc, char **argv, const char *help, const char *own, const char **ret_own) {
        enum { OPTION_VERSION = 0x100, OPTION_DEBUG, OPTION_OWN };
        const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, OPTION_VERSION },
                { "debug", no_argument, NULL, OPTION_DEBUG },
                { own, optional_argument, NULL, OPTION_OWN }, /* without a name it is the end of the list */
                {},
        };

        for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) >= 0;)
                switch (c) {
                case 'h':
                        (void) fputs(help, stdout);
                        return EXIT_SUCCESS;
                case OPTION_VERSION:
                        printf("%s %s\n", program_invocation_short_name, PROJECT_VERSION);
                        return EXIT_SUCCESS;
                case OPTION_DEBUG:
                        log_set_max_level(LOG_DEBUG);
                        break;
                case OPTION_OWN:
                        *ret_own = optarg ?: "";
                        break;
                default:
                        return EXIT_BAD_USAGE;
                }
        if (optind < argc) {
                log_error("Unknown argument: %s", argv[optind]);
                return EXIT_BAD_USAGE;
        }
        return -1;
}

int program_block_signals(void) {
        sigset_t signals;

        (void) sigemptyset(&signals);
        (void) sigaddset(&signals, SIGTERM);
        (void) sigaddset(&signals, SIGINT);
        if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
                return log_error_errno(errno, "Cannot set up signals: %m");
        return 0;
}

int program_open_state(const char *unit, int *ret_fd) {
        const char *directory = g_getenv("STATE_DIRECTORY");

        if (!directory) {
                log_error("There is no $STATE_DIRECTORY, which systemd sets for %s", unit);
                return -EINVAL;
        }
        int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return log_error_errno(errno, "Cannot open %s: %m", directory);
        (void) file_replace_clean(fd);
        *ret_fd = fd;
        return 0;
}

/* r is how opening it went. */
static int program_use_bus(sd_event *event, sd_bus *bus, int r) {
        if (r >= 0)
                r = sd_bus_set_method_call_timeout(bus, CALL_TIMEOUT_USEC);
        if (r >= 0)
                r = sd_bus_set_exit_on_disconnect(bus, true);
        if (r >= 0)
                r = sd_bus_attach_event(bus, event, SD_EVENT_PRIORITY_NORMAL);
        return r < 0 ? log_error_errno(r, "Cannot connect to the bus: %m") : 0;
}

int program_open_bus(
        sd_event_signal_handler_t on_stop, void *userdata, sd_event **ret_event, sd_bus **ret_bus) {
        int r = sd_event_new(ret_event);

        if (r >= 0)
                r = sd_event_add_signal(*ret_event, NULL, SIGTERM, on_stop, userdata);
        if (r >= 0)
                r = sd_event_add_signal(*ret_event, NULL, SIGINT, on_stop, userdata);
        if (r < 0)
                return log_error_errno(r, "Cannot create the event loop: %m");
        r = sd_bus_open_system(ret_bus);
        return program_use_bus(*ret_event, *ret_bus, r);
}

int program_open_user_bus(sd_event *event, sd_bus **ret_bus) {
        int r = sd_bus_open_user(ret_bus);

        return program_use_bus(event, *ret_bus, r);
}

int program_run_loop(sd_event *event, const char *ready, int (*loop)(sd_event *event)) {
        int r = notify_attach(event);

        if (r < 0)
                return log_error_errno(r, "Cannot send notifications: %m");
        notify_sendf("READY=1\n%s", ready);
        log_set_started();
        r = loop(event);
        notify_detach();
        return r < 0 ? log_error_errno(r, "The event loop failed: %m") : r;
}

int program_exit_status(int r) {
        return r == -EINVAL ? EXIT_BAD_USAGE : r < 0 ? EXIT_FAILURE : r;
}
