/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Lifecycle events: what has happened, with numbers that go on over restarts of the service. One number an event, never
 * reused, never two. An event is in the log before anybody hears of it, so what a crash keeps from the bus is told by the
 * next process, with the same number, and a client that was away can ask for what it missed.
 *
 * The file "events" in the runtime directory holds the epoch, the newest number, and how far the bus has taken them; its space is
 * there from the beginning. The events themselves are in the log (event-log.h). */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-id128.h>

#include "base/string-table.h"
#include "model/model-forward.h"

typedef enum EventType {
        EVENT_ROLE_STARTED,
        EVENT_ROLE_EXITED,
        EVENT_ROLE_PURGED,
        EVENT_MONITOR_TIMED_OUT,
        EVENT_SHUTTING_DOWN,
        _EVENT_TYPE_MAX,
        _EVENT_TYPE_INVALID = -EINVAL,
} EventType;

/* As the signals are named. */
DECLARE_STRING_TABLE(event_type, EventType);

typedef struct Event {
        EventType type;
        uint64_t sequence;
        uint64_t realtime_usec;
        char *role;        /* "": none */
        GVariant *details; /* a{sv}: all there is to say of it */
} Event;

void event_clear(Event *event);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Event, event_clear)

/* One of its details, or the fallback (""). The string lives as long as the event. */
uint64_t event_get_u64(const Event *event, const char *key);
int64_t event_get_i64(const Event *event, const char *key, int64_t fallback);
bool event_get_bool(const Event *event, const char *key);
const char *event_get_string(const Event *event, const char *key);

/* Opens or begins the count in this directory (-1: keep it in memory only, for tests). A file that cannot be read is set aside and a new
 * epoch begins. */
int events_open(int dir_fd, Events **ret);
Events *events_close(Events *events);

sd_id128_t events_epoch(const Events *events);
uint64_t events_sequence(const Events *events);
/* The oldest that can be read again; 0: there is none. */
uint64_t events_first(const Events *events);

/* Takes the next number and puts it into the log. On failure (no space) the event has its number all the same, which is
 * saved, but no successor of this process can tell it again. Takes the details if they are floating. */
int events_add(Events *events, EventType type, const char *role, GVariant *details, Event *ret);

/* A saved role knows this number: never give it out again, whatever the file says. */
void events_seen(Events *events, uint64_t sequence);

/* This one, and all before it, have been told; that is not saved: the bus may still have to take them. */
void events_set_told(Events *events, uint64_t sequence);
uint64_t events_told(const Events *events);
/* The bus has taken this one, and all before it. They will not be told again. */
void events_set_sent(Events *events, uint64_t sequence);
uint64_t events_sent(const Events *events);

/* Calls for each event after this number, oldest first, until it returns nonzero: that is returned then. */
typedef int (*EventReader)(void *userdata, const Event *event);
int events_read(Events *events, uint64_t after, EventReader reader, void *userdata);
