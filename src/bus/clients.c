/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/macro.h"
#include "base/time-util.h"
#include "bus/announce.h"
#include "bus/bus-errors.h"
#include "bus/bus-util.h"
#include "bus/clients.h"
#include "bus/operation.h"
#include "bus/private.h"
#include "bus/properties.h"
#include "bus/role-dbus.h"
#include "model/node-events.h"
#include "model/role-end.h"
#include "proto/node-names.h"
#include "util/autoptr.h"
#include "util/log.h"

/* -- ClientOps -- */

static void clients_event(void *data, const Event *event, Role *role) {
        if (event->type == EVENT_ROLE_STARTED && role)
                announce_role(data, role); /* its object is announced before */
        event_signals_send(data, event);
}

/* A call that is held no longer: it goes on, or is dropped. */
static void clients_let_go(Clients *clients, GList *link) {
        sd_bus_message *m = link->data;

        g_queue_delete_link(clients->held, link);
        allowance_done(clients->allowance, m);
        sd_bus_message_unref(m);
}

#define CLIENTS_TURN_USEC (2 * USEC_PER_MSEC)

/* The roles are up to date, so calls are handled from now on, beginning with those that were held. Each stays
 * in the list until it comes back to the filter, because other messages of its sender may have been read
 * already and stand before it in the queue of the bus. */
static void clients_recovered(void *data) {
        Clients *clients = data;

        for (GList *l = clients->held->head, *next; l; l = next) {
                next = l->next;
                if (operation_resume(sd_bus_message_get_bus(l->data), l->data) < 0)
                        clients_let_go(clients, l);
        }
}

/* The service ends before the roles are up to date. */
static void clients_fail_held(Clients *clients) {
        g_auto(Fault) fault = {};

        node_set_leaving_fault(&fault);
        operation_fail_all(clients->held, &fault);
}

static const ClientOps clients_ops = {
        .role_changed = announce_role_changed,
        .role_removed = announce_role_removed,
        .event = clients_event,
        .node_changed = announce_node_changed,
        .recovered = clients_recovered,
};

/* -- its life -- */

/* sd-bus handles one message in each turn of the loop, and a turn costs more than the refusal of a call.
 * While a user floods the service, it has to read faster than the bus daemon sends. Without a flood, another
 * attempt to read only costs time. A call that has been put back, since polkit has answered, is there without
 * reading; sd-bus would set a timer for it. */
static bool clients_have_more(Clients *clients) {
        uint64_t queued = 0;

        (void) sd_bus_get_n_queued_read(clients->bus, &queued);
        return allowance_is_crowded(clients->allowance) || queued > 0;
}

static int clients_read_more(Clients *clients) {
        const uint64_t end = now_usec(CLOCK_MONOTONIC) + CLIENTS_TURN_USEC;
        int r = 1;

        allowance_charge(clients->allowance);
        allowance_run(clients->allowance);
        while (r > 0 && clients_have_more(clients) && sd_bus_is_open(clients->bus) > 0 &&
                now_usec(CLOCK_MONOTONIC) < end) {
                r = sd_bus_process(clients->bus, NULL);
                allowance_charge(clients->allowance);
                allowance_run(clients->allowance);
        }
        return MIN(r, 0);
}

/* An exit may only be reaped when its signal was sent, so this waits for an empty write queue. */
static int clients_on_after_all(sd_event_source *s, void *userdata) {
        Clients *clients = userdata;
        uint64_t queued = 0;

        if (!clients->bus || !clients->allowance)
                return 0;
        int r = clients_read_more(clients);
        if (r < 0 && !clients->node->finished)
                return sd_event_exit(clients->event, CLIENTS_BUS_LOST);
        (void) sd_bus_get_n_queued_write(clients->bus, &queued);
        announce_resume(clients, queued);
        if (queued > 0)
                return 0;
        events_dbus_confirm(clients);
        ASK(clients->node, link, send_reaps);
        return 0;
}

int clients_new(sd_event *event, Node *node, Clients **ret) {
        g_autoptr(Clients) clients = g_new0(Clients, 1);

        clients->event = sd_event_ref(event);
        clients->node = node;
        clients->dir_fd = -EBADF;
        clients->slots = g_ptr_array_new_with_free_func(bus_slot_free);
        clients->held = g_queue_new();
        int r = announce_setup(clients);
        if (r >= 0)
                r = bus_raw_new(&clients->raw);
        if (r >= 0)
                r = sd_event_add_post(event, &clients->after_all, clients_on_after_all, clients);
        if (r < 0)
                return r;
        ATTACH(node, clients, &clients_ops, clients);
        *ret = g_steal_pointer(&clients);
        return 0;
}

Clients *clients_free(Clients *clients) {
        if (!clients)
                return NULL;
        clients_fail_held(clients);
        clients->private = private_free(clients->private);
        clients->authority = authority_free(clients->authority);
        clients->allowance = allowance_free(clients->allowance);
        clients->raw = bus_raw_free(clients->raw);
        peers_free(clients->peers);
        peers_free(clients->internal_peers);
        g_queue_free(clients->held);
        g_ptr_array_unref(clients->slots);
        sd_event_source_disable_unref(clients->after_all);
        announce_free(clients);
        /* The last replies must be read before the process ends, see events-dbus.c. */
        (void) bus_round_trip(clients->bus, CLIENTS_END_USEC);
        sd_bus_close_unref(clients->bus);
        if (clients->internal)
                (void) bus_round_trip(clients->internal, CLIENTS_END_USEC);
        sd_bus_close_unref(clients->internal);
        g_free(clients->bus_name);
        g_free(clients->directory);
        g_free(clients->log_unknown);
        sd_event_unref(clients->event);
        g_free(clients);
        return NULL;
}

sd_bus *clients_bus(Clients *clients) {
        return clients->internal ?: clients->bus;
}

void clients_finish(Clients *clients) {
        events_dbus_confirm_all(clients);
}

/* -- the connection -- */

int clients_add_vtable(Clients *clients, const sd_bus_vtable *vtable) {
        sd_bus_slot *slot = NULL;

        int r = sd_bus_add_object_vtable(clients->bus, &slot, NODE_PATH, NODE_INTERFACE, vtable, clients);
        if (r < 0)
                return r;
        g_ptr_array_add(clients->slots, slot);
        g_ptr_array_add(clients->node_vtables, (void *) vtable);
        g_array_set_size(clients->node_values, clients->node_values->len + properties_count(vtable));
        return 0;
}

static int clients_register_common(Clients *clients, sd_bus *bus, GPtrArray *slots) {
        int r = objects_dbus_register(clients, bus, slots);

        return r < 0 ? r : role_dbus_register(clients, bus, slots);
}

int clients_register_objects(Clients *clients, sd_bus *bus, GPtrArray *slots) {
        int r = clients_register_common(clients, bus, slots);

        for (guint i = 0; r >= 0 && i < clients->node_vtables->len; i++) {
                sd_bus_slot *slot = NULL;

                r = sd_bus_add_object_vtable(
                        bus, &slot, NODE_PATH, NODE_INTERFACE, clients->node_vtables->pdata[i], clients);
                if (r >= 0)
                        g_ptr_array_add(slots, slot);
        }
        return r;
}

int clients_register(Clients *clients) {
        static int (*const parts[])(Clients * clients) = {
                node_dbus_register,
                env_dbus_register,
                events_dbus_register,
                many_dbus_register,
                monitor_dbus_register,
                leases_dbus_register,
                log_dbus_register,
                permissions_dbus_register,
                definitions_dbus_register,
                ports_dbus_register,
        };
        int r = peers_new(clients->bus, &clients->peers);
        if (r >= 0 && clients->internal)
                r = peers_new(clients->internal, &clients->internal_peers);
        if (r >= 0)
                r = allowance_new(clients, &clients->allowance);
        for (size_t i = 0; i < ELEMENTSOF(parts) && r >= 0; i++)
                r = parts[i](clients);
        if (r >= 0)
                r = clients_register_common(clients, clients->bus, clients->slots);
        return r < 0 ? r
                     : authority_new(clients->bus, clients_bus(clients), clients->node, clients->allowance,
                               &clients->authority);
}

int clients_reply_bytes(Clients *clients, sd_bus_message *m, const char *signature, const BusBytes *body) {
        int r = clients->raw ? 0 : bus_raw_new(&clients->raw);

        if (r >= 0)
                r = bus_raw_reply(clients->raw, m, signature, body);
        if (r < 0) /* the next reply begins anew */
                clients->raw = bus_raw_free(clients->raw);
        return r;
}

static int clients_hold(Clients *clients, sd_bus_message *m, sd_bus_error *error) {
        int r = allowance_wait(clients->allowance, m, error);
        if (r < 0)
                return r;
        g_queue_push_tail(clients->held, sd_bus_message_ref(m));
        return 1;
}

/* Returns the first call of this sender that is held. */
static GList *clients_find_held(const Clients *clients, sd_bus_message *m) {
        const char *sender = sd_bus_message_get_sender(m);
        const sd_bus *bus = sd_bus_message_get_bus(m);

        for (GList *l = clients->held->head; l; l = l->next)
                if (sd_bus_message_get_bus(l->data) == bus &&
                        g_strcmp0(sd_bus_message_get_sender(l->data), sender) == 0)
                        return l;
        return NULL;
}

/* Of a sender, calls come in their order. What he has sent behind the ones that were held stays behind them.
 */
static int clients_keep_order(Clients *clients, sd_bus_message *m, sd_bus_error *error) {
        GList *first = clients_find_held(clients, m);

        if (!first)
                return 0;
        if (first->data == m) {
                clients_let_go(clients, first);
                return 0;
        }
        int r = clients_hold(clients, m, error);
        if (r < 0)
                return r;
        r = bus_message_requeue(sd_bus_message_get_bus(m), m);
        if (r < 0)
                clients_let_go(clients, clients->held->tail);
        return r < 0 ? r : 1;
}

/* Holds calls until the roles of the previous process are up to date. No call sees a half-done end. */
int clients_filter_calls(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Clients *clients = userdata;

        if (!sd_bus_message_is_method_call(m, NULL, NULL))
                return 0;
        /* A caller who has received RoleExited may purge the role, and finds all done. */
        node_follow_up(clients->node);
        return clients->node->recovered ? clients_keep_order(clients, m, error)
                                        : clients_hold(clients, m, error);
}

void clients_forget_calls(Clients *clients, const sd_bus *bus) {
        for (GList *l = clients->held->head, *next; l; l = next) {
                next = l->next;
                if (sd_bus_message_get_bus(l->data) == bus)
                        clients_let_go(clients, l);
        }
}

static int clients_on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Clients *clients = userdata;

        /* The service is ending anyway. */
        if (clients->node->finished)
                return 0;
        return sd_event_exit(clients->event, CLIENTS_BUS_LOST);
}

static int clients_connect_one(Clients *clients, const char *description, sd_bus **ret) {
        const bool user = clients->node->user;
        sd_bus_slot *slot = NULL;

        int r = user ? sd_bus_open_user_with_description(ret, description)
                     : sd_bus_open_system_with_description(ret, description);
        if (r < 0)
                return log_error_errno(r, "Cannot connect to the %s bus: %m", user ? "user" : "system");
        r = sd_bus_attach_event(*ret, clients->event, SD_EVENT_PRIORITY_NORMAL);
        /* The bus is not closed with the loop, because clients_free() still sends replies, and limits the
         * time that it waits for them. */
        if (r >= 0)
                r = sd_bus_set_close_on_exit(*ret, false);
        if (r >= 0)
                r = sd_bus_match_signal(*ret, &slot, "org.freedesktop.DBus.Local",
                        "/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local", "Disconnected",
                        clients_on_disconnected, clients);
        if (r < 0)
                return log_error_errno(r, "Cannot set up the bus: %m");
        g_ptr_array_add(clients->slots, slot);
        return 0;
}

static int clients_connect(Clients *clients) {
        sd_bus_slot *slot = NULL;

        int r = clients_connect_one(clients, "architect-node", &clients->bus);
        if (r >= 0)
                r = clients_connect_one(clients, "architect-node-internal", &clients->internal);
        if (r < 0)
                return r;
        r = sd_bus_add_filter(clients->bus, &slot, clients_filter_calls, clients);
        if (r >= 0) {
                g_ptr_array_add(clients->slots, slot);
                r = clients_register(clients);
        }
        return r < 0 ? log_error_errno(r, "Cannot set up the bus: %m") : 0;
}

int clients_open(Clients *clients) {
        int r = bus_errors_register();
        if (r < 0)
                return log_error_errno(r, "Cannot register the names of errors: %m");
        r = clients_connect(clients);
        if (r >= 0 && clients->node->user)
                authority_set_user(clients->authority, getuid());
        return r;
}

void clients_adopt_roles(Clients *clients) {
        announce_adopt_roles(clients);
}

void clients_load_log(Clients *clients, int dir_fd) {
        clients->dir_fd = dir_fd;
        log_dbus_load(clients);
}

void clients_forget_log(Clients *clients) {
        log_dbus_forget(clients);
}

/* -- its methods -- */

int clients_check_change(Clients *clients, sd_bus_message *m, const AuthorityRequest *request,
        const Caller **ret, sd_bus_error *error) {
        g_auto(Fault) fault = {};

        int r = authority_check(clients->authority, m, request, ret, error);
        if (r != 0)
                return r;
        r = node_check_not_stopping(clients->node, &fault);
        return r < 0 ? fault_to_bus_error(&fault, r, error) : 0;
}

/* -- its names -- */

static int clients_on_name(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Clients *clients = userdata;
        const sd_bus_error *e = sd_bus_message_get_error(m);
        uint32_t code;

        int r = e ? -sd_bus_message_get_errno(m) : sd_bus_message_read(m, "u", &code);
        if (e)
                log_error("Cannot take the name %s on the bus: %s", clients->bus_name, e->message);
        else if (r < 0)
                log_error_errno(r, "Cannot take the name %s on the bus: %m", clients->bus_name);
        else if (code != 1 && code != 4) { /* DBUS_REQUEST_NAME_REPLY_PRIMARY_OWNER, _ALREADY_OWNER */
                r = -EADDRINUSE;
                log_error(
                        "Cannot take the name %s on the bus: another process has it, the instance may be running already",
                        clients->bus_name);
        }
        if (r < 0) {
                (void) sd_event_exit(clients->event, EXIT_FAILURE);
                return 0;
        }

        /* Signals about roles must come from our name, so they are sent only now. First come those that the
         * previous process has not sent. */
        node_tell_unsent_events(clients->node);
        r = private_new(clients, clients->directory, &clients->private);
        if (r < 0)
                log_error_errno(r,
                        "Cannot listen at %s/" NODE_PRIVATE_SOCKET ", calls are accepted on the bus only: %m",
                        clients->directory);
        ASK(clients->node, service, named);
        return 0;
}

static int clients_on_common_name(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(m);

        if (e)
                log_warning(
                        "Cannot queue for the name %s on the bus, other users cannot reach the service: %s",
                        NODE_BUS_NAME_ALL, e->message);
        return 0;
}

static int clients_on_internal_name(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(m);

        if (e)
                log_warning(
                        "Cannot queue for the name %s on the bus, other users may send signals to this service: %s",
                        NODE_BUS_NAME_INTERNAL, e->message);
        return 0;
}

int clients_request_names(Clients *clients, const char *bus_name, const char *directory) {
        sd_bus_slot *slot = NULL;

        clients->bus_name = g_strdup(bus_name);
        clients->directory = g_strdup(directory);
        int r = sd_bus_request_name_async(clients->internal, &slot, NODE_BUS_NAME_INTERNAL, SD_BUS_NAME_QUEUE,
                clients_on_internal_name, clients);
        if (r < 0)
                return log_error_errno(
                        r, "Cannot request the name %s on the bus: %m", NODE_BUS_NAME_INTERNAL);
        g_ptr_array_add(clients->slots, slot);
        /* This comes first, because a client that sees our own name must be permitted to call it. */
        r = sd_bus_request_name_async(
                clients->bus, &slot, NODE_BUS_NAME_ALL, SD_BUS_NAME_QUEUE, clients_on_common_name, clients);
        if (r < 0)
                return log_error_errno(r, "Cannot request the name %s on the bus: %m", NODE_BUS_NAME_ALL);
        g_ptr_array_add(clients->slots, slot);
        r = sd_bus_request_name_async(clients->bus, &slot, bus_name, 0, clients_on_name, clients);
        if (r < 0)
                return log_error_errno(r, "Cannot request the name %s on the bus: %m", bus_name);
        g_ptr_array_add(clients->slots, slot);
        return 0;
}
