/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reads the events of a node by their numbers, with EventsSince. A signal only tells that there is something
 * new. So no event is missed or read twice, whether it came before, while the service was restarted, or now,
 * and a signal that somebody has forged shows nothing. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

/* The strings are valid during the call that has it. */
typedef struct NodeEvent {
        uint64_t seq, realtime_usec;
        const char *epoch, *signal;
        const char *role; /* empty if it is an event of the node itself */
} NodeEvent;

/* Where a reader is in the log of a node. Its owner sets epoch and seq. */
typedef struct EventReader {
        char *epoch;  /* of the last event; empty: that of the service */
        uint64_t seq; /* of the last event that was read */

        /* Private. */
        bool unsaved; /* the newest event is lost, which was reported */
} EventReader;

typedef struct EventHandlers {
        /* The reader is at this event already. The handler reads the details, an a{sv}, or skips them, and
         * returns a negative errno to end the page. */
        int (*event)(const NodeEvent *event, sd_bus_message *m, void *userdata);
        /* The service does not have these any more. */
        void (*lost)(const char *epoch, uint64_t from, uint64_t to, void *userdata);
        /* The service could not save the newest events, after this one. lost() follows when there is
         * another. */
        void (*unsaved)(uint64_t seq, void *userdata);
        /* The numbers begin again. Events after this number of the old epoch may be lost. */
        void (*epoch)(const char *epoch, const char *old_epoch, uint64_t old_seq, void *userdata);
} EventHandlers;

void event_reader_clear(EventReader *reader);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(EventReader, event_reader_clear)

/* epoch may be NULL, which is the same as empty. */
void event_reader_set(EventReader *reader, const char *epoch, uint64_t seq);

/* Appends the arguments of EventsSince for what follows. max is 0 for as many as the service gives. */
int event_reader_append(const EventReader *reader, sd_bus_message *call, uint32_t max);

/* Reads a reply of EventsSince, and moves on. Returns the number of events in it, of which 0 means that there
 * are no more, or a negative errno. */
int event_reader_read(
        EventReader *reader, sd_bus_message *reply, const EventHandlers *handlers, void *userdata);

/* Appends an event as an object. Its details follow in the message; without one (NULL) they are this text,
 * which is an object itself. */
int event_append_json(GString *json, const NodeEvent *event, sd_bus_message *m, const char *details);
