/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <string.h>

#include "base/macro.h"
#include "base/time-util.h"
#include "client/node-client.h"
#include "client/properties.h"
#include "client/timer.h"
#include "ctl/desk-host.h"
#include "ctl/words.h"
#include "proto/node-names.h"
#include "util/autoptr.h"

/* A host without calls is asked so seldom whether it is still there: ssh notices by itself if the machine is
 * not. */
#define IDLE_USEC (30 * USEC_PER_SEC)

typedef struct DeskCall {
        DeskHost *host;
        sd_bus_slot *slot;
        DeskReply callback;
        void *userdata;
} DeskCall;

static void desk_host_read_events(DeskHost *host);

const char *desk_host_state_to_string(DeskHostState state) {
        static const char *const names[] = { "connecting", "connected", "unreachable" };

        return names[state];
}

/* Takes the reason. */
static void desk_host_set_state(DeskHost *host, DeskHostState state, char *reason) {
        g_autofree char *old = g_steal_pointer(&host->reason);

        host->reason = reason;
        if (host->state == state && g_str_equal(old, reason))
                return;
        host->state = state;
        host->ops->changed(host, host->userdata);
}

/* Something has answered. */
static void desk_host_set_connected(DeskHost *host, char *reason) {
        host_link_settle(host->link);
        desk_host_set_state(host, DESK_HOST_CONNECTED, reason);
}

/* -- whether it still answers -- */

/* With calls two times half of the patience, in which it has to reply to a ping. */
static void desk_host_set_timer(DeskHost *host) {
        const bool waits = host->silent || !g_queue_is_empty(&host->calls);
        const uint64_t usec = waits ? host->patience_usec / 2 : MAX(IDLE_USEC, host->patience_usec);

        (void) timer_start(host->timer, usec);
}

static int desk_host_on_ping(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        DeskHost *host = userdata;

        if (sd_bus_is_open(sd_bus_message_get_bus(m)) <= 0)
                return 0;
        host->silent = false;
        desk_host_set_timer(host);
        return 0;
}

static int desk_host_ping(DeskHost *host) {
        g_autoptr(sd_bus_message) ping = NULL;

        int r = host->link->bus ? node_new_ping(host->link->bus, host->bus_name, &ping) : -ENOTCONN;
        return r < 0 ? r
                     : sd_bus_call_async(host->link->bus, NULL, ping, desk_host_on_ping, host, UINT64_MAX);
}

static int desk_host_on_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        DeskHost *host = userdata;

        if (!host->silent) {
                host->silent = true;
                if (desk_host_ping(host) >= 0) {
                        /* What has failed for another reason is tried again. */
                        if (host->news)
                                desk_host_read_events(host);
                        desk_host_set_timer(host);
                        return 0;
                }
        }
        g_autofree char *span = words_span(host->patience_usec),
                        *reason = g_strdup_printf("no answer within %s", span);
        host_link_give_up(host->link, reason);
        return 0;
}

/* -- calls -- */

static DeskCall *desk_call_take(DeskCall *call) {
        (void) g_queue_remove(&call->host->calls, call);
        call->slot = sd_bus_slot_unref(call->slot);
        return call;
}

static int desk_call_on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        DeskCall *call = userdata;

        /* If the connection has ended, desk_host_end() says so. */
        if (sd_bus_is_open(sd_bus_message_get_bus(m)) <= 0)
                return 0;
        g_autofree DeskCall *taken = desk_call_take(call);
        if (sd_bus_message_is_method_error(m, NULL))
                taken->callback(NULL, sd_bus_message_get_error(m), taken->userdata);
        else
                taken->callback(m, NULL, taken->userdata);
        return 0;
}

int desk_host_new_call(
        DeskHost *host, sd_bus_message **ret, const char *path, const char *interface, const char *member) {
        if (!host->link->bus)
                return -ENOTCONN;
        return sd_bus_message_new_method_call(host->link->bus, ret, host->bus_name, path, interface, member);
}

int desk_host_send(DeskHost *host, sd_bus_message *call, DeskReply callback, void *userdata) {
        const bool first = g_queue_is_empty(&host->calls);
        g_autofree DeskCall *c = g_new(DeskCall, 1);

        if (!host->link->bus)
                return -ENOTCONN;
        *c = (DeskCall){ .host = host, .callback = callback, .userdata = userdata };
        int r = sd_bus_call_async(host->link->bus, &c->slot, call, desk_call_on_reply, c, UINT64_MAX);
        if (r < 0)
                return r;
        g_queue_push_tail(&host->calls, g_steal_pointer(&c));
        if (first && !host->silent)
                desk_host_set_timer(host);
        return 0;
}

void desk_host_end(DeskHost *host) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        DeskCall *next;

        (void) sd_bus_error_setf(&error, DESK_ERROR_CONNECTION_LOST,
                "The connection to %s has ended before the reply, so what the call has done is not known: %s",
                host->name, host->link->reason ?: "the desk ends");
        while ((next = g_queue_peek_head(&host->calls))) {
                g_autofree DeskCall *call = desk_call_take(next);
                call->callback(NULL, &error, call->userdata);
        }
}

/* -- events -- */

static int events_on_event(const NodeEvent *event, sd_bus_message *m, void *userdata) {
        DeskHost *host = userdata;

        int r = host->ops->event(host, event, m, host->userdata);
        /* It is read again, because it was not told. */
        if (r < 0)
                event_reader_set(&host->reader, host->reader.epoch, event->seq - 1);
        return r;
}

static void events_on_lost(const char *epoch, uint64_t from, uint64_t to, void *userdata) {
        DeskHost *host = userdata;

        host->ops->lost(host, epoch, from, to, host->userdata);
}

static void events_on_unsaved(uint64_t seq, void *userdata) {
        DeskHost *host = userdata;

        host->ops->lost(host, host->reader.epoch, seq + 1, UINT64_MAX, host->userdata);
}

static void events_on_epoch(const char *epoch, const char *old_epoch, uint64_t old_seq, void *userdata) {
        DeskHost *host = userdata;

        host->ops->lost(host, old_epoch, old_seq + 1, UINT64_MAX, host->userdata);
}

static const EventHandlers events_handlers = {
        .event = events_on_event,
        .lost = events_on_lost,
        .unsaved = events_on_unsaved,
        .epoch = events_on_epoch,
};

/* The node does not run, or has refused. The owner of its name is announced, and the timer tries again. */
static void events_fail(DeskHost *host, const sd_bus_error *error) {
        if (sd_bus_error_has_names(error, SD_BUS_ERROR_SERVICE_UNKNOWN, SD_BUS_ERROR_NAME_HAS_NO_OWNER,
                    SD_BUS_ERROR_NO_REPLY, SD_BUS_ERROR_UNKNOWN_OBJECT))
                desk_host_set_connected(host, g_strdup("architect-node does not run there"));
        else
                desk_host_set_connected(
                        host, g_strdup_printf("no events: %s", error->message ?: error->name));
        host->news = true;
}

/* A reply about events has come, or its error. Returns whether there is something in it. */
static bool events_are_there(DeskHost *host, const sd_bus_error *error) {
        host->reading = false;
        /* Else the next connection asks again. */
        if (host->link->state == HOST_LINK_UP && error)
                events_fail(host, error);
        return host->link->state == HOST_LINK_UP && !error;
}

static int events_on_round_trip(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        DeskHost *host = userdata;

        host->round_trip = sd_bus_slot_unref(host->round_trip);
        host->reading = false;
        desk_host_read_events(host);
        return 0;
}

/* The events of a page have to be read before there are more, or who is slow there fills our memory. */
static int events_wait(DeskHost *host) {
        int r = sd_bus_call_method_async(host->desk_bus, &host->round_trip, "org.freedesktop.DBus",
                "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetId", events_on_round_trip, host, NULL);

        host->reading = r >= 0;
        return r;
}

static void events_on_page(sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        DeskHost *host = userdata;

        if (!events_are_there(host, error))
                return;
        desk_host_set_connected(host, g_strdup(""));
        int r = event_reader_read(&host->reader, reply, &events_handlers, host);
        if (r > 0)
                r = events_wait(host);
        if (r < 0) {
                g_autofree char *reason = g_strdup_printf("its events cannot be read: %s", g_strerror(-r));
                host_link_give_up(host->link, reason);
        } else if (host->news)
                desk_host_read_events(host);
}

/* What the properties of a node say about its events. */
typedef struct NodeState {
        char *version, *epoch;
        uint64_t sequence;
} NodeState;

static const Property node_state_properties[] = {
        { "Version", "s", offsetof(NodeState, version) },
        { "EventEpoch", "s", offsetof(NodeState, epoch) },
        { "EventSequence", "t", offsetof(NodeState, sequence) },
};

/* It is told from its newest event on. */
static void events_begin(DeskHost *host, const NodeState *state) {
        if (state->epoch && state->epoch[0]) {
                event_reader_set(&host->reader, state->epoch, state->sequence);
                host->known = true;
                desk_host_set_connected(host, g_strdup(""));
                if (host->news)
                        desk_host_read_events(host);
                return;
        }
        host->news = false;
        desk_host_set_connected(host,
                g_strdup_printf("that node has the version %s and no EventsSince, so its events are not told",
                        state->version ?: "not known"));
}

static void events_on_state(sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        DeskHost *host = userdata;
        NodeState state = {};

        if (!events_are_there(host, error))
                return;
        int r = properties_read(reply, node_state_properties, ELEMENTSOF(node_state_properties), &state);
        if (r >= 0)
                events_begin(host, &state);
        else
                host_link_give_up(host->link, "the properties of its node have other types");
        properties_clear(node_state_properties, ELEMENTSOF(node_state_properties), &state);
}

/* Who watches does not start again what others have stopped. */
static int events_ask(DeskHost *host) {
        g_autoptr(sd_bus_message) call = NULL;
        int r;

        if (host->known) {
                r = desk_host_new_call(host, &call, NODE_PATH, NODE_INTERFACE, "EventsSince");
                if (r >= 0)
                        r = event_reader_append(&host->reader, call, 0);
        } else {
                r = desk_host_new_call(host, &call, NODE_PATH, "org.freedesktop.DBus.Properties", "GetAll");
                if (r >= 0)
                        r = sd_bus_message_append(call, "s", NODE_INTERFACE);
        }
        if (r >= 0)
                r = sd_bus_message_set_auto_start(call, false);
        return r < 0 ? r : desk_host_send(host, call, host->known ? events_on_page : events_on_state, host);
}

static void desk_host_read_events(DeskHost *host) {
        if (host->reading || host->link->state != HOST_LINK_UP)
                return;
        host->reading = true;
        host->news = false;
        int r = events_ask(host);
        if (r >= 0)
                return;
        host_link_give_up(host->link, g_strerror(-r));
}

/* -- what the host says -- */

static int desk_host_on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        DeskHost *host = userdata;

        if (sd_bus_message_is_signal(m, NODE_INTERFACE, "LogMessage"))
                return 0;
        host->news = true;
        desk_host_read_events(host);
        return 0;
}

static int desk_host_on_owner(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        DeskHost *host = userdata;
        const char *name, *old, *new;

        if (sd_bus_message_read(m, "sss", &name, &old, &new) < 0)
                return 0;
        host->news = true;
        if (new[0])
                desk_host_read_events(host);
        else if (host->state == DESK_HOST_CONNECTED)
                desk_host_set_connected(host, g_strdup("architect-node does not run there"));
        return 0;
}

/* The bus has the subscriptions before it gets the first call, so nothing happens in between unnoticed. */
static int desk_host_subscribe(DeskHost *host) {
        g_autofree char *match = node_owner_match(host->bus_name);

        int r = sd_bus_match_signal_async(host->link->bus, NULL, host->bus_name, NODE_PATH, NODE_INTERFACE,
                NULL, desk_host_on_signal, NULL, host);
        if (r >= 0)
                r = sd_bus_add_match_async(host->link->bus, NULL, match, desk_host_on_owner, NULL, host);
        return r;
}

void desk_host_on_link(DeskHost *host) {
        host->silent = false;
        if (host->link->state == HOST_LINK_UP) {
                int r = desk_host_subscribe(host);
                host->news = true;
                desk_host_set_timer(host);
                if (r >= 0)
                        desk_host_read_events(host);
                else
                        host_link_give_up(host->link, g_strerror(-r));
                return;
        }
        (void) sd_event_source_set_enabled(host->timer, SD_EVENT_OFF);
        desk_host_set_state(host, DESK_HOST_UNREACHABLE, g_strdup(host->link->reason));
        desk_host_end(host);
        host->round_trip = sd_bus_slot_unref(host->round_trip);
        host->reading = false;
}

/* -- */

DeskHost *desk_host_new(HostLinks *links, const char *name, const char *address, const char *path,
        const char *bus_name, sd_bus *desk_bus, sd_event *event, uint64_t patience_usec,
        const DeskHostOps *ops, void *userdata) {
        DeskHost *host = g_new(DeskHost, 1);

        *host = (DeskHost){
                .path = g_strdup(path),
                .reason = g_strdup(""),
                .ops = ops,
                .userdata = userdata,
                .desk_bus = sd_bus_ref(desk_bus),
                .bus_name = g_strdup(bus_name),
                .patience_usec = patience_usec,
                .calls = G_QUEUE_INIT,
        };
        host->link = host_links_add(links, name, address, host);
        host->name = host->link->name;
        event_reader_set(&host->reader, NULL, 0);
        int r = timer_new(event, &host->timer, 0, desk_host_on_timer, host);
        /* What the host has sent counts, however late we are. */
        if (r >= 0)
                r = sd_event_source_set_priority(host->timer, SD_EVENT_PRIORITY_IDLE);
        return r < 0 ? desk_host_free(host) : host;
}

DeskHost *desk_host_free(DeskHost *host) {
        if (!host)
                return NULL;
        sd_event_source_disable_unref(host->timer);
        sd_bus_slot_unref(host->round_trip);
        event_reader_clear(&host->reader);
        sd_bus_unref(host->desk_bus);
        g_free(host->bus_name);
        g_free(host->reason);
        g_free(host->path);
        g_free(host);
        return NULL;
}
