/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "client/events.h"
#include "client/json.h"

void event_reader_clear(EventReader *reader) {
        g_clear_pointer(&reader->epoch, g_free);
}

void event_reader_set(EventReader *reader, const char *epoch, uint64_t seq) {
        char *copy = g_strdup(epoch ?: ""); /* it may be the one that is freed now */

        g_free(reader->epoch);
        *reader = (EventReader){ .epoch = copy, .seq = seq };
}

int event_reader_append(const EventReader *reader, sd_bus_message *call, uint32_t max) {
        return sd_bus_message_append(call, "stu", reader->epoch, reader->seq, max);
}

static int reader_read_event(
        EventReader *reader, sd_bus_message *m, const EventHandlers *handlers, void *userdata) {
        NodeEvent event = { .epoch = reader->epoch };

        int r = sd_bus_message_read(m, "ttss", &event.seq, &event.realtime_usec, &event.signal, &event.role);
        if (r < 0)
                return r;
        if (event.seq <= reader->seq)
                return sd_bus_message_skip(m, "a{sv}");
        if (event.seq > reader->seq + 1)
                handlers->lost(reader->epoch, reader->seq + 1, event.seq - 1, userdata);
        reader->seq = event.seq;
        return handlers->event(&event, m, userdata);
}

/* Returns whether it has changed. */
static bool reader_set_epoch(
        EventReader *reader, const char *epoch, const EventHandlers *handlers, void *userdata) {
        if (strcmp(reader->epoch, epoch) == 0)
                return false;
        const bool changed = reader->epoch[0];
        g_autofree char *old = g_steal_pointer(&reader->epoch);
        reader->epoch = g_strdup(epoch);
        if (changed) {
                handlers->epoch(epoch, old, reader->seq, userdata);
                reader->seq = 0;
        }
        return changed;
}

int event_reader_read(
        EventReader *reader, sd_bus_message *reply, const EventHandlers *handlers, void *userdata) {
        const char *epoch;
        int complete, n = 0;

        /* The reader does not move by what it cannot read. */
        if (sd_bus_message_has_signature(reply, "sba(ttssa{sv})") <= 0)
                return -EBADMSG;
        int r = sd_bus_message_read(reply, "sb", &epoch, &complete);
        if (r < 0)
                return r;
        const bool changed = reader_set_epoch(reader, epoch, handlers, userdata);
        r = sd_bus_message_enter_container(reply, 'a', "(ttssa{sv})");
        while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'r', "ttssa{sv}")) > 0) {
                r = reader_read_event(reader, reply, handlers, userdata);
                if (r >= 0)
                        r = sd_bus_message_exit_container(reply);
                n++;
        }
        /* Those in between were reported by their numbers. A new epoch is never complete. */
        const bool unsaved = n == 0 && !complete && !changed;
        if (r >= 0 && unsaved && !reader->unsaved)
                handlers->unsaved(reader->seq, userdata);
        reader->unsaved = unsaved;
        return r < 0 ? r : n;
}

int event_append_json(GString *json, const NodeEvent *event, sd_bus_message *m, const char *details) {
        int r = 0;

        g_string_append_printf(json, "{\"seq\":%" PRIu64 ",\"epoch\":", event->seq);
        json_append_string(json, event->epoch);
        g_string_append_printf(json, ",\"realtime-usec\":%" PRIu64 ",\"signal\":", event->realtime_usec);
        json_append_string(json, event->signal);
        g_string_append(json, ",\"role\":");
        json_append_string(json, event->role);
        g_string_append(json, ",\"details\":");
        if (m)
                r = json_append_value(json, m);
        else
                g_string_append(json, details);
        g_string_append_c(json, '}');
        return r;
}
