/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "base/time-util.h"
#include "notify/notify-note.h"

/* A message of the service may contain the output of a program. */
#define REASON_MAX 400U
/* Names in a note about what has happened while nobody was told. */
#define NAMES_MAX 5U

uint64_t seq_first(uint64_t a, uint64_t b) {
        return a == 0 || (b != 0 && b < a) ? b : a;
}

Note *note_free(Note *note) {
        if (!note)
                return NULL;
        g_free(note->summary);
        g_free(note->reason);
        g_free(note);
        return NULL;
}

/* -- one -- */

/* What was answered to a person comes before what happens again and again. */
static unsigned rank_of(IncidentKind kind) {
        return (unsigned) kind + (kind >= INCIDENT_LOST);
}
#define RANK_REFUSED ((unsigned) INCIDENT_LOST)

/* Nothing brings it back by itself: the policy of the role has given up, or who watches the roles is gone. */
static bool kind_is_critical(IncidentKind kind) {
        return kind == INCIDENT_GAVE_UP || kind == INCIDENT_MONITOR;
}

static char *incident_summary(const Incident *incident, IncidentKind kind) {
        if (incident->role[0])
                return g_strconcat(incident->role, " ", incident_verb(kind), NULL);
        return g_strdup(incident->lease ? "A lease has expired" : "The monitor fired");
}

static char *incident_words(const Incident *incident, IncidentKind kind) {
        if (kind != INCIDENT_MONITOR)
                return incident_reason(incident, kind);

        g_autofree char *words = incident_reason(incident, kind);
        return g_strconcat(incident_verb(kind), " ", words, NULL);
}

Note *note_new_incident(const Incident *incident) {
        const IncidentKind kind = incident_kind(incident, INCIDENT_ALL);

        if ((int) kind < 0)
                return NULL;
        Note *note = g_new(Note, 1);
        *note = (Note){
                .rank = rank_of(kind),
                .critical = kind_is_critical(kind),
                .follows = kind == INCIDENT_GAVE_UP,
                .summary = incident_summary(incident, kind),
                .reason = incident_words(incident, kind),
                .seq = incident->seq,
                .realtime_usec = incident->realtime_usec,
        };
        return note;
}

/* One paragraph, and not the whole log of a program. */
static char *shorten(const char *text) {
        g_autofree char *line = g_strdelimit(g_strdup(text), "\n\r\t\v\f", ' ');

        g_strstrip(line);
        if (g_utf8_strlen(line, -1) <= (long) REASON_MAX)
                return g_steal_pointer(&line);
        g_autofree char *begin = g_utf8_substring(line, 0, REASON_MAX);
        return g_strconcat(begin, "...", NULL);
}

Note *note_new_refused(const char *summary, const char *reason, uint64_t realtime_usec) {
        Note *note = g_new(Note, 1);

        *note = (Note){
                .rank = RANK_REFUSED,
                .summary = g_strdup(summary),
                .reason = shorten(reason),
                .realtime_usec = realtime_usec,
        };
        return note;
}

/* -- several -- */

void batch_clear(Batch *batch) {
        (void) note_free(batch->note);
        g_free(batch->end);
        *batch = (Batch){};
}

static void batch_begin(Batch *batch, const Note *note) {
        if (batch->note)
                return;
        batch->since_usec = note->realtime_usec;
        batch->seq = note->seq;
}

/* The newer one of two that are equally important is told. */
static void batch_put(Batch *batch, Note *note) {
        if (!batch->note || note->rank <= batch->note->rank) {
                (void) note_free(batch->note);
                batch->note = note;
        } else
                (void) note_free(note);
}

void batch_add(Batch *batch, Note *note) {
        batch_begin(batch, note);
        if (batch->seq == 0)
                batch->seq = note->seq;
        if (note->follows && batch->end) {
                char *reason = g_strconcat(batch->end, ", ", note->reason, NULL);

                g_free(note->reason);
                note->reason = reason;
        } else
                batch->n++;
        if (!note->follows && note->seq != 0) {
                g_free(batch->end);
                batch->end = g_strdup(note->reason);
        }
        batch_put(batch, note);
}

void batch_add_older(Batch *batch, Batch *older) {
        Batch newer = *batch;

        *batch = *older;
        *older = (Batch){};
        if (!newer.note)
                return;
        batch_begin(batch, newer.note);
        if (batch->seq == 0)
                batch->seq = newer.seq;
        batch->n += newer.n;
        batch_put(batch, g_steal_pointer(&newer.note));
        if (newer.end) {
                g_free(batch->end);
                batch->end = g_steal_pointer(&newer.end);
        }
}

static char *format_time(uint64_t realtime_usec, const char *format) {
        g_autoptr(GDateTime) t = g_date_time_new_from_unix_local((int64_t) (realtime_usec / USEC_PER_SEC));

        return t ? g_date_time_format(t, format) : g_strdup("?");
}

char *batch_body(const Batch *batch, const char *place, const char *status, bool markup) {
        g_autoptr(GString) text = g_string_new(batch->note->reason);

        if (status && status[0]) {
                g_autofree char *line = shorten(status);

                g_string_append_printf(text, "\n\"%s\"", line);
        }
        if (batch->n > 1) {
                g_autofree char *since = format_time(batch->since_usec, "%H:%M:%S");

                g_string_append_printf(text, "\n%u more since %s", batch->n - 1, since);
        }
        if (place)
                g_string_append_printf(text, "\n%s", place);
        return markup ? g_markup_escape_text(text->str, (gssize) text->len)
                      : g_string_free(g_steal_pointer(&text), false);
}

/* -- while nobody was told -- */

void away_clear(Away *away) {
        g_clear_pointer(&away->roles, g_hash_table_unref);
        *away = (Away){};
}

void away_add(Away *away, const Incident *incident) {
        g_autoptr(Note) note = note_new_incident(incident);
        char *name;
        gpointer n;

        if (!note)
                return;
        if (!away->roles) {
                away->roles = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
                away->since_usec = note->realtime_usec;
                away->seq = note->seq;
        }
        away->critical = away->critical || note->critical;
        const char *subject = incident->role[0] ? incident->role : "monitor";
        if (g_hash_table_lookup_extended(away->roles, subject, (gpointer *) &name, &n)) {
                if (note->follows)
                        return;
                g_hash_table_replace(
                        away->roles, g_strdup(subject), GUINT_TO_POINTER(GPOINTER_TO_UINT(n) + 1));
        } else
                g_hash_table_insert(away->roles, g_strdup(subject), GUINT_TO_POINTER(1));
        away->n++;
}

static int compare_names(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

Note *away_take(Away *away) {
        if (away->n == 0)
                return NULL;
        g_autoptr(GString) text = g_string_new(NULL);
        g_autofree char **names = (char **) g_hash_table_get_keys_as_array(away->roles, NULL);
        const unsigned n_names = g_hash_table_size(away->roles);
        g_autofree char *when = format_time(away->since_usec, "%F %H:%M");

        qsort(names, n_names, sizeof(*names), compare_names);
        for (unsigned i = 0; i < MIN(n_names, NAMES_MAX); i++) {
                const unsigned n = GPOINTER_TO_UINT(g_hash_table_lookup(away->roles, names[i]));

                g_string_append_printf(text, "%s%s", i > 0 ? ", " : "", names[i]);
                if (n > 1)
                        g_string_append_printf(text, " (%u times)", n);
        }
        if (n_names > NAMES_MAX)
                g_string_append_printf(text, " and %u more", n_names - NAMES_MAX);
        g_string_append_printf(text, ", since %s", when);
        Note *note = g_new(Note, 1);
        *note = (Note){
                .rank = 0,
                .critical = away->critical,
                .summary = away->n == 1 ? g_strdup("A failure while you were away")
                                        : g_strdup_printf("%u failures while you were away", away->n),
                .reason = g_string_free(g_steal_pointer(&text), false),
                .seq = away->seq,
                .realtime_usec = away->since_usec,
        };
        away_clear(away);
        return note;
}
