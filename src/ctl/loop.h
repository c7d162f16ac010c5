/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The event loop of verbs that wait for more than a reply: for signals of this process, and descriptors. */

#include <systemd/sd-event.h>

#include "ctl/ctl.h"

/* Makes a loop that handles what the bus sends; connects first. ctl_loop_free() detaches the bus again. */
CtlExit ctl_loop_new(Ctl *ctl, sd_event **ret);
void ctl_loop_free(Ctl *ctl, sd_event *event);

/* Handles events until *done is true. Fails if the connection is lost. */
CtlExit ctl_loop_run(Ctl *ctl, sd_event *event, const bool *done);

/* Blocks a signal and calls the handler for it. With several hosts it does nothing, since the signal ends the
 * process, and none of the threads. */
CtlExit ctl_loop_add_signal(
        Ctl *ctl, sd_event *event, int signo, sd_event_signal_handler_t handler, void *userdata);

/* For a verb that changes the terminal, which must be restored whatever ends it: blocks the signals that do
 * that, and SIGWINCH, and returns a signalfd, or a negative errno. */
int ctl_open_signals(void);

/* Sends a call whose effect does not depend on this program, and waits for the reply as ctl_send() does, but
 * the reply may be an error, which ctl_check_reply() reports. Ctrl-C ends the program, as it does without
 * this, but the user reads that what was asked for goes on. */
CtlExit ctl_send_lasting(Ctl *ctl, sd_bus_message *call, const char *goes_on, sd_bus_message **ret_reply);
CtlExit ctl_check_reply(Ctl *ctl, sd_bus_message *call, sd_bus_message *reply);
