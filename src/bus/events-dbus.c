/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* EventsSince returns the events that a client has missed. This file also verifies which events the bus has
 * read. */

#include <inttypes.h>
#include <string.h>

#include "bus/bus-bytes.h"
#include "bus/bus-util.h"
#include "bus/clients-private.h"
#include "bus/event-bytes.h"
#include "util/log.h"

#define EVENTS_SINCE_MAX 1000U /* in one reply, because the loop is blocked while it is composed */

typedef struct Replay {
        BusBytes *bytes;
        uint64_t expected; /* the next sequence number if no event is missing */
        uint32_t left;
        bool complete;
} Replay;

static int events_dbus_append(void *userdata, const EventRecord *record) {
        Replay *replay = userdata;
        const size_t begin = replay->bytes->size;

        if (replay->left == 0)
                return 1;
        if (!event_bytes_append(replay->bytes, record)) {
                replay->bytes->size = begin; /* damaged, so it is missing */
                return 0;
        }
        replay->left--;
        if (record->sequence != replay->expected)
                replay->complete = false;
        replay->expected = record->sequence + 1;
        return 0;
}

static int events_method_since(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Clients *clients = userdata;
        Events *events = clients->node->events;
        g_auto(BusBytes) body = {};
        char epoch[SD_ID128_STRING_MAX];
        const char *their_epoch;
        uint64_t after;
        uint32_t max;

        int r = sd_bus_message_read(m, "stu", &their_epoch, &after, &max);
        if (r < 0)
                return r;

        (void) sd_id128_to_string(events_epoch(events), epoch);
        bool same = their_epoch[0] == '\0' || g_str_equal(their_epoch, epoch);
        if (same && after > events_sequence(events))
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                        "Event %" PRIu64 " has not happened, the newest is %" PRIu64, after,
                        events_sequence(events));
        if (!same)
                /* The events of another epoch are not known any more, so the current epoch is returned from
                 * its beginning. */
                after = 0;
        max = max == 0 ? EVENTS_SINCE_MAX : MIN(max, EVENTS_SINCE_MAX);

        bus_bytes_string(&body, epoch, strlen(epoch));
        bus_bytes_u32(&body, 0);
        const size_t complete = body.size - sizeof(uint32_t), array = bus_bytes_begin_array(&body, 8);
        Replay replay = { .bytes = &body, .expected = after + 1, .left = max, .complete = same };
        /* A client that polls has seen the newest event in most cases. */
        if (after < events_sequence(events))
                (void) events_read_records(events, after, events_dbus_append, &replay);
        if (replay.left > 0 && replay.expected <= events_sequence(events))
                replay.complete = false; /* the newest event was not saved */
        bus_bytes_end_array(&body, array, 8);
        const uint32_t value = replay.complete;
        memcpy(body.data + complete, &value, sizeof(value));
        return clients_reply_bytes(clients, m, "sba(ttssa{sv})", &body);
}

/* -- confirmation -- */

/* Data that were written to the socket may still be lost. If a process dies with unread data in its socket,
 * the bus daemon gets ECONNRESET and discards what it has not read either (unix(7); Linux
 * unix_release_sock()). It handles messages in order, so the reply to any call means that it has read the
 * messages before. */

static int events_dbus_on_confirmed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Clients *clients = userdata;
        uint64_t sequence = clients->confirming;
        const sd_bus_error *e = sd_bus_message_get_error(m);

        clients->confirming = 0;
        /* Any reply of the bus is sufficient, but not the errors that sd-bus itself creates when the
         * connection ends or when no reply came in time. */
        if (!e || (sd_bus_is_open(clients->bus) > 0 &&
                          !sd_bus_error_has_names(e, SD_BUS_ERROR_NO_REPLY, SD_BUS_ERROR_TIMEOUT)))
                events_set_sent(clients->node->events, sequence);
        return 0;
}

void events_dbus_confirm(Clients *clients) {
        const uint64_t told = events_told(clients->node->events);

        /* Only one call is pending at a time. Events that are sent meanwhile are verified together by the
         * next one. */
        if (clients->confirming > 0 || told == events_sent(clients->node->events))
                return;
        int r = sd_bus_call_method_async(clients->bus, NULL, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                "org.freedesktop.DBus", "GetId", events_dbus_on_confirmed, clients, NULL);
        if (r >= 0)
                clients->confirming = told;
        else if (sd_bus_is_open(clients->bus) > 0)
                log_warning_errno(r, "Cannot confirm that the bus has read the last signals, ignoring: %m");
}

void events_dbus_confirm_all(Clients *clients) {
        const uint64_t told = events_told(clients->node->events);

        if (told == events_sent(clients->node->events))
                return;
        int r = bus_round_trip(clients->bus, CLIENTS_END_USEC);
        if (r >= 0)
                events_set_sent(clients->node->events, told);
        else if (r != -ENOTCONN)
                log_warning_errno(
                        r, "The bus has not confirmed that it has read the last signals, ignoring: %m");
}

static const sd_bus_vtable events_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("EventsSince", SD_BUS_ARGS("s", epoch, "t", seq, "u", max),
                SD_BUS_RESULT("s", current_epoch, "b", complete, "a(ttssa{sv})", events), events_method_since,
                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

int events_dbus_register(Clients *clients) {
        return clients_add_vtable(clients, events_vtable);
}
