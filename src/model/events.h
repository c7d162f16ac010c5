/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Lifecycle events have numbers that continue over restarts of the service. A number is never used for a
 * second event. An event is in the log before any client receives it. If a crash prevents the signal, the
 * next process sends it with the same number, and a client that was disconnected can request the events that
 * it missed.
 *
 * The file "events" in the runtime directory contains the epoch, the newest number and the number of the last
 * event that the bus has read. Its space is allocated when it is created. The events themselves are in the
 * log (event-log.h). */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-id128.h>

#include "base/string-table.h"
#include "model/event-record.h"
#include "model/model-forward.h"

typedef enum EventType {
        EVENT_ROLE_STARTED,
        EVENT_ROLE_EXITED,
        EVENT_ROLE_RESTARTING,
        EVENT_ROLE_FAILED,
        EVENT_ROLE_PURGED,
        EVENT_MONITOR_TIMED_OUT,
        EVENT_SHUTTING_DOWN,
        EVENT_LEASE_EXPIRED,
        _EVENT_TYPE_MAX,
        _EVENT_TYPE_INVALID = -EINVAL,
} EventType;

/* The strings are the names of the signals. */
DECLARE_STRING_TABLE(event_type, EventType);

typedef struct Event {
        EventType type;
        uint64_t sequence;
        uint64_t realtime_usec;
        char *role;        /* "" if the event belongs to no role */
        GVariant *details; /* a{sv}, all details */
} Event;

void event_clear(Event *event);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Event, event_clear)

/* Returns one of the details, or the fallback (""). The string is owned by the event. */
uint64_t event_get_u64(const Event *event, const char *key);
int64_t event_get_i64(const Event *event, const char *key, int64_t fallback);
bool event_get_bool(const Event *event, const char *key);
const char *event_get_string(const Event *event, const char *key);

/* Opens or creates the counter in this directory; -1 keeps it in memory only, for tests. A file that cannot
 * be read is renamed, and a new epoch begins. Returns a negative errno. */
int events_open(int dir_fd, Events **ret);
Events *events_close(Events *events);

sd_id128_t events_epoch(const Events *events);
uint64_t events_sequence(const Events *events);
/* Returns the oldest number that can be read again, 0 if there is none. */
uint64_t events_first(const Events *events);

/* Takes the next number and appends the event to the log. If that fails, returns a negative errno (-ENOSPC);
 * the event still has its number, which is saved, but the next process cannot send it again. Consumes a
 * floating reference to the details. */
int events_add(Events *events, EventType type, const char *role, GVariant *details, Event *ret);

/* A saved role contains this number, so it is not used again, whatever the file contains. */
void events_seen(Events *events, uint64_t sequence);

/* Returns whether events of earlier processes are known to be missing, as after damage. Damage of the log is
 * known when it was read. */
bool events_are_lost(const Events *events);

/* For events up to this number a signal was sent. This is not saved, because the bus may not have read them
 * yet. */
void events_set_told(Events *events, uint64_t sequence);
uint64_t events_told(const Events *events);
/* The bus has read the events up to this number. They are not sent again. */
void events_set_sent(Events *events, uint64_t sequence);
uint64_t events_sent(const Events *events);

/* Calls the function for each event after this number, oldest first, until it returns nonzero, and returns
 * that value. */
typedef int (*EventReader)(void *userdata, const Event *event);
int events_read(Events *events, uint64_t after, EventReader reader, void *userdata);

/* The same for the records, in place. Their details are not looked at, so they may still be damaged. */
typedef int (*EventRecordReader)(void *userdata, const EventRecord *record);
int events_read_records(Events *events, uint64_t after, EventRecordReader reader, void *userdata);
