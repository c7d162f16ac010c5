/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What EventsSince says, and whether it is what the signals have said. */

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

/* One call; the events are appended. Returns how many. */
guint events_since(
        Bus *bus, const char *epoch, guint64 seq, guint32 max, GPtrArray *events, bool *ret_complete);
/* All of them, none of which may be missing; of Replayed. */
GPtrArray *events_all_since(Bus *bus, const char *epoch, guint64 seq);

/* The signal with this number: its details but seq and epoch are the replayed ones. */
void assert_same_as_signal(const Replayed *r, const Event *event);
/* The signals of starts and ends that came to this connection are these events: each number at least once, and always of the
 * same event. Returns how many came twice. */
guint assert_signals_are(Bus *bus, GPtrArray *events);
