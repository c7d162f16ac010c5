/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/time-util.h"
#include "client/events.h"
#include "client/json.h"
#include "client/node-client.h"
#include "client/position.h"
#include "client/properties.h"
#include "client/timer.h"
#include "mqtt/node-watch.h"
#include "mqtt/state-json.h"
#include "mqtt/topics.h"
#include "proto/node-errors.h"
#include "proto/node-names.h"
#include "util/autoptr.h"
#include "util/log.h"

#define OBJECT_MANAGER "org.freedesktop.DBus.ObjectManager"
#define PROPERTIES "org.freedesktop.DBus.Properties"

/* Roles that are read at a time. */
#define READS_MAX 16U
/* More topics of roles that do not exist than this are left alone; no node has had as many roles. */
#define STALE_MAX 65536U
#define SAVE_DELAY_USEC USEC_PER_SEC
#define RETRY_USEC (5 * USEC_PER_SEC)
/* From one batch of reads to the next. The service limits the time that the calls of one user take
 * (MaxCallTimePerUser=), and a role that changes often need not be published each time. */
#define BATCH_USEC (200 * USEC_PER_MSEC)
/* After that limit was reached. */
#define LIMIT_USEC USEC_PER_SEC

typedef struct WatchedRole {
        char *name;
        char *state; /* role_state_json(); NULL if there is no such role (any more) */
        uint64_t seq;
        bool dirty;  /* in NodeWatch.dirty */
        bool unread; /* in NodeWatch.unread */
} WatchedRole;

/* An event that was published. */
typedef struct PublishedEvent {
        int id;
        bool acknowledged;
        char *epoch;
        uint64_t seq;
} PublishedEvent;

struct NodeWatch {
        sd_bus *bus;
        Broker *broker;
        char *base, *instance, *bus_name;
        char *node_topic, *event_topic;
        int state_fd;
        sd_event_source *save, *retry, *batch;
        bool present; /* the service is on the bus */
        bool paused;  /* a call has failed; nothing is read before the next attempt */
        bool resting; /* a batch was read a moment ago */

        /* The roles, by name. A role without a state is here until its topic is removed. */
        GHashTable *roles;
        GQueue unread, dirty; /* of WatchedRole * in roles */
        NodeProperties node;
        char *node_json;
        bool node_dirty, node_unread;
        bool all_unread; /* also the roles that are not known */
        bool roles_known;
        GHashTable *read_slots; /* of Read *, the calls of a batch; none: no batch */
        bool subscribed;
        GHashTable *stale; /* names in topics, before the roles are known */

        /* The events. */
        Position position; /* the last one that was acknowledged */
        bool position_dirty;
        EventReader reader; /* the last one that was published */
        GQueue published;   /* of PublishedEvent *, oldest first */
        sd_bus_slot *events_call;
        unsigned n_reserved;
        bool news; /* there may be events that were not read */
};

/* -- roles -- */

static void role_free(void *p) {
        WatchedRole *role = p;

        g_free(role->name);
        g_free(role->state);
        g_free(role);
}

static WatchedRole *watch_get_role(NodeWatch *w, const char *name) {
        WatchedRole *role = g_hash_table_lookup(w->roles, name);

        if (!role) {
                role = g_new0(WatchedRole, 1);
                role->name = g_strdup(name);
                g_hash_table_insert(w->roles, role->name, role);
        }
        return role;
}

static void role_set_dirty(NodeWatch *w, WatchedRole *role) {
        if (!role->dirty)
                g_queue_push_tail(&w->dirty, role);
        role->dirty = true;
}

static void role_set_unread(NodeWatch *w, WatchedRole *role) {
        if (!role->unread)
                g_queue_push_tail(&w->unread, role);
        role->unread = true;
}

static void role_set_read(NodeWatch *w, WatchedRole *role) {
        if (role->unread)
                (void) g_queue_remove(&w->unread, role);
        role->unread = false;
}

/* Takes the state, which is NULL if there is no such role. */
static void role_set_state(NodeWatch *w, WatchedRole *role, char *state) {
        if (state && g_strcmp0(role->state, state) == 0) {
                g_free(state);
                return;
        }
        g_free(role->state);
        role->state = state;
        role->seq = w->node.event_sequence;
        role_set_dirty(w, role);
}

/* -- reading them -- */

/* The answer to a call of a batch. */
typedef struct Read {
        NodeWatch *watch;
        char *role; /* NULL: the node, or all roles */
        sd_bus_slot *slot;
} Read;

static void read_free(void *p) {
        Read *read = p;

        sd_bus_slot_unref(read->slot);
        g_free(read->role);
        g_free(read);
}

static bool error_is_gone(const sd_bus_error *error) {
        return sd_bus_error_has_names(
                error, SD_BUS_ERROR_NO_REPLY, SD_BUS_ERROR_SERVICE_UNKNOWN, SD_BUS_ERROR_NAME_HAS_NO_OWNER);
}

static void watch_retry_later(NodeWatch *w, uint64_t usec) {
        if (w->paused)
                return;
        w->paused = timer_start(w->retry, usec) >= 0;
}

/* If the service has gone, its next one is announced by the bus. */
static void watch_call_failed(NodeWatch *w, const char *what, const sd_bus_error *error, int r) {
        const char *why = error ? error->message ?: error->name : g_strerror(-r);

        if (error && sd_bus_error_has_name(error, node_error_to_string(NODE_ERROR_LIMIT_REACHED))) {
                log_debug("Cannot read %s of %s yet: %s", what, w->bus_name, why);
                watch_retry_later(w, LIMIT_USEC);
        } else if (!error || !error_is_gone(error)) {
                if (!w->paused)
                        log_warning("Cannot read %s of %s, trying again: %s", what, w->bus_name, why);
                watch_retry_later(w, RETRY_USEC);
        } else if (w->present)
                watch_retry_later(w, RETRY_USEC);
}

static void watch_end_read(Read *read) {
        NodeWatch *w = read->watch;

        (void) g_hash_table_remove(w->read_slots, read);
        if (g_hash_table_size(w->read_slots) > 0)
                return;
        w->resting = timer_start(w->batch, BATCH_USEC) >= 0;
        node_watch_pump(w);
}

/* The numbers of events begin again. */
static void watch_forget_sequence(NodeWatch *w) {
        WatchedRole *role;
        GHashTableIter iter;

        g_hash_table_iter_init(&iter, w->roles);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *) &role)) {
                role->seq = 0;
                role_set_dirty(w, role);
        }
}

static int watch_on_node(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Read *read = userdata;
        NodeWatch *w = read->watch;
        g_autofree char *epoch = g_strdup(w->node.event_epoch);

        int r = sd_bus_message_is_method_error(m, NULL) ? -EIO : node_properties_read(m, &w->node);
        if (r < 0) {
                w->node_unread = true;
                watch_call_failed(w, "the state", sd_bus_message_get_error(m), r);
        } else {
                char *json = node_state_json(&w->node);

                if (epoch && g_strcmp0(epoch, w->node.event_epoch) != 0)
                        watch_forget_sequence(w);
                w->node_dirty = w->node_dirty || g_strcmp0(w->node_json, json) != 0;
                g_free(w->node_json);
                w->node_json = json;
        }
        watch_end_read(read);
        return 0;
}

static int watch_on_role(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        g_auto(RoleProperties) properties = {};
        Read *read = userdata;
        NodeWatch *w = read->watch;
        const sd_bus_error *failure = sd_bus_message_get_error(m);
        WatchedRole *role = watch_get_role(w, read->role);

        if (sd_bus_error_has_name(failure, SD_BUS_ERROR_UNKNOWN_OBJECT))
                role_set_state(w, role, NULL);
        else {
                int r = failure ? -EIO : role_properties_read(m, &properties);

                if (r >= 0)
                        role_set_state(w, role, role_state_json(&properties));
                else {
                        role_set_unread(w, role);
                        watch_call_failed(w, "a role", failure, r);
                }
        }
        watch_end_read(read);
        return 0;
}

typedef struct Listing {
        NodeWatch *watch;
        GHashTable *found; /* names, which are of the roles */
} Listing;

static int listing_on_role(const char *path, sd_bus_message *m, void *userdata) {
        const Listing *listing = userdata;
        g_auto(RoleProperties) properties = {};

        int r = role_properties_read(m, &properties);
        if (r < 0)
                return r;
        WatchedRole *role = watch_get_role(listing->watch, properties.name);
        g_hash_table_add(listing->found, role->name);
        role_set_state(listing->watch, role, role_state_json(&properties));
        return 0;
}

/* Those that were not found are gone. One that was added since then is announced by a signal. */
static void watch_drop_missing(NodeWatch *w, GHashTable *found) {
        WatchedRole *role;
        GHashTableIter iter;

        g_hash_table_iter_init(&iter, w->roles);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *) &role))
                if (!g_hash_table_contains(found, role->name))
                        role_set_state(w, role, NULL);
}

static int watch_on_roles(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        g_autoptr(GHashTable) found = g_hash_table_new(g_str_hash, g_str_equal);
        Read *read = userdata;
        NodeWatch *w = read->watch;
        Listing listing = { .watch = w, .found = found };
        const char *name;
        GHashTableIter iter;

        int r = sd_bus_message_is_method_error(m, NULL)
                        ? -EIO
                        : properties_read_objects(m, NODE_ROLE_INTERFACE, listing_on_role, &listing);
        if (r < 0) {
                w->all_unread = true;
                watch_call_failed(w, "the roles", sd_bus_message_get_error(m), r);
        } else {
                watch_drop_missing(w, found);
                w->roles_known = true;
                g_hash_table_iter_init(&iter, w->stale);
                while (g_hash_table_iter_next(&iter, (gpointer *) &name, NULL))
                        role_set_dirty(w, watch_get_role(w, name));
                g_hash_table_remove_all(w->stale);
        }
        watch_end_read(read);
        return 0;
}

/* Sends a call that is one of the batch. text may be NULL. */
static int watch_read(NodeWatch *w, const char *path, const char *interface, const char *member,
        const char *text, const char *role, sd_bus_message_handler_t handler) {
        g_autoptr(sd_bus_message) call = NULL;
        Read *read;

        int r = sd_bus_message_new_method_call(w->bus, &call, w->bus_name, path, interface, member);
        if (r >= 0)
                r = sd_bus_message_set_auto_start(call, false);
        if (r >= 0 && text)
                r = sd_bus_message_append_basic(call, 's', text);
        if (r < 0)
                return r;
        read = g_new0(Read, 1);
        read->watch = w;
        read->role = g_strdup(role);
        r = sd_bus_call_async(w->bus, &read->slot, call, handler, read, 0);
        if (r < 0) {
                read_free(read);
                return r;
        }
        g_hash_table_add(w->read_slots, read);
        return 0;
}

static int watch_read_role(NodeWatch *w, WatchedRole *role) {
        _cleanup_free_ char *path = role_object_path(role->name);

        role_set_read(w, role);
        return path ? watch_read(
                              w, path, PROPERTIES, "GetAll", NODE_ROLE_INTERFACE, role->name, watch_on_role)
                    : -ENOMEM;
}

/* The node comes first, so that no role is older than its EventSequence. */
static int watch_read_batch(NodeWatch *w) {
        int r = watch_read(w, NODE_PATH, PROPERTIES, "GetAll", NODE_INTERFACE, NULL, watch_on_node);

        w->node_unread = false;
        if (r >= 0 && w->all_unread) {
                w->all_unread = false;
                while (w->unread.head)
                        role_set_read(w, w->unread.head->data);
                r = watch_read(w, NODE_PATH, OBJECT_MANAGER, "GetManagedObjects", NULL, NULL, watch_on_roles);
        }
        for (unsigned i = 0; r >= 0 && i < READS_MAX && w->unread.head; i++)
                r = watch_read_role(w, w->unread.head->data);
        return r;
}

static void watch_pump_reads(NodeWatch *w) {
        if (!w->present || w->paused || w->resting || g_hash_table_size(w->read_slots) > 0 ||
                !(w->node_unread || w->all_unread || w->unread.head))
                return;
        int r = watch_read_batch(w);
        if (r < 0) {
                w->all_unread = true;
                watch_call_failed(w, "the roles", NULL, r);
        }
}

/* -- publishing them -- */

static int watch_publish_role(NodeWatch *w, WatchedRole *role) {
        g_autofree char *topic = topic_role(w->base, w->instance, role->name);
        g_autofree char *json =
                role->state ? role_state_json_complete(role->state, w->node.event_epoch, role->seq)
                            : g_strdup("");

        int r = broker_publish(w->broker, topic, json, true, NULL);
        if (r < 0)
                return r;
        (void) g_queue_pop_head(&w->dirty);
        role->dirty = false;
        if (!role->state && !role->unread)
                (void) g_hash_table_remove(w->roles, role->name);
        return 0;
}

static void watch_publish_states(NodeWatch *w) {
        while (broker_room(w->broker) > 0) {
                int r;

                if (w->node_dirty && w->node_json) {
                        r = broker_publish(w->broker, w->node_topic, w->node_json, true, NULL);
                        w->node_dirty = r < 0;
                } else if (w->dirty.head)
                        r = watch_publish_role(w, w->dirty.head->data);
                else
                        return;
                if (r < 0)
                        return;
        }
}

/* -- events -- */

static void published_free(void *p) {
        PublishedEvent *event = p;

        g_free(event->epoch);
        g_free(event);
}

static int watch_publish_event(NodeWatch *w, const NodeEvent *event, sd_bus_message *m, const char *details) {
        g_autoptr(GString) json = g_string_new(NULL);
        int id;

        int r = event_append_json(json, event, m, details);
        if (r >= 0)
                r = broker_publish(w->broker, w->event_topic, json->str, false, &id);
        if (r < 0)
                return r;
        PublishedEvent *published = g_new0(PublishedEvent, 1);
        *published = (PublishedEvent){ .id = id, .epoch = g_strdup(event->epoch), .seq = event->seq };
        g_queue_push_tail(&w->published, published);
        return 0;
}

/* What no event of the node says. */
static void watch_publish_own(
        NodeWatch *w, const char *signal, const char *epoch, uint64_t seq, const char *details) {
        const NodeEvent event = {
                .seq = seq,
                .realtime_usec = now_usec(CLOCK_REALTIME),
                .epoch = epoch,
                .signal = signal,
                .role = "",
        };

        /* Without a connection all is read again. */
        (void) watch_publish_event(w, &event, NULL, details);
}

static int watch_on_event(const NodeEvent *event, sd_bus_message *m, void *userdata) {
        return watch_publish_event(userdata, event, m, NULL);
}

static void watch_on_events_lost(const char *epoch, uint64_t from, uint64_t to, void *userdata) {
        g_autofree char *details = g_strdup_printf("{\"lost\":%" PRIu64 "}", to - from + 1);
        NodeWatch *w = userdata;

        log_warning("%s does not have the events %" PRIu64 " to %" PRIu64 " any more", w->bus_name, from, to);
        watch_publish_own(w, "gap", epoch, to, details);
}

static void watch_on_events_unsaved(uint64_t seq, void *userdata) {
        const NodeWatch *w = userdata;

        log_warning("%s could not save its events after %" PRIu64, w->bus_name, seq);
}

static void watch_on_epoch(const char *epoch, const char *old_epoch, uint64_t old_seq, void *userdata) {
        g_autoptr(GString) details = g_string_new("{\"previous-epoch\":");
        NodeWatch *w = userdata;

        json_append_string(details, old_epoch);
        g_string_append_printf(details, ",\"previous-seq\":%" PRIu64 "}", old_seq);
        log_notice("The events of %s have a new epoch, %s", w->bus_name, epoch);
        watch_publish_own(w, "epoch", epoch, 0, details->str);
}

static const EventHandlers event_handlers = {
        .event = watch_on_event,
        .lost = watch_on_events_lost,
        .unsaved = watch_on_events_unsaved,
        .epoch = watch_on_epoch,
};

static void watch_end_events_call(NodeWatch *w) {
        w->events_call = sd_bus_slot_unref(w->events_call);
        broker_release(w->broker, w->n_reserved);
        w->n_reserved = 0;
}

/* Begins again after the last event that was acknowledged. */
static void watch_rewind(NodeWatch *w) {
        g_queue_clear_full(&w->published, published_free);
        event_reader_set(&w->reader, w->position.epoch, w->position.seq);
        w->news = true;
}

static int watch_on_events(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const sd_bus_error *failure = sd_bus_message_get_error(m);
        NodeWatch *w = userdata;

        watch_end_events_call(w);
        if (sd_bus_error_has_name(failure, node_error_to_string(NODE_ERROR_INVALID_ARGS))) {
                /* The position is not one of this service. */
                log_warning("%s does not know event %" PRIu64 ", sending all that it has", w->bus_name,
                        w->reader.seq);
                event_reader_set(&w->reader, "", 0);
        } else {
                int r = failure ? -EIO : event_reader_read(&w->reader, m, &event_handlers, w);

                if (r < 0 && broker_is_connected(w->broker)) {
                        watch_rewind(w);
                        watch_call_failed(w, "the events", failure, r);
                        return 0;
                }
                w->news = r != 0;
        }
        node_watch_pump(w);
        return 0;
}

static void watch_read_events(NodeWatch *w) {
        g_autoptr(sd_bus_message) call = NULL;
        const unsigned room = broker_room(w->broker);

        if (!w->present || w->paused || !w->news || w->events_call || room == 0)
                return;
        int r = sd_bus_message_new_method_call(
                w->bus, &call, w->bus_name, NODE_PATH, NODE_INTERFACE, "EventsSince");
        if (r >= 0)
                r = sd_bus_message_set_auto_start(call, false);
        if (r >= 0)
                r = event_reader_append(&w->reader, call, room);
        if (r >= 0)
                r = sd_bus_call_async(w->bus, &w->events_call, call, watch_on_events, w, 0);
        if (r < 0) {
                watch_call_failed(w, "the events", NULL, r);
                return;
        }
        w->n_reserved = room;
        broker_reserve(w->broker, room);
}

/* -- the position -- */

void node_watch_save(NodeWatch *w) {
        if (w->position_dirty && position_save(w->state_fd, w->instance, &w->position) >= 0)
                w->position_dirty = false;
}

static int watch_on_save(sd_event_source *s, uint64_t usec, void *userdata) {
        node_watch_save(userdata);
        return 0;
}

static void watch_set_position(NodeWatch *w, const char *epoch, uint64_t seq) {
        position_set(&w->position, epoch, seq);
        if (w->position_dirty)
                return;
        w->position_dirty = true;
        if (timer_start(w->save, SAVE_DELAY_USEC) < 0)
                node_watch_save(w);
}

void node_watch_on_acknowledged(NodeWatch *w, int id) {
        PublishedEvent *event;

        for (GList *l = w->published.head; l; l = l->next) {
                event = l->data;
                if (event->id != id)
                        continue;
                event->acknowledged = true;
                break;
        }
        while ((event = g_queue_peek_head(&w->published)) && event->acknowledged) {
                watch_set_position(w, event->epoch, event->seq);
                published_free(g_queue_pop_head(&w->published));
        }
}

/* -- the broker -- */

void node_watch_on_connected(NodeWatch *w) {
        WatchedRole *role;
        GHashTableIter iter;

        w->subscribed = false;
        w->node_dirty = true;
        g_hash_table_iter_init(&iter, w->roles);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *) &role))
                role_set_dirty(w, role);
        watch_rewind(w);
}

void node_watch_on_lost(NodeWatch *w) {
        w->events_call = sd_bus_slot_unref(w->events_call);
        w->n_reserved = 0; /* the broker has forgotten it */
        g_queue_clear_full(&w->published, published_free);
}

/* A role that has ended and was purged while nobody was here, or a topic that somebody else has made. Until
 * the roles are known it may be that of one. */
void node_watch_on_retained(NodeWatch *w, const char *topic) {
        const char *name = topic_role_parse(w->base, w->instance, topic);

        if (!name)
                return;
        if (!w->roles_known && g_hash_table_size(w->stale) < STALE_MAX)
                (void) g_hash_table_add(w->stale, g_strdup(name));
        else if (w->roles_known && !g_hash_table_contains(w->roles, name) &&
                 g_hash_table_size(w->roles) < STALE_MAX)
                role_set_dirty(w, watch_get_role(w, name));
}

void node_watch_pump(NodeWatch *w) {
        if (broker_is_connected(w->broker) && !w->subscribed) {
                g_autofree char *pattern = topic_roles(w->base, w->instance);

                w->subscribed = broker_subscribe(w->broker, pattern) >= 0;
        }
        watch_publish_states(w);
        watch_read_events(w);
        watch_pump_reads(w);
}

/* -- the bus -- */

static int watch_on_retry(sd_event_source *s, uint64_t usec, void *userdata) {
        NodeWatch *w = userdata;

        w->paused = false;
        node_watch_pump(w);
        return 0;
}

static int watch_on_batch(sd_event_source *s, uint64_t usec, void *userdata) {
        NodeWatch *w = userdata;

        w->resting = false;
        node_watch_pump(w);
        return 0;
}

static int watch_on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        NodeWatch *w = userdata;

        if (sd_bus_message_is_signal(m, NODE_INTERFACE, "LogMessage"))
                return 0;
        w->news = true;
        node_watch_pump(w);
        return 0;
}

/* Properties of the node or of a role have changed. Which ones does not matter. */
static int watch_on_changed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *path = sd_bus_message_get_path(m);
        _cleanup_free_ char *name = NULL;
        NodeWatch *w = userdata;

        if (g_strcmp0(path, NODE_PATH) == 0)
                w->node_unread = true;
        else if (path && sd_bus_path_decode(path, NODE_ROLE_PATH_PREFIX, &name) > 0)
                role_set_unread(w, watch_get_role(w, name));
        node_watch_pump(w);
        return 0;
}

/* A role was added or removed. */
static int watch_on_object(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_free_ char *name = NULL;
        NodeWatch *w = userdata;
        const char *path;

        if (sd_bus_message_read_basic(m, 'o', &path) > 0 &&
                sd_bus_path_decode(path, NODE_ROLE_PATH_PREFIX, &name) > 0)
                role_set_unread(w, watch_get_role(w, name));
        node_watch_pump(w);
        return 0;
}

static void watch_set_present(NodeWatch *w, bool present) {
        w->present = present;
        w->paused = w->resting = false;
        /* What was asked before nobody answers, or the one before has. */
        g_hash_table_remove_all(w->read_slots);
        if (w->events_call)
                watch_end_events_call(w);
        if (present) {
                w->all_unread = w->news = true;
                return;
        }
        g_free(w->node_json);
        w->node_json = node_state_json(NULL);
        w->node_dirty = true;
}

static int watch_on_owner(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        NodeWatch *w = userdata;
        const char *name, *old, *new;

        if (sd_bus_message_read(m, "sss", &name, &old, &new) < 0)
                return 0;
        log_debug("%s has %s", w->bus_name, new[0] ? "an owner" : "no owner");
        watch_set_present(w, new[0]);
        node_watch_pump(w);
        return 0;
}

static int watch_subscribe(NodeWatch *w) {
        g_autofree char *match = g_strdup_printf("type='signal',sender='%s',path_namespace='" NODE_PATH
                                                 "',interface='" PROPERTIES "',member='PropertiesChanged'",
                w->bus_name);

        int r = node_subscribe_owner(w->bus, w->bus_name, watch_on_owner, w);
        if (r >= 0)
                r = node_subscribe(w->bus, w->bus_name, watch_on_signal, w);
        if (r >= 0)
                r = sd_bus_add_match(w->bus, NULL, match, watch_on_changed, w);
        if (r >= 0)
                r = sd_bus_match_signal(
                        w->bus, NULL, w->bus_name, NODE_PATH, OBJECT_MANAGER, NULL, watch_on_object, w);
        return r;
}

/* -- */

int node_watch_new(
        sd_bus *bus, Broker *broker, const char *base, const char *instance, int state_fd, NodeWatch **ret) {
        g_autoptr(NodeWatch) w = g_new0(NodeWatch, 1);
        sd_event *event = sd_bus_get_event(bus);

        w->bus = sd_bus_ref(bus);
        w->broker = broker;
        w->base = g_strdup(base);
        w->instance = g_strdup(instance);
        w->bus_name = node_bus_name(instance);
        w->node_topic = topic_node(base, instance);
        w->event_topic = topic_event(base, instance);
        w->state_fd = state_fd;
        w->roles = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, role_free);
        w->stale = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        w->read_slots = g_hash_table_new_full(NULL, NULL, read_free, NULL);
        int r = position_load(state_fd, instance, &w->position);
        if (r < 0 && r != -ENOENT)
                log_warning_errno(r,
                        "Cannot read which event of %s was the last one, sending all that the service has: %m",
                        instance);
        watch_rewind(w);
        r = timer_new(event, &w->save, 0, watch_on_save, w);
        if (r >= 0)
                r = timer_new(event, &w->retry, 0, watch_on_retry, w);
        if (r >= 0)
                r = timer_new(event, &w->batch, USEC_PER_MSEC, watch_on_batch, w);
        if (r >= 0)
                r = watch_subscribe(w);
        if (r < 0)
                return log_error_errno(r, "Cannot watch %s: %m", w->bus_name);
        watch_set_present(w, sd_bus_get_name_creds(bus, w->bus_name, 0, NULL) >= 0);
        node_watch_pump(w);
        *ret = g_steal_pointer(&w);
        return 0;
}

NodeWatch *node_watch_free(NodeWatch *w) {
        if (!w)
                return NULL;
        w->save = sd_event_source_disable_unref(w->save);
        w->retry = sd_event_source_disable_unref(w->retry);
        w->batch = sd_event_source_disable_unref(w->batch);
        sd_bus_slot_unref(w->events_call);
        g_hash_table_unref(w->read_slots);
        g_queue_clear(&w->unread);
        g_queue_clear(&w->dirty);
        g_hash_table_unref(w->roles);
        g_hash_table_unref(w->stale);
        g_queue_clear_full(&w->published, published_free);
        node_properties_clear(&w->node);
        event_reader_clear(&w->reader);
        position_clear(&w->position);
        g_free(w->base);
        g_free(w->instance);
        g_free(w->bus_name);
        g_free(w->node_topic);
        g_free(w->event_topic);
        g_free(w->node_json);
        sd_bus_unref(w->bus);
        g_free(w);
        return NULL;
}
