/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Connections to several hosts in one event loop, for verbs whose hosts depend on each other. No more than
 * REMOTE_CONNECTING_MAX of them are in the making at a time. */

#include <stdint.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "util/autoptr.h"

typedef enum HostLinkState {
        HOST_LINK_DOWN,   /* nobody tries, or not before some time */
        HOST_LINK_QUEUED, /* others are before it */
        HOST_LINK_CONNECTING,
        HOST_LINK_UP,
} HostLinkState;

typedef struct HostLinks HostLinks;
typedef struct HostLink HostLink;

struct HostLink {
        char *name;
        void *owner; /* the caller's */
        HostLinkState state;
        sd_bus *bus;  /* only with HOST_LINK_UP; it is processed by the event loop */
        char *reason; /* why the last attempt failed, or the last connection ended; NULL: neither has */

        /* Private. */
        HostLinks *links;
        char *address;
        sd_bus *new_bus;
        int errors; /* a pipe with what ssh says */
        sd_event_source *timer;
        uint64_t delay_usec;
};

/* A link is up, or it is down: an attempt has failed, or the connection has ended. Calls that were under way
 * have got their errors by then if the host has ended it, and get nothing after host_link_give_up(). The
 * callback must not free the links. */
typedef void (*HostLinkChanged)(HostLink *link);

/* With retry a link that is down is tried again, after 1 s at first and up to 30 s later, each time up to a
 * half earlier, so that 100 desks do not come back at the same time. The time grows until
 * host_link_settle(). */
HostLinks *host_links_new(sd_event *event, uint64_t patience_usec, bool retry, HostLinkChanged changed);
HostLinks *host_links_free(HostLinks *links);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HostLinks, host_links_free)

/* The links own it. The address is one for sd-bus, such as that of remote_address(); NULL is the bus of this
 * system. It is down until host_link_connect(). */
HostLink *host_links_add(HostLinks *links, const char *name, const char *address, void *owner);

/* Connects it, in its turn. Without effect unless it is down. */
void host_link_connect(HostLink *link);

/* The connection is of use, so that the first attempt after its end comes soon. A host whose bus answers, and
 * nothing behind it, is tried less and less often without this. */
void host_link_settle(HostLink *link);

/* Ends a connection that is of no use, for this reason: the host does not answer. changed() is called. */
void host_link_give_up(HostLink *link, const char *reason);
