/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>

#include "base/time-util.h"
#include "client/event-feed.h"
#include "client/node-client.h"
#include "client/position.h"
#include "client/properties.h"
#include "client/timer.h"
#include "notify/notify-watch.h"
#include "proto/node-names.h"
#include "util/autoptr.h"
#include "util/log.h"

#define SAVE_DELAY_USEC USEC_PER_SEC

typedef struct Fired {
        char *epoch;
        uint64_t seq, timeout_usec;
} Fired;

static const Property fired_details[] = {
        { "epoch", "s", offsetof(Fired, epoch) },
        { "seq", "t", offsetof(Fired, seq) },
        { "timeout-usec", "t", offsetof(Fired, timeout_usec) },
};

static void fired_clear(Fired *fired) {
        properties_clear(fired_details, ELEMENTSOF(fired_details), fired);
}

static void fired_move(Fired *to, Fired *from) {
        fired_clear(to);
        *to = *from;
        *from = (Fired){};
}

struct NotifyWatch {
        sd_bus *bus;
        char *instance, *bus_name, *place, *file;
        const NotifyWatchHandlers *handlers;
        void *userdata;
        sd_event_source *save;

        EventFeed *feed;
        Position read;            /* the last event that was read */
        Position saved;           /* what the file says */
        uint64_t started_usec;    /* CLOCK_REALTIME; what is older has happened before */
        uint64_t not_before_usec; /* CLOCK_REALTIME; nobody is told of what is older */
        Away away;

        /* A monitor that fires may end the service before it can be asked for the event. */
        char *owner; /* of the name, as the bus knows it; NULL: nobody */
        Fired fired; /* what was signalled last */
        Fired told;  /* what was told without having been read */

        int state_fd;
        bool user, has_history, save_pending;
};

/* -- the position -- */

void notify_watch_save(NotifyWatch *w) {
        const uint64_t first = seq_first(w->handlers->first_seq(w, w->userdata), w->away.seq);
        const uint64_t seq = first != 0 ? first - 1 : w->read.seq;

        if (!w->read.epoch || event_feed_is_beginning(w->feed) ||
                (w->saved.seq == seq && g_strcmp0(w->saved.epoch, w->read.epoch) == 0))
                return;
        const Position position = { .epoch = w->read.epoch, .seq = seq };
        if (position_save(w->state_fd, w->file, &position) >= 0)
                position_set(&w->saved, position.epoch, position.seq);
}

static int watch_on_save(sd_event_source *s, uint64_t usec, void *userdata) {
        NotifyWatch *w = userdata;

        w->save_pending = false;
        notify_watch_save(w);
        return 0;
}

void notify_watch_shown(NotifyWatch *w) {
        if (!w->save_pending)
                w->save_pending = timer_start(w->save, SAVE_DELAY_USEC) >= 0;
}

/* -- events -- */

static int watch_on_event(const NodeEvent *event, sd_bus_message *m, void *userdata) {
        g_autoptr(Incident) incident = NULL;
        NotifyWatch *w = userdata;

        int r = incident_read(event, m, &incident);
        if (r < 0)
                return r;
        if (w->read.epoch && !g_str_equal(w->read.epoch, event->epoch)) {
                w->away.seq = 0;
                w->handlers->epoch(w, w->userdata);
        }
        position_set(&w->read, event->epoch, event->seq);
        notify_watch_shown(w);
        if (event->realtime_usec < w->not_before_usec ||
                (event->seq == w->told.seq && g_strcmp0(event->epoch, w->told.epoch) == 0))
                return 0;
        if (event->realtime_usec < w->started_usec) {
                away_add(&w->away, incident);
                return 0;
        }
        Note *note = note_new_incident(incident);
        if (note)
                w->handlers->note(w, incident->role, note, w->userdata);
        return 0;
}

static void watch_on_news(void *userdata) {
        NotifyWatch *w = userdata;

        event_feed_read(w->feed);
}

static void watch_on_caught_up(void *userdata) {
        NotifyWatch *w = userdata;

        notify_watch_shown(w); /* what was before needs not be read again */
        Note *note = away_take(&w->away);
        if (note)
                w->handlers->note(w, NOTIFY_SUBJECT_AWAY, note, w->userdata);
}

static void watch_on_begins(uint64_t realtime_usec, void *userdata) {
        NotifyWatch *w = userdata;

        w->not_before_usec = realtime_usec;
}

static const EventFeedHandlers feed_handlers = {
        .event = watch_on_event,
        .news = watch_on_news,
        .caught_up = watch_on_caught_up,
        .begins = watch_on_begins,
};

/* -- a monitor that ends the service -- */

/* Only what the service itself has said counts: everybody can send a message with this content to us. */
static int watch_on_fired(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *sender = sd_bus_message_get_sender(m);
        NotifyWatch *w = userdata;
        Fired fired = {};

        if (!w->owner || g_strcmp0(sender, w->owner) != 0)
                return 0;
        int r = sd_bus_message_skip(m, "t");
        if (r >= 0)
                r = properties_read(m, fired_details, ELEMENTSOF(fired_details), &fired);
        if (r >= 0)
                fired_move(&w->fired, &fired);
        fired_clear(&fired);
        return 0;
}

static void watch_tell_fired(NotifyWatch *w) {
        const bool read = g_strcmp0(w->fired.epoch, w->read.epoch) == 0 && w->fired.seq <= w->read.seq;
        const Incident incident = {
                .realtime_usec = now_usec(CLOCK_REALTIME),
                .signal = (char *) "MonitorTimedOut",
                .role = (char *) "",
                .kinds = INCIDENT_BIT(INCIDENT_MONITOR),
                .timeout_usec = w->fired.timeout_usec,
        };

        if (!w->fired.epoch || read)
                return;
        w->handlers->note(w, "", note_new_incident(&incident), w->userdata);
        fired_move(&w->told, &w->fired);
}

static int watch_on_owner(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        NotifyWatch *w = userdata;
        const char *name, *old, *new;

        if (sd_bus_message_read(m, "sss", &name, &old, &new) < 0)
                return 0;
        g_free(w->owner);
        w->owner = new[0] ? g_strdup(new) : NULL;
        if (!w->owner)
                watch_tell_fired(w);
        return 0;
}

static int watch_begin_owner(NotifyWatch *w) {
        sd_bus_creds *creds = NULL;
        const char *owner;

        int r = node_subscribe_owner(w->bus, w->bus_name, watch_on_owner, w);
        if (r >= 0)
                r = sd_bus_match_signal(w->bus, NULL, w->bus_name, NODE_PATH, NODE_INTERFACE,
                        "MonitorTimedOut", watch_on_fired, w);
        if (r >= 0 && sd_bus_get_name_creds(w->bus, w->bus_name, SD_BUS_CREDS_UNIQUE_NAME, &creds) >= 0 &&
                sd_bus_creds_get_unique_name(creds, &owner) >= 0)
                w->owner = g_strdup(owner);
        sd_bus_creds_unref(creds);
        return r;
}

/* -- */

static char *place_of(bool user, const char *instance) {
        if (g_str_equal(instance, NODE_DEFAULT_INSTANCE))
                return user ? g_strdup("Your own roles") : NULL;
        return g_strdup_printf(user ? "Your own instance %s" : "Instance %s", instance);
}

int notify_watch_new(sd_bus *bus, bool user, const char *instance, int state_fd,
        const NotifyWatchHandlers *handlers, void *userdata, NotifyWatch **ret) {
        NotifyWatch *w = g_new0(NotifyWatch, 1);

        w->bus = sd_bus_ref(bus);
        w->user = user;
        w->instance = g_strdup(instance);
        w->bus_name = node_bus_name(instance);
        w->place = place_of(user, instance);
        w->file = g_strdup_printf("%s-%s", user ? "user" : "system", instance);
        w->handlers = handlers;
        w->userdata = userdata;
        w->state_fd = state_fd;
        w->started_usec = now_usec(CLOCK_REALTIME);
        int r = position_load(state_fd, w->file, &w->saved);
        if (r < 0 && r != -ENOENT)
                log_warning_errno(r,
                        "Cannot read which event of %s was the last one, beginning with what comes now: %m",
                        w->file);
        w->has_history = r >= 0;
        if (w->has_history)
                position_set(&w->read, w->saved.epoch, w->saved.seq);
        r = timer_new(sd_bus_get_event(bus), &w->save, 0, watch_on_save, w);
        if (r >= 0)
                r = watch_begin_owner(w);
        if (r >= 0)
                r = event_feed_new(
                        bus, w->bus_name, w->has_history ? &w->saved : NULL, &feed_handlers, w, &w->feed);
        if (r < 0) {
                log_error_errno(r, "Cannot watch %s: %m", w->bus_name);
                (void) notify_watch_free(w);
                return r;
        }
        event_feed_read(w->feed);
        *ret = w;
        return 0;
}

NotifyWatch *notify_watch_free(NotifyWatch *w) {
        if (!w)
                return NULL;
        w->save = sd_event_source_disable_unref(w->save);
        (void) event_feed_free(w->feed);
        position_clear(&w->read);
        position_clear(&w->saved);
        away_clear(&w->away);
        fired_clear(&w->fired);
        fired_clear(&w->told);
        g_free(w->owner);
        g_free(w->instance);
        g_free(w->bus_name);
        g_free(w->place);
        g_free(w->file);
        sd_bus_unref(w->bus);
        g_free(w);
        return NULL;
}

bool notify_watch_has_history(const NotifyWatch *w) {
        return w->has_history;
}

sd_bus *notify_watch_bus(const NotifyWatch *w) {
        return w->bus;
}

bool notify_watch_is_user(const NotifyWatch *w) {
        return w->user;
}

const char *notify_watch_instance(const NotifyWatch *w) {
        return w->instance;
}

const char *notify_watch_bus_name(const NotifyWatch *w) {
        return w->bus_name;
}

const char *notify_watch_place(const NotifyWatch *w) {
        return w->place;
}
