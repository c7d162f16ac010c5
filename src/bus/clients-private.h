/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Shared by the files of this room only. */

#include <systemd/sd-bus.h>

#include "bus/allowance.h"
#include "bus/authority.h"
#include "bus/bus-raw.h"
#include "bus/peers.h"
#include "model/events.h"
#include "model/node.h"
#include "model/role.h"

typedef struct Private Private; /* of private.h */
typedef struct Clients Clients; /* as in clients.h, which is for the other rooms */

struct Clients {
        sd_event *event;
        Node *node;
        sd_bus *bus;
        /* What the service itself requests comes back on a connection of its own, because replies and signals
         * would otherwise stand in the queue of the bus behind all that clients send. */
        sd_bus *internal;
        char *bus_name;
        char *directory; /* of the private socket */
        Peers *peers, *internal_peers;
        Private *private;
        Authority *authority;
        Allowance *allowance;
        BusRaw *raw; /* for replies that are composed as bytes; NULL after one that has failed */
        GPtrArray *slots;
        GQueue *held; /* calls that arrived before the roles were up to date */

        GHashTable *role_objects; /* name → RoleObject, see announce.c */
        GQueue dirty;             /* of RoleObject, which may have changed since their last signal */
        bool node_dirty;          /* the properties of the node may have changed */
        GPtrArray *node_vtables;  /* of the interface of the node */
        GArray *node_values; /* the hashes of the values that the clients know, see properties_compare() */
        sd_event_source *announce;  /* sends the changes */
        sd_event_source *after_all; /* runs after all other event sources */
        /* While a call verifies that the bus has read the signals, the sequence number of the last of them,
         * otherwise 0. */
        uint64_t confirming;

        int dir_fd;        /* where the log level is saved; not owned; negative if it is not saved */
        bool log_to_sve;   /* each log message is also sent as a signal */
        char *log_unknown; /* fields of a newer version, in the file that has both settings */
        struct LogSignals {
                bool sending;
                uint64_t second_usec;
                unsigned n_sent;    /* during this second */
                unsigned n_dropped; /* since the last signal that was sent */
        } log_signals;
};

/* The end of the service waits no longer than this for a bus that does not respond. It waits three times, for
 * the last signals, for the last replies and for the last requests. */
#define CLIENTS_END_USEC USEC_PER_SEC

/* In clients.c. Registers all objects and methods on clients->bus, and whose signals are believed. Returns a
 * negative errno. */
int clients_register(Clients *clients);
/* The same objects on another connection. The array of sd_bus_slot keeps them there. */
int clients_register_objects(Clients *clients, sd_bus *bus, GPtrArray *slots);
/* In objects-dbus.c. The object manager, on any connection. */
int objects_dbus_register(Clients *clients, sd_bus *bus, GPtrArray *slots);
/* Replies with bytes, see bus-raw.h. */
int clients_reply_bytes(Clients *clients, sd_bus_message *m, const char *signature, const BusBytes *body);
/* A filter that holds calls back until the roles are up to date, and keeps those of one sender in their
 * order. */
int clients_filter_calls(sd_bus_message *m, void *userdata, sd_bus_error *error);
/* Drops the held calls of a connection that is being closed. */
void clients_forget_calls(Clients *clients, const sd_bus *bus);

/* The interface of the node consists of several parts. These functions return a negative errno, as
 * sd_bus_add_object_vtable() does. */
int clients_add_vtable(Clients *clients, const sd_bus_vtable *vtable);
int node_dbus_register(Clients *clients);
int definitions_dbus_register(Clients *clients);
int env_dbus_register(Clients *clients);
int events_dbus_register(Clients *clients);
int many_dbus_register(Clients *clients);
int monitor_dbus_register(Clients *clients);
int leases_dbus_register(Clients *clients);
int log_dbus_register(Clients *clients);
int permissions_dbus_register(Clients *clients);
int ports_dbus_register(Clients *clients);

/* In clients.c. The check of a method that changes something. Returns what authority_check() returns, which
 * it calls first, and an error if a shutdown is under way. */
int clients_check_change(Clients *clients, sd_bus_message *m, const AuthorityRequest *request,
        const Caller **ret, sd_bus_error *error);

/* The arguments of it and of authority_check() for a method that is about no role. */
#define REQUEST(action_name, what) \
        (&(AuthorityRequest){ .action = NODE_ACTION_##action_name, .doing = (what) })

/* In log-dbus.c. */
void log_dbus_load(Clients *clients);
void log_dbus_forget(Clients *clients);

/* In event-signals.c. Sends an event as its signal. */
void event_signals_send(Clients *clients, const Event *event);

/* In events-dbus.c. The first function verifies asynchronously that the bus has read the signals of all
 * events, if there are new ones. The second one is for the end of the service and waits for the reply, for
 * CLIENTS_END_USEC. */
void events_dbus_confirm(Clients *clients);
void events_dbus_confirm_all(Clients *clients);
