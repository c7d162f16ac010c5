/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What our services that are clients of the node do before, around and after their loops. Each function
 * returns a negative errno after logging, if it says nothing else. */

#include <stdbool.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

/* Reads --help, which prints this text, --version and --debug, and an option of the program itself, whose
 * value may be left out: its name, or NULL, and *ret_own is its value, empty without one, or unchanged.
 * Returns a negative number to continue, or the exit status. */
int program_parse_options(int argc, char **argv, const char *help, const char *own, const char **ret_own);

/* SIGTERM and SIGINT are for the loop, and no write to what nobody reads ends the process. Before the first
 * thread. */
int program_block_signals(void);

/* Opens the directory of StateDirectory= of this unit, and removes what an interrupted save has left there.
 * Returns -EINVAL if systemd has set none, which no other start changes. The caller closes *ret_fd. */
int program_open_state(const char *unit, int *ret_fd);

/* Makes the loop, whose handler gets SIGTERM and SIGINT, and connects it to the bus of the system. When that
 * ends, so does the loop: systemd starts the next process when there is a bus again, and the node keeps its
 * events. The caller unrefs both, also on failure, where one of them may be NULL. */
int program_open_bus(
        sd_event_signal_handler_t on_stop, void *userdata, sd_event **ret_event, sd_bus **ret_bus);

/* Connects the same loop to the bus of the user, too. */
int program_open_user_bus(sd_event *event, sd_bus **ret_bus);

/* Tells systemd that the program is ready, and what else the caller says, and runs the loop. Returns its exit
 * code. */
int program_run_loop(sd_event *event, const char *ready, int (*loop)(sd_event *event));

/* The exit status for what has become of it: -EINVAL is what another start does not change. */
int program_exit_status(int r);
