/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The signals of org.architect.Node are events on the bus. */

#include "bus/bus-util.h"
#include "bus/clients-private.h"
#include "bus/role-dbus.h"
#include "proto/node-names.h"
#include "util/log.h"

/* Appends the arguments before the details. They depend on the event alone, so that they are the same if it
 * is sent again. */
static int event_signals_append_arguments(sd_bus_message *m, const Event *event) {
        g_autofree char *path = event->role[0] ? role_dbus_path(event->role) : NULL;

        switch (event->type) {
        case EVENT_ROLE_STARTED:
                return sd_bus_message_append(m, "sous", event->role, path,
                        (uint32_t) event_get_i64(event, "pid", 0), event_get_string(event, "scope"));
        case EVENT_ROLE_EXITED:
                return sd_bus_message_append(m, "sosi", event->role, path, event_get_string(event, "code"),
                        (int32_t) event_get_i64(event, "status", -1));
        case EVENT_ROLE_RESTARTING:
                return sd_bus_message_append(m, "sout", event->role, path,
                        (uint32_t) event_get_i64(event, "attempt", 0), event_get_u64(event, "delay-usec"));
        case EVENT_ROLE_FAILED:
                return sd_bus_message_append(m, "sos", event->role, path, event_get_string(event, "result"));
        case EVENT_ROLE_PURGED:
                return sd_bus_message_append(m, "so", event->role, path);
        case EVENT_MONITOR_TIMED_OUT:
                return sd_bus_message_append(m, "t", event_get_u64(event, "timeout-usec"));
        case EVENT_LEASE_EXPIRED:
                return sd_bus_message_append(
                        m, "st", event_get_string(event, "lease"), event_get_u64(event, "timeout-usec"));
        case EVENT_SHUTTING_DOWN:
                return sd_bus_message_append(m, "s", event_get_string(event, "reason"));
        default:
                g_assert_not_reached();
        }
}

void event_signals_send(Clients *clients, const Event *event) {
        g_autoptr(sd_bus_message) m = NULL;
        char epoch[SD_ID128_STRING_MAX];

        int r = sd_bus_message_new_signal(
                clients->bus, &m, NODE_PATH, NODE_INTERFACE, event_type_to_string(event->type));
        if (r >= 0)
                r = event_signals_append_arguments(m, event);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = bus_append_entry(m, "seq", "t", event->sequence);
        if (r >= 0)
                r = bus_append_entry(
                        m, "epoch", "s", sd_id128_to_string(events_epoch(clients->node->events), epoch));
        if (r >= 0)
                r = bus_append_gvariant_elements(m, event->details);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_message_send(m);
        if (r < 0)
                log_error_errno(r, "Cannot send %s: %m", event_type_to_string(event->type));
}
