/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <glib.h>
#include <inttypes.h>

#include "base/time-util.h"
#include "client/event-feed.h"
#include "client/node-client.h"
#include "client/timer.h"
#include "proto/node-errors.h"
#include "proto/node-names.h"
#include "util/autoptr.h"
#include "util/log.h"

/* Events that are read at a time. */
#define PAGE_MAX 100U
#define RETRY_USEC USEC_PER_SEC

struct EventFeed {
        sd_bus *bus;
        const char *bus_name; /* not owned */
        const EventFeedHandlers *handlers;
        void *userdata;

        EventReader reader; /* the last event that was read */
        Position last;      /* the last one that the owner has taken */
        sd_bus_slot *call;
        sd_event_source *retry;

        bool present; /* the service is on the bus */
        bool paused;  /* a call has failed; nothing is called before the next attempt */
        bool news;    /* there may be events that were not read */
        bool warned;
        bool stopped;
        bool beginning; /* since begins(), not everything was read */
};

/* -- a page -- */

static int feed_on_event(const NodeEvent *event, sd_bus_message *m, void *userdata) {
        EventFeed *feed = userdata;

        int r = feed->handlers->event(event, m, feed->userdata);
        if (r >= 0)
                position_set(&feed->last, event->epoch, event->seq);
        return r;
}

static void feed_on_lost(const char *epoch, uint64_t from, uint64_t to, void *userdata) {
        const EventFeed *feed = userdata;

        log_warning(
                "%s does not have the events %" PRIu64 " to %" PRIu64 " any more", feed->bus_name, from, to);
}

static void feed_on_unsaved(uint64_t seq, void *userdata) {
        const EventFeed *feed = userdata;

        log_warning("%s could not save its events after %" PRIu64, feed->bus_name, seq);
}

static void feed_on_epoch(const char *epoch, const char *old_epoch, uint64_t old_seq, void *userdata) {
        const EventFeed *feed = userdata;

        log_debug("The events of %s have a new epoch, %s", feed->bus_name, epoch);
}

static const EventHandlers feed_handlers = {
        .event = feed_on_event,
        .lost = feed_on_lost,
        .unsaved = feed_on_unsaved,
        .epoch = feed_on_epoch,
};

/* -- reading -- */

/* From the first event that the service has; the owner drops those from before. */
static void feed_begin_now(EventFeed *feed) {
        event_reader_set(&feed->reader, "", 0);
        position_set(&feed->last, "", 0);
        feed->news = feed->beginning = true;
        feed->handlers->begins(now_usec(CLOCK_REALTIME), feed->userdata);
}

static void feed_read_failed(EventFeed *feed, const sd_bus_error *failure, int r) {
        /* What was read of a page is with the owner, and what follows is read again. */
        event_reader_set(&feed->reader, feed->last.epoch, feed->last.seq);
        feed->news = true;
        if (!feed->present &&
                sd_bus_error_has_names(failure, SD_BUS_ERROR_NO_REPLY, SD_BUS_ERROR_SERVICE_UNKNOWN,
                        SD_BUS_ERROR_NAME_HAS_NO_OWNER, SD_BUS_ERROR_DISCONNECTED))
                return; /* the bus announces the next one */
        if (!feed->warned && !sd_bus_error_has_name(failure, node_error_to_string(NODE_ERROR_LIMIT_REACHED)))
                log_warning("Cannot read the events of %s, trying again: %s", feed->bus_name,
                        failure ? failure->message ?: failure->name : g_strerror(-r));
        feed->warned = true;
        if (!feed->paused)
                feed->paused = timer_start(feed->retry, RETRY_USEC) >= 0;
}

static int feed_on_retry(sd_event_source *s, uint64_t usec, void *userdata) {
        EventFeed *feed = userdata;

        feed->paused = false;
        feed->handlers->news(feed->userdata);
        return 0;
}

static int feed_on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const sd_bus_error *failure = sd_bus_message_get_error(m);
        EventFeed *feed = userdata;

        feed->call = sd_bus_slot_unref(feed->call);
        if (sd_bus_error_has_name(failure, node_error_to_string(NODE_ERROR_INVALID_ARGS))) {
                log_warning("%s does not know event %" PRIu64 ", beginning with what comes now",
                        feed->bus_name, feed->reader.seq);
                feed_begin_now(feed);
        } else {
                int r = failure ? -EIO : event_reader_read(&feed->reader, m, &feed_handlers, feed);

                if (r < 0)
                        feed_read_failed(feed, failure, r);
                else {
                        feed->warned = false;
                        feed->news = r != 0;
                        if (r == 0) {
                                feed->beginning = false;
                                feed->handlers->caught_up(feed->userdata);
                        }
                }
        }
        feed->handlers->news(feed->userdata);
        return 0;
}

void event_feed_read(EventFeed *feed) {
        g_autoptr(sd_bus_message) call = NULL;

        if (!feed->present || feed->paused || !feed->news || feed->call || feed->stopped)
                return;
        int r = sd_bus_message_new_method_call(
                feed->bus, &call, feed->bus_name, NODE_PATH, NODE_INTERFACE, "EventsSince");
        if (r >= 0)
                r = sd_bus_message_set_auto_start(call, false);
        if (r >= 0)
                r = event_reader_append(&feed->reader, call, PAGE_MAX);
        if (r >= 0)
                r = sd_bus_call_async(feed->bus, &feed->call, call, feed_on_reply, feed, 0);
        if (r < 0)
                feed_read_failed(feed, NULL, r);
}

bool event_feed_is_beginning(const EventFeed *feed) {
        return feed->beginning;
}

void event_feed_stop(EventFeed *feed) {
        feed->stopped = true;
        feed->call = sd_bus_slot_unref(feed->call);
}

/* -- the bus -- */

static int feed_on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        EventFeed *feed = userdata;

        if (sd_bus_message_is_signal(m, NODE_INTERFACE, "LogMessage"))
                return 0;
        feed->news = true;
        feed->handlers->news(feed->userdata);
        return 0;
}

static int feed_on_owner(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        EventFeed *feed = userdata;
        const char *name, *old, *new;

        if (sd_bus_message_read(m, "sss", &name, &old, &new) < 0)
                return 0;
        feed->present = new[0];
        /* What the one before was asked nobody answers. */
        feed->news = true;
        feed->call = sd_bus_slot_unref(feed->call);
        feed->handlers->news(feed->userdata);
        return 0;
}

/* -- */

int event_feed_new(sd_bus *bus, const char *bus_name, const Position *position,
        const EventFeedHandlers *handlers, void *userdata, EventFeed **ret) {
        EventFeed *feed = g_new(EventFeed, 1);

        *feed = (EventFeed){ .bus = sd_bus_ref(bus),
                .bus_name = bus_name,
                .handlers = handlers,
                .userdata = userdata,
                .news = true };
        int r = timer_new(sd_bus_get_event(bus), &feed->retry, 0, feed_on_retry, feed);
        if (r >= 0)
                r = node_subscribe_owner(bus, bus_name, feed_on_owner, feed);
        if (r >= 0)
                r = node_subscribe(bus, bus_name, feed_on_signal, feed);
        if (r < 0) {
                (void) event_feed_free(feed);
                return r;
        }
        if (position) {
                event_reader_set(&feed->reader, position->epoch, position->seq);
                position_set(&feed->last, position->epoch, position->seq);
        } else
                feed_begin_now(feed);
        feed->present = sd_bus_get_name_creds(bus, bus_name, 0, NULL) >= 0;
        *ret = feed;
        return 0;
}

EventFeed *event_feed_free(EventFeed *feed) {
        if (!feed)
                return NULL;
        feed->retry = sd_event_source_disable_unref(feed->retry);
        sd_bus_slot_unref(feed->call);
        event_reader_clear(&feed->reader);
        position_clear(&feed->last);
        sd_bus_unref(feed->bus);
        g_free(feed);
        return NULL;
}
