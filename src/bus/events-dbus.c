/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* EventsSince: what a client has missed; and how far the bus itself has got. */

#include <inttypes.h>

#include "bus/clients-private.h"
#include "bus/bus-util.h"
#include "util/log.h"

#define EVENTS_SINCE_MAX 1000U /* in one reply: the loop stands still while it is made */

typedef struct Replay {
        sd_bus_message *reply;
        uint64_t expected; /* the next number, if none is missing */
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

/* Whether any is missing comes first in the reply. */
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
                after = 0; /* what was missed of another epoch nobody knows any more: this one from its beginning */
        max = max == 0 ? EVENTS_SINCE_MAX : MIN(max, EVENTS_SINCE_MAX);

        Replay replay = { .expected = after + 1, .left = max, .complete = same };
        (void) events_read(events, after, events_dbus_find_gap, &replay);
        if (replay.left > 0 && replay.expected <= events_sequence(events))
                replay.complete = false; /* the newest could not be saved */

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

/* What is written into the socket may be lost yet: when a process dies with something unread in its socket, the bus daemon gets
 * ECONNRESET and throws away what it has not read either (unix(7); Linux unix_release_sock()). It takes its messages in their order:
 * an answer to whatever question says that it has taken those before. */

static int events_dbus_on_confirmed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Clients *clients = userdata;
        uint64_t sequence = clients->confirming;
        const sd_bus_error *e = sd_bus_message_get_error(m);

        clients->confirming = 0;
        /* Any answer of the bus will do, but not those that sd-bus makes itself: at the end of the connection, and when none came in time. */
        if (!e || (sd_bus_is_open(clients->bus) > 0 &&
                          !sd_bus_error_has_names(e, SD_BUS_ERROR_NO_REPLY, SD_BUS_ERROR_TIMEOUT)))
                events_set_sent(clients->node->events, sequence);
        return 0;
}

void events_dbus_confirm(Clients *clients) {
        const uint64_t told = events_told(clients->node->events);

        /* One question at a time; what is told meanwhile is asked about together. */
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
                SD_BUS_RESULT("s", epoch, "b", complete, "a(ttssa{sv})", events), events_method_since,
                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

int events_dbus_register(Clients *clients) {
        return clients_add_vtable(clients, events_vtable);
}
