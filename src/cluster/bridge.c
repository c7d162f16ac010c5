/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <string.h>

#include "client/events.h"
#include "client/node-client.h"
#include "client/properties.h"
#include "cluster/bridge.h"
#include "proto/node-names.h"
#include "util/autoptr.h"
#include "util/log.h"

#define PROPERTIES "org.freedesktop.DBus.Properties"
#define MANAGER_PREFIX "pacemaker:"

/* A signal is only a hint that there is something to read. What happened is read from the log of events, so
 * that nothing is lost or read twice, whichever of the two processes restarts. */
struct Bridge {
        sd_bus *bus;
        const char *name, *lease;
        BridgeReport report;
        void *userdata;

        sd_bus_slot *call; /* to the log, of which one is under way at a time */
        GPtrArray *looks;  /* of BridgeLook, calls to roles */
        bool again;        /* there was a hint meanwhile */

        EventReader reader;
        bool begun; /* the reader knows the place to begin */
};

/* A role that has ended, whose properties say to which resource it belongs. */
typedef struct BridgeLook {
        Bridge *bridge;
        sd_bus_slot *slot;
        char *invocation_id;
} BridgeLook;

static void bridge_read_on(Bridge *bridge);

static void look_free(void *p) {
        BridgeLook *look = p;

        sd_bus_slot_unref(look->slot);
        g_free(look->invocation_id);
        g_free(look);
}

static int bridge_new_call(
        Bridge *bridge, const char *path, const char *interface, const char *member, sd_bus_message **ret) {
        int r = sd_bus_message_new_method_call(bridge->bus, ret, bridge->name, path, interface, member);
        /* The service is started by who needs it. */
        return r < 0 ? r : sd_bus_message_set_auto_start(*ret, false);
}

/* -- a role -- */

typedef struct BridgeRole {
        char *state, *invocation_id, *lease, *managed_by;
        uint64_t next_start_usec;
} BridgeRole;

#define PROPERTY(name, signature, member) \
        { name, signature, offsetof(BridgeRole, member) }
static const Property bridge_role_properties[] = {
        PROPERTY("State", "s", state),
        PROPERTY("InvocationID", "s", invocation_id),
        PROPERTY("Lease", "s", lease),
        PROPERTY("ManagedBy", "s", managed_by),
        PROPERTY("NextStartUSec", "t", next_start_usec),
};

static void bridge_role_clear(BridgeRole *role) {
        properties_clear(bridge_role_properties, ELEMENTSOF(bridge_role_properties), role);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(BridgeRole, bridge_role_clear)

static int look_on_reply(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        BridgeLook *look = userdata;
        Bridge *bridge = look->bridge;
        g_auto(BridgeRole) role = {};

        /* Otherwise it was purged, or the node has gone; the next monitor decides. */
        if (!sd_bus_message_is_method_error(m, NULL) &&
                properties_read(m, bridge_role_properties, ELEMENTSOF(bridge_role_properties), &role) >= 0 &&
                /* Another run of the same name, or one that its own policy starts again, has not failed. */
                g_strcmp0(role.invocation_id, look->invocation_id) == 0 && role.next_start_usec == 0 &&
                g_strcmp0(role.lease, bridge->lease) == 0 && role.managed_by &&
                g_str_has_prefix(role.managed_by, MANAGER_PREFIX))
                bridge->report(role.managed_by + strlen(MANAGER_PREFIX), bridge->userdata);
        g_ptr_array_remove_fast(bridge->looks, look);
        return 0;
}

static void bridge_look(Bridge *bridge, const char *role, const char *invocation_id) {
        g_autoptr(sd_bus_message) call = NULL;
        _cleanup_free_ char *path = role_object_path(role);
        BridgeLook *look = g_new0(BridgeLook, 1);

        look->bridge = bridge;
        look->invocation_id = g_strdup(invocation_id);
        g_ptr_array_add(bridge->looks, look);
        int r = path ? 0 : -ENOMEM;
        if (r >= 0)
                r = bridge_new_call(bridge, path, PROPERTIES, "GetAll", &call);
        if (r >= 0)
                r = sd_bus_message_append_basic(call, 's', NODE_ROLE_INTERFACE);
        if (r >= 0)
                r = sd_bus_call_async(bridge->bus, &look->slot, call, look_on_reply, look, 0);
        if (r < 0) {
                (void) log_warning_errno(r, "Cannot ask for role %s, ignoring its end: %m", role);
                g_ptr_array_remove_fast(bridge->looks, look);
        }
}

/* -- the log -- */

typedef struct BridgeEvent {
        char *code, *cause, *invocation_id;
} BridgeEvent;

static const Property bridge_event_details[] = {
        { "code", "s", offsetof(BridgeEvent, code) },
        { "cause", "s", offsetof(BridgeEvent, cause) },
        { "invocation-id", "s", offsetof(BridgeEvent, invocation_id) },
};

static void bridge_event_clear(BridgeEvent *event) {
        properties_clear(bridge_event_details, ELEMENTSOF(bridge_event_details), event);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(BridgeEvent, bridge_event_clear)

/* Nobody has asked for it. The start of a role that has missed its time (timeout) fails by itself. */
static bool event_is_failure(const BridgeEvent *event) {
        static const char *const causes[] = { "self", "external", "oom", "watchdog", NULL };

        return event->code && event->cause && event->invocation_id &&
               (strcmp(event->code, "lost") == 0 || g_strv_contains(causes, event->cause));
}

static int bridge_on_event(const NodeEvent *event, sd_bus_message *m, void *userdata) {
        g_auto(BridgeEvent) details = {};
        Bridge *bridge = userdata;

        int r = properties_read(m, bridge_event_details, ELEMENTSOF(bridge_event_details), &details);
        if (r >= 0 && strcmp(event->signal, "RoleExited") == 0 && event_is_failure(&details))
                bridge_look(bridge, event->role, details.invocation_id);
        return r;
}

static void bridge_on_lost_events(const char *epoch, uint64_t from, uint64_t to, void *userdata) {
        log_warning("The node does not have its events from %" PRIu64 " to %" PRIu64
                    " any more; the next monitors notice what has ended",
                from, to);
}

static void bridge_on_unsaved_events(uint64_t seq, void *userdata) {
        log_warning("The node could not save its events after %" PRIu64
                    "; the next monitors notice what has ended",
                seq);
}

/* What has ended meanwhile is not in the new log. */
static void bridge_on_epoch(const char *epoch, const char *old_epoch, uint64_t old_seq, void *userdata) {
        log_info("The events of the node begin again");
}

static const EventHandlers bridge_handlers = {
        .event = bridge_on_event,
        .lost = bridge_on_lost_events,
        .unsaved = bridge_on_unsaved_events,
        .epoch = bridge_on_epoch,
};

static int bridge_on_events(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Bridge *bridge = userdata;

        bridge->call = sd_bus_slot_unref(bridge->call);
        /* A node that has gone comes back with its name, which is a hint. */
        if (sd_bus_message_is_method_error(m, NULL))
                return 0;
        int r = event_reader_read(&bridge->reader, m, &bridge_handlers, bridge);
        if (r < 0)
                (void) log_warning_errno(r, "Cannot read the events of the node, ignoring: %m");
        if (r > 0 || bridge->again)
                bridge_read_on(bridge);
        return 0;
}

typedef struct BridgeNode {
        char *epoch;
        uint64_t seq;
} BridgeNode;

/* What ended before is known to Pacemaker, or to its next monitor. */
static int bridge_on_node(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        static const Property properties[] = {
                { "EventEpoch", "s", offsetof(BridgeNode, epoch) },
                { "EventSequence", "t", offsetof(BridgeNode, seq) },
        };
        Bridge *bridge = userdata;
        BridgeNode node = {};

        bridge->call = sd_bus_slot_unref(bridge->call);
        if (!sd_bus_message_is_method_error(m, NULL) &&
                properties_read(m, properties, ELEMENTSOF(properties), &node) >= 0 && node.epoch) {
                event_reader_set(&bridge->reader, node.epoch, node.seq);
                bridge->begun = true;
        }
        properties_clear(properties, ELEMENTSOF(properties), &node);
        if (bridge->again)
                bridge_read_on(bridge);
        return 0;
}

static void bridge_read_on(Bridge *bridge) {
        g_autoptr(sd_bus_message) call = NULL;
        int r;

        bridge->again = bridge->call != NULL;
        if (bridge->call)
                return;
        if (bridge->begun) {
                r = bridge_new_call(bridge, NODE_PATH, NODE_INTERFACE, "EventsSince", &call);
                if (r >= 0)
                        r = event_reader_append(&bridge->reader, call, 0);
        } else {
                r = bridge_new_call(bridge, NODE_PATH, PROPERTIES, "GetAll", &call);
                if (r >= 0)
                        r = sd_bus_message_append_basic(call, 's', NODE_INTERFACE);
        }
        if (r >= 0)
                r = sd_bus_call_async(bridge->bus, &bridge->call, call,
                        bridge->begun ? bridge_on_events : bridge_on_node, bridge, 0);
        if (r < 0)
                (void) log_warning_errno(r, "Cannot ask for the events of the node, ignoring: %m");
}

static int bridge_on_hint(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        bridge_read_on(userdata);
        return 0;
}

int bridge_new(
        Bridge **ret, sd_bus *bus, const char *name, const char *lease, BridgeReport report, void *userdata) {
        Bridge *bridge = g_new0(Bridge, 1);

        bridge->bus = sd_bus_ref(bus);
        bridge->name = name;
        bridge->lease = lease;
        bridge->report = report;
        bridge->userdata = userdata;
        bridge->looks = g_ptr_array_new_with_free_func(look_free);
        int r = node_subscribe(bus, name, bridge_on_hint, bridge);
        if (r >= 0)
                r = node_subscribe_owner(bus, name, bridge_on_hint, bridge);
        if (r < 0) {
                (void) bridge_free(bridge);
                return r;
        }
        bridge_read_on(bridge);
        *ret = bridge;
        return 0;
}

Bridge *bridge_free(Bridge *bridge) {
        if (!bridge)
                return NULL;
        sd_bus_slot_unref(bridge->call);
        g_ptr_array_unref(bridge->looks);
        event_reader_clear(&bridge->reader);
        sd_bus_unref(bridge->bus);
        g_free(bridge);
        return NULL;
}
