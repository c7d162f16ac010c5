/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <inttypes.h>

#include "alert/alert-command.h"
#include "alert/alert-event.h"
#include "alert/alert-settings.h"
#include "alert/alert-watch.h"
#include "base/time-util.h"
#include "client/event-feed.h"
#include "client/node-client.h"
#include "client/position.h"
#include "client/timer.h"
#include "proto/node-names.h"
#include "util/autoptr.h"
#include "util/log.h"

/* What is older tells nobody anything new, when this program was stopped for a night. */
#define AGE_MAX_USEC (600 * USEC_PER_SEC)
#define SAVE_DELAY_USEC USEC_PER_SEC
#define RETRY_USEC USEC_PER_SEC
/* systemd does not answer while it executes itself anew. */
#define START_TRIES_MAX 10U

struct AlertWatch {
        sd_bus *bus;
        char *instance, *bus_name, *host;
        GPtrArray *alerts; /* not owned */
        sd_event_source *save, *retry;
        AlertWatchStopped stopped; /* NULL: it is not to stop */
        void *userdata;

        Position position; /* the last event that is done */
        EventFeed *feed;
        uint64_t not_before_usec; /* CLOCK_REALTIME; 0: what is not too old */
        uint64_t n_old;

        GQueue events;     /* of Incident *; the first one is being handled */
        GPtrArray *starts; /* of Start *, whose commands systemd has not taken yet, for the first one */

        /* The groups of roles, if an alert asks for them: char ** by the name of the role. */
        GHashTable *groups;
        sd_bus_slot *groups_call;

        int state_fd;
        unsigned n_started; /* for the first event */
        bool matched;       /* the alerts for the first event are known */
        bool paused;        /* a call has failed; nothing is called before the next attempt */
        bool position_dirty;
        bool ended;
};

static void watch_pump(AlertWatch *w);

/* -- the position -- */

static void watch_save(AlertWatch *w) {
        if (w->position_dirty && !event_feed_is_beginning(w->feed) &&
                position_save(w->state_fd, w->instance, &w->position) >= 0)
                w->position_dirty = false;
}

static int watch_on_save(sd_event_source *s, uint64_t usec, void *userdata) {
        watch_save(userdata);
        return 0;
}

static void watch_set_position(AlertWatch *w, const char *epoch, uint64_t seq, bool now) {
        const bool dirty = w->position_dirty;

        position_set(&w->position, epoch, seq);
        w->position_dirty = true;
        if (now || (!dirty && timer_start(w->save, SAVE_DELAY_USEC) < 0))
                watch_save(w);
}

/* -- calls that fail -- */

static bool error_is_gone(const sd_bus_error *error) {
        return sd_bus_error_has_names(error, SD_BUS_ERROR_NO_REPLY, SD_BUS_ERROR_SERVICE_UNKNOWN,
                SD_BUS_ERROR_NAME_HAS_NO_OWNER, SD_BUS_ERROR_DISCONNECTED);
}

static void watch_retry_later(AlertWatch *w) {
        if (!w->paused)
                w->paused = timer_start(w->retry, RETRY_USEC) >= 0;
}

static int watch_on_retry(sd_event_source *s, uint64_t usec, void *userdata) {
        AlertWatch *w = userdata;

        w->paused = false;
        watch_pump(w);
        return 0;
}

/* -- the commands -- */

/* The commands of an alert for the first event. */
typedef struct Start {
        AlertWatch *watch;
        Alert *alert;
        sd_bus_slot *slot; /* NULL before the next attempt */
        unsigned n_tries;
} Start;

static void start_free(void *p) {
        Start *start = p;

        sd_bus_slot_unref(start->slot);
        g_free(start);
}

static const Incident *watch_first(const AlertWatch *w) {
        return w->events.head->data;
}

static int watch_on_started(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const sd_bus_error *failure = sd_bus_message_get_error(m);
        Start *start = userdata;
        AlertWatch *w = start->watch;
        Alert *alert = start->alert;
        const Incident *event = watch_first(w);

        start->slot = sd_bus_slot_unref(start->slot);
        if (error_is_gone(failure) && start->n_tries < START_TRIES_MAX) {
                watch_retry_later(w);
                return 0;
        }
        if (sd_bus_error_has_name(failure, "org.freedesktop.systemd1.UnitExists"))
                /* The reply to an earlier attempt was lost. */
                log_debug("The command of alert %s for event %" PRIu64 " runs already", alert->name,
                        event->seq);
        else if (failure)
                log_error("Cannot run the command of alert %s for event %" PRIu64 " of %s: %s", alert->name,
                        event->seq, w->instance, failure->message ?: failure->name);
        else
                alert->n_suppressed = 0;
        (void) g_ptr_array_remove(w->starts, start);
        watch_pump(w);
        return 0;
}

static void start_try(Start *start) {
        AlertWatch *w = start->watch;
        g_autoptr(sd_bus_message) call = NULL;

        start->n_tries++;
        int r = alert_command_new(w->bus, start->alert, watch_first(w), w->instance, w->host, &call);
        if (r >= 0)
                r = sd_bus_call_async(w->bus, &start->slot, call, watch_on_started, start, 0);
        if (r < 0) {
                log_error_errno(r, "Cannot run the command of alert %s for event %" PRIu64 " of %s: %m",
                        start->alert->name, watch_first(w)->seq, w->instance);
                (void) g_ptr_array_remove(w->starts, start);
        }
}

/* Each one that fails removes itself. */
static void watch_try_starts(AlertWatch *w) {
        for (unsigned i = w->starts->len; i > 0; i--) {
                Start *start = g_ptr_array_index(w->starts, i - 1);

                if (!start->slot)
                        start_try(start);
        }
}

static void watch_match(AlertWatch *w) {
        const Incident *event = watch_first(w);
        char *const *groups = g_hash_table_lookup(w->groups, event->role);
        const uint64_t now = now_usec(CLOCK_MONOTONIC);

        for (unsigned i = 0; i < w->alerts->len; i++) {
                Alert *alert = g_ptr_array_index(w->alerts, i);

                if (!alert_matches(alert, event->kinds, w->instance, event->role, groups))
                        continue;
                if (alert_take(alert, now)) {
                        Start *start = g_new(Start, 1);

                        *start = (Start){ .watch = w, .alert = alert };
                        g_ptr_array_add(w->starts, start);
                        if (alert->n_suppressed > 0)
                                log_notice("Alert %s was suppressed %" PRIu64 " times", alert->name,
                                        alert->n_suppressed);
                } else if (alert->n_suppressed == 1)
                        log_warning("Alert %s has reached its rate limit of %" PRIu32
                                    " and is suppressed from event %" PRIu64 " of %s on",
                                alert->name, alert->rate_burst, event->seq, w->instance);
        }
        w->n_started = w->starts->len;
        w->matched = true;
}

/* -- groups of roles -- */

static bool watch_needs_groups(const AlertWatch *w) {
        for (unsigned i = 0; i < w->alerts->len; i++)
                if (((const Alert *) g_ptr_array_index(w->alerts, i))->groups[0])
                        return true;
        return false;
}

/* A role that was removed at its end is asked when it begins. */
static bool event_needs_groups(const AlertWatch *w, const Incident *event) {
        return event->role[0] && !event->old &&
               (g_str_equal(event->signal, "RoleStarted") ||
                       (event->kinds && !g_hash_table_contains(w->groups, event->role)));
}

static int watch_on_groups(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        AlertWatch *w = userdata;
        const Incident *event = watch_first(w);
        g_auto(GStrv) names = NULL;
        char **found = NULL;

        w->groups_call = sd_bus_slot_unref(w->groups_call);
        int r = sd_bus_message_is_method_error(m, NULL) ? -ENOENT
                                                        : sd_bus_message_enter_container(m, 'v', "as");
        if (r >= 0)
                r = sd_bus_message_read_strv(m, &found);
        if (r >= 0) {
                names = g_strdupv(found ?: (char *[]){ NULL });
                g_hash_table_replace(w->groups, g_strdup(event->role), g_steal_pointer(&names));
        }
        for (char **name = found; name && *name; name++)
                free(*name);
        free(found);
        w->matched = false;
        watch_match(w);
        watch_pump(w);
        return 0;
}

/* Returns whether the call is on its way. */
static bool watch_ask_groups(AlertWatch *w) {
        _cleanup_free_ char *path = role_object_path(watch_first(w)->role);
        g_autoptr(sd_bus_message) call = NULL;

        int r = !path ? -ENOMEM
                      : sd_bus_message_new_method_call(
                                w->bus, &call, w->bus_name, path, "org.freedesktop.DBus.Properties", "Get");
        if (r >= 0)
                r = sd_bus_message_set_auto_start(call, false);
        if (r >= 0)
                r = sd_bus_message_append(call, "ss", NODE_ROLE_INTERFACE, "RoleGroups");
        return r >= 0 && sd_bus_call_async(w->bus, &w->groups_call, call, watch_on_groups, w, 0) >= 0;
}

/* -- one event after the other -- */

static void event_free(void *p) {
        (void) incident_free(p);
}

/* Returns whether the first event is done. */
static bool watch_handle_first(AlertWatch *w) {
        if (!w->matched) {
                if (w->groups_call)
                        return false;
                if (watch_needs_groups(w) && event_needs_groups(w, watch_first(w)) && watch_ask_groups(w))
                        return false;
                watch_match(w);
        }
        watch_try_starts(w);
        return w->starts->len == 0;
}

static void watch_end_first(AlertWatch *w) {
        g_autoptr(Incident) event = g_queue_pop_head(&w->events);

        if (g_str_equal(event->signal, "RolePurged"))
                (void) g_hash_table_remove(w->groups, event->role);
        watch_set_position(w, event->epoch, event->seq, w->n_started > 0);
        w->matched = false;
        w->n_started = 0;
}

/* -- reading events -- */

static int watch_on_event(const NodeEvent *event, sd_bus_message *m, void *userdata) {
        const uint64_t now = now_usec(CLOCK_REALTIME);
        AlertWatch *w = userdata;
        Incident *e;

        int r = incident_read(event, m, &e);
        if (r < 0)
                return r;
        e->old = event->realtime_usec < w->not_before_usec;
        if (!e->old && now > AGE_MAX_USEC && event->realtime_usec < now - AGE_MAX_USEC) {
                e->old = true;
                w->n_old += e->kinds != 0;
        }
        if (e->old)
                e->kinds = 0;
        g_queue_push_tail(&w->events, e);
        return 0;
}

/* Nobody wants to be told what was before. */
static void watch_on_begins(uint64_t realtime_usec, void *userdata) {
        AlertWatch *w = userdata;

        w->not_before_usec = realtime_usec;
}

static void watch_on_caught_up(void *userdata) {
        AlertWatch *w = userdata;

        if (w->n_old > 0)
                log_notice("%" PRIu64 " events of %s are more than %u minutes old and raise no alert",
                        w->n_old, w->instance, (unsigned) (AGE_MAX_USEC / (60 * USEC_PER_SEC)));
        w->n_old = 0;
        watch_save(w);
}

static void watch_on_news(void *userdata) {
        watch_pump(userdata);
}

static const EventFeedHandlers feed_handlers = {
        .event = watch_on_event,
        .news = watch_on_news,
        .caught_up = watch_on_caught_up,
        .begins = watch_on_begins,
};

static void watch_pump(AlertWatch *w) {
        while (w->events.head && (!w->stopped || w->matched || w->groups_call)) {
                if (w->paused || !watch_handle_first(w))
                        return;
                watch_end_first(w);
        }
        if (!w->stopped) {
                event_feed_read(w->feed);
                return;
        }
        event_feed_stop(w->feed);
        watch_save(w);
        if (!w->ended)
                w->stopped(w->userdata);
        w->ended = true;
}

void alert_watch_stop(AlertWatch *w, AlertWatchStopped stopped, void *userdata) {
        w->stopped = stopped;
        w->userdata = userdata;
        watch_pump(w);
}

/* -- */

static void groups_free(void *p) {
        g_strfreev(p);
}

int alert_watch_new(sd_bus *bus, const char *instance, const char *host, GPtrArray *alerts, int state_fd,
        AlertWatch **ret) {
        g_autoptr(AlertWatch) w = g_new0(AlertWatch, 1);

        w->bus = sd_bus_ref(bus);
        w->instance = g_strdup(instance);
        w->bus_name = node_bus_name(instance);
        w->host = g_strdup(host);
        w->alerts = alerts;
        w->state_fd = state_fd;
        w->starts = g_ptr_array_new_with_free_func(start_free);
        w->groups = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, groups_free);
        int r = position_load(state_fd, instance, &w->position);
        if (r < 0 && r != -ENOENT)
                log_warning_errno(r,
                        "Cannot read which event of %s was the last one, beginning with what comes now: %m",
                        instance);
        const Position *after = r < 0 ? NULL : &w->position;
        r = timer_new(sd_bus_get_event(bus), &w->save, 0, watch_on_save, w);
        if (r >= 0)
                r = timer_new(sd_bus_get_event(bus), &w->retry, 0, watch_on_retry, w);
        if (r >= 0)
                r = event_feed_new(bus, w->bus_name, after, &feed_handlers, w, &w->feed);
        if (r < 0)
                return log_error_errno(r, "Cannot watch %s: %m", w->bus_name);
        event_feed_read(w->feed);
        *ret = g_steal_pointer(&w);
        return 0;
}

AlertWatch *alert_watch_free(AlertWatch *w) {
        if (!w)
                return NULL;
        w->save = sd_event_source_disable_unref(w->save);
        w->retry = sd_event_source_disable_unref(w->retry);
        sd_bus_slot_unref(w->groups_call);
        g_ptr_array_unref(w->starts);
        g_hash_table_unref(w->groups);
        g_queue_clear_full(&w->events, event_free);
        (void) event_feed_free(w->feed);
        position_clear(&w->position);
        g_free(w->instance);
        g_free(w->bus_name);
        g_free(w->host);
        sd_bus_unref(w->bus);
        g_free(w);
        return NULL;
}
