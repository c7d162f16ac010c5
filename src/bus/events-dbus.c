/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* EventsSince returns the events that a client has missed. This file also verifies which events the bus has
 * read. */

#include <inttypes.h>

#include "bus/bus-util.h"
#include "bus/clients-private.h"
#include "util/log.h"

#define EVENTS_SINCE_MAX 1000U /* in one reply, because the loop is blocked while it is composed */

typedef struct Replay {
        sd_bus_message *reply;
        uint64_t expected; /* the next sequence number if no event is missing */
        uint32_t left;
        bool complete;
} Replay;

static int events_dbus_append(void *userdata, const Event *event) {
        Replay *replay = userdata;

        if (replay->left == 0)
                return 1;
        replay->left--;

        int r = sd_bus_message_open_container(replay->reply, 'r', "ttssa{sv}");
        if (r >= 0)
                r = sd_bus_message_append(replay->reply, "ttss", event->sequence, event->realtime_usec,
                        event_type_to_string(event->type), event->role);
        if (r >= 0)
                r = bus_append_gvariant(replay->reply, event->details);
        if (r >= 0)
                r = sd_bus_message_close_container(replay->reply);
        return r < 0 ? r : 0;
}

/* The reply begins with the information whether an event is missing. */
static int events_dbus_find_gap(void *userdata, const Event *event) {
        Replay *replay = userdata;

        if (replay->left == 0)
                return 1;
        replay->left--;
        if (event->sequence != replay->expected)
                replay->complete = false;
        replay->expected = event->sequence + 1;
        return 0;
}

static int events_method_since(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Clients *clients = userdata;
        Events *events = clients->node->events;
        g_autoptr(sd_bus_message) reply = NULL;
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

        Replay replay = { .expected = after + 1, .left = max, .complete = same };
        (void) events_read(events, after, events_dbus_find_gap, &replay);
        if (replay.left > 0 && replay.expected <= events_sequence(events))
                replay.complete = false; /* the newest event was not saved */

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_append(reply, "sb", epoch, (int) replay.complete);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(ttssa{sv})");
        replay.reply = reply;
        replay.left = max;
        if (r >= 0)
                r = events_read(events, after, events_dbus_append, &replay);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_message_send(reply);
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
