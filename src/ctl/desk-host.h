/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One host of the desk: its connection, whether its node answers, its events, and calls to its node. It calls
 * nothing by itself but what reads. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "client/events.h"
#include "ctl/host-link.h"

typedef enum DeskHostState {
        DESK_HOST_CONNECTING,  /* for the first time */
        DESK_HOST_CONNECTED,   /* its bus answers, and the node, if it runs */
        DESK_HOST_UNREACHABLE, /* it is tried again */
} DeskHostState;

/* The names on the bus, such as "connected". */
const char *desk_host_state_to_string(DeskHostState state);

typedef struct DeskHost DeskHost;

/* What a host needs of the desk, and what it reports. */
typedef struct DeskHostOps {
        /* state or reason are others. */
        void (*changed)(DeskHost *host, void *userdata);
        /* As in EventHandlers. After a negative errno the event comes again. */
        int (*event)(DeskHost *host, const NodeEvent *event, sd_bus_message *m, void *userdata);
        /* Events of these numbers are lost. The last one is UINT64_MAX if it is not known. */
        void (*lost)(DeskHost *host, const char *epoch, uint64_t first, uint64_t last, void *userdata);
} DeskHostOps;

struct DeskHost {
        const char *name;   /* that of the link */
        char *path;         /* of its object on the desk */
        HostLink *link;     /* its owner is this */
        EventReader reader; /* has an epoch if known is set */
        bool known;         /* the number of its newest event was read once */
        DeskHostState state;
        char *reason; /* why it is not connected, or what does not work there; empty if all does */

        /* Private. */
        const DeskHostOps *ops;
        void *userdata;
        sd_bus *desk_bus;
        char *bus_name; /* of its node */
        uint64_t patience_usec;
        GQueue calls;            /* of DeskCall, without a reply */
        sd_bus_slot *round_trip; /* over the bus of the desk, before more events are read */
        sd_event_source *timer;
        bool reading; /* a call about events is under way, or the round trip */
        bool news;    /* there may be events that were not read */
        bool silent;  /* a ping was sent, and has no reply */
};

/* The links own the connection. bus_name is that of the node on each host, desk_bus the one to which the
 * events go. A host is freed after the links. */
DeskHost *desk_host_new(HostLinks *links, const char *name, const char *address, const char *path,
        const char *bus_name, sd_bus *desk_bus, sd_event *event, uint64_t patience_usec,
        const DeskHostOps *ops, void *userdata);
DeskHost *desk_host_free(DeskHost *host);

/* Its link has changed. */
void desk_host_on_link(DeskHost *host);

/* Fails all calls that have no reply, before the end. */
void desk_host_end(DeskHost *host);

/* Makes a call of an object of the node, for which the host must be connected. */
int desk_host_new_call(
        DeskHost *host, sd_bus_message **ret, const char *path, const char *interface, const char *member);

/* Sends it. The callback gets the reply or the error, exactly once, unless this returns a negative errno. A
 * node may take as long as it likes if it replies to something else meanwhile; if it does not, the connection
 * is given up. */
typedef void (*DeskReply)(sd_bus_message *reply, const sd_bus_error *error, void *userdata);
int desk_host_send(DeskHost *host, sd_bus_message *call, DeskReply callback, void *userdata);

#define DESK_ERROR_UNREACHABLE "org.architect.Desk.Error.Unreachable"
#define DESK_ERROR_CONNECTION_LOST "org.architect.Desk.Error.ConnectionLost"
