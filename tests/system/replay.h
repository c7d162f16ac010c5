/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The events of EventsSince, and their comparison with the signals. */

#include <glib.h>
#include <stdbool.h>

#include "bus.h"

typedef struct Replayed {
        guint64 seq;
        char *signal;
        char *role;
        GVariant *details;
} Replayed;

void replayed_free(void *data);

char *event_epoch(Bus *bus);
guint64 event_sequence(Bus *bus);

/* Makes one call and appends the events. Returns their number. */
guint events_since(
        Bus *bus, const char *epoch, guint64 seq, guint32 max, GPtrArray *events, bool *ret_complete);
/* Returns all events, none of which may be missing; of Replayed. */
GPtrArray *events_all_since(Bus *bus, const char *epoch, guint64 seq);

/* Checks that the signal with this number has the replayed details, except seq and epoch. */
void assert_same_as_signal(const Replayed *r, const Event *event);
/* Checks that the signals of starts and exits that this connection has received are these events: each number
 * at least once, and always of the same event. Returns the number of repeated ones. */
guint assert_signals_are(Bus *bus, GPtrArray *events);
