/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>

#include "base/fd-util.h"
#include "base/time-util.h"
#include "client/program.h"
#include "util/log.h"

/* A node that is just starting answers no call before its roles are up to date. */
#define CALL_TIMEOUT_USEC (120 * USEC_PER_SEC)

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
