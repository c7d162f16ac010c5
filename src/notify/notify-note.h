/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a person is told at a time: one incident, or the answer to what he has clicked; and several of them
 * for the same role, which are one notification. All texts are plain. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/incident.h"

typedef struct Note {
        unsigned rank; /* 0 is the most important one */
        bool critical; /* nothing comes back by itself */
        bool follows;  /* it belongs to the end of the role before it, and is not counted beside that */
        char *summary; /* one line */
        char *reason;
        uint64_t seq; /* of the event; 0: of none */
        uint64_t realtime_usec;
} Note;

/* The one of two numbers of events that comes first; 0 is none. */
uint64_t seq_first(uint64_t a, uint64_t b);

Note *note_free(Note *note);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Note, note_free)

/* Returns NULL if nobody is told of it. */
Note *note_new_incident(const Incident *incident);
/* The service, or systemd, has refused what was clicked. */
Note *note_new_refused(const char *summary, const char *reason, uint64_t realtime_usec);

/* Some notes for one role, of which the most important one is told and the others are counted. Empty if note
 * is NULL. */
typedef struct Batch {
        Note *note;
        char *end;           /* the reason of the newest one that has a number of its own */
        unsigned n;          /* how many it stands for */
        uint64_t since_usec; /* CLOCK_REALTIME of the first one */
        uint64_t seq;        /* of the first event; 0: of none */
} Batch;

void batch_clear(Batch *batch);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Batch, batch_clear)

/* Takes the note. */
void batch_add(Batch *batch, Note *note);
/* Takes what is in an older one, and leaves that empty. */
void batch_add_older(Batch *batch, Batch *older);

/* Returns what is under the summary. place is the instance in words, and status the text that the role has
 * sent last; each may be NULL. With markup the text is escaped for a notification daemon that shows markup.
 * The caller frees it. */
char *batch_body(const Batch *batch, const char *place, const char *status, bool markup);

/* What has happened while nobody was told, in one note for an instance. */
typedef struct Away {
        GHashTable *roles; /* how often, by the name */
        unsigned n;
        bool critical;
        uint64_t since_usec, seq;
} Away;

void away_clear(Away *away);
void away_add(Away *away, const Incident *incident);
/* Returns NULL if nothing has happened, and begins anew. */
Note *away_take(Away *away);
