/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The events of one instance of the node as they come, page by page, for as long as the program runs, over
 * restarts of the service and of its log. Of the node it only ever calls EventsSince, and never starts the
 * service by a call. It holds no event: what its owner has no time for waits in the log of the node. */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "client/events.h"
#include "client/position.h"

typedef struct EventFeed EventFeed;

typedef struct EventFeedHandlers {
        /* The next event, as in EventHandlers; an error ends the page, which is read again from there. */
        int (*event)(const NodeEvent *event, sd_bus_message *m, void *userdata);
        /* There may be something to read. If the owner has time, now or later, it calls event_feed_read(). */
        void (*news)(void *userdata);
        /* Everything was read; what comes now is new. news() follows. */
        void (*caught_up)(void *userdata);
        /* Nobody wants to be told what was before this time of CLOCK_REALTIME, since the service does not
         * know the position. */
        void (*begins)(uint64_t realtime_usec, void *userdata);
} EventFeedHandlers;

/* Begins after this position, or with what comes now if it is NULL, which begins() says. The bus must be
 * attached to the loop, and the handlers and the name must live as long. Calls no handler but begins() before
 * it returns. Returns a negative errno. */
int event_feed_new(sd_bus *bus, const char *bus_name, const Position *position,
        const EventFeedHandlers *handlers, void *userdata, EventFeed **ret);

/* The bus must not be dispatched any more. */
EventFeed *event_feed_free(EventFeed *feed);

/* Reads the next page if there may be one. */
void event_feed_read(EventFeed *feed);

/* Since begins() not everything was read that was before. A position in the middle of it must not be saved:
 * the next process would take the rest for what happened while nobody was there. */
bool event_feed_is_beginning(const EventFeed *feed);

/* Takes no reply any more. */
void event_feed_stop(EventFeed *feed);
