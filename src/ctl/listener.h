/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* An event listener of supervisord at our standard input and output, for "monitor --format=supervisor". To it
 * we are supervisord: it says READY, gets one event, and answers with a RESULT. An event that it does not
 * accept comes again. architectctl(1) says which event is which. */

#include <systemd/sd-event.h>

#include "client/events.h"
#include "ctl/ctl.h"
#include "ctl/event-info.h"

typedef struct Listener {
        Ctl *ctl;
        sd_event *event; /* as long as there is a connection to the service */
        sd_event_source *input;
        GString *said;    /* what was read, and not used yet */
        GString *pending; /* the event that it has not accepted yet, or nothing */
        bool ready;       /* it waits for an event */
        bool told;        /* it has got the pending one */
        bool ended;       /* nothing comes from it any more */
        bool *wake;       /* set when something comes */
        uint64_t n;       /* of the events that it has got */
} Listener;

void listener_init(Listener *l, Ctl *ctl);
void listener_clear(Listener *l);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Listener, listener_clear)

/* Waits for both from now on: the service, to which there is a connection, and the listener. An event that is
 * pending outlives the connection. */
CtlExit listener_attach(Listener *l);
void listener_detach(Listener *l);

/* Handles what the service sends until *news is true, which it also is when the listener has said something.
 * listener_flush() then fails if that was wrong. */
CtlExit listener_run_until(Listener *l, bool *news);

/* Hands over an event, and returns when the listener has accepted it. One that supervisord does not have is
 * left out. */
CtlExit listener_tell(Listener *l, const NodeEvent *event, const EventInfo *info);

/* Goes on with the event that is pending, if there is one. */
CtlExit listener_flush(Listener *l);
