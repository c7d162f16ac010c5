/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Shared by the files of this room, and nobody else. */

#include <systemd/sd-bus.h>

#include "bus/authority.h"
#include "model/events.h"
#include "model/node.h"
#include "model/role.h"

typedef struct Clients Clients; /* as in clients.h, which is for the others */

struct Clients {
        sd_event *event;
        Node *node;
        sd_bus *bus;
        char *bus_name;
        Authority *authority;
        GPtrArray *slots;
        GQueue *held; /* calls that came before the roles were up to date */

        GHashTable *role_objects;   /* of announce.c, by name */
        GQueue dirty;               /* those whose properties may have changed since the last signal */
        bool node_dirty;            /* the same of the node's */
        GPtrArray *node_vtables;    /* of the node's interface */
        GArray *node_values;        /* what the clients know of it: see properties_compare() */
        sd_event_source *announce;  /* sends what is dirty, when nothing else is to be done */
        sd_event_source *after_all; /* runs after whatever else has run */
        uint64_t confirming; /* the bus is asked whether it has read the events up to this; 0: it is not */

        int dir_fd;        /* where the log level is saved; not owned; negative: nowhere */
        bool log_to_sve;   /* each log message also goes out as a signal */
        char *log_unknown; /* fields of a newer version in the file of the two */
        struct LogSignals {
                bool sending;
                uint64_t second_usec;
                unsigned n_sent;    /* in this second */
                unsigned n_dropped; /* since the last one that was sent */
        } log_signals;
};

/* The end of the service does not wait longer for a bus that hangs; twice: for the last signals, and for the last answers. */
#define CLIENTS_END_USEC USEC_PER_SEC

/* clients.c: registers every object and method on clients->bus. */
int clients_register(Clients *clients);

/* The node's interface, in parts; each returns what sd_bus_add_object_vtable() does. */
int clients_add_vtable(Clients *clients, const sd_bus_vtable *vtable);
int node_dbus_register(Clients *clients);
int env_dbus_register(Clients *clients);
int events_dbus_register(Clients *clients);
int monitor_dbus_register(Clients *clients);
int log_dbus_register(Clients *clients);
int ports_dbus_register(Clients *clients);

/* log-dbus.c */
void log_dbus_load(Clients *clients);
void log_dbus_forget(Clients *clients);

/* event-signals.c: sends an event as its signal. */
void event_signals_send(Clients *clients, const Event *event);

/* events-dbus.c: has the bus taken the signals of all events? Asks it, if there are any new; or asks and waits, for a
 * moment: at the end. */
void events_dbus_confirm(Clients *clients);
void events_dbus_confirm_all(Clients *clients);
