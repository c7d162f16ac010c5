/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The connections with corosync of this host: its quorum, and the process group of the hosts. No call waits
 * for a corosync that is frozen, but those of corosync_open(), which the watchdog of the service ends. */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "cluster/cluster-message.h"

typedef struct Corosync Corosync;

typedef struct CorosyncEvents {
        /* A message of the group, also of this process itself (own). */
        void (*message)(const ClusterMessage *message, bool own, void *userdata);
        /* There is another ring: hosts have come or gone. */
        void (*ring)(void *userdata);
        /* There is no corosync any more. The next thing to do is corosync_close(), but not here. */
        void (*lost)(void *userdata);
} CorosyncEvents;

/* Connects and joins the group. Returns -ENOTCONN if there is no corosync. */
int corosync_open(Corosync **ret, sd_event *event, const CorosyncEvents *events, void *userdata);

/* Takes NULL, and returns it. */
Corosync *corosync_close(Corosync *corosync);

/* The name of this host, as Pacemaker has it: that of the node list of corosync, or else that of the kernel.
 */
const char *corosync_get_name(const Corosync *corosync);

/* Whether the cluster has the option two_node of votequorum(5), with which a host alone has quorum, and so
 * has the other one. */
bool corosync_is_two_node(const Corosync *corosync);

/* Whether this host is in a part of the cluster that has quorum: what is known of the quorum belongs to the
 * ring in which the last message of the group was delivered. */
bool corosync_is_quorate(Corosync *corosync);

/* Sends a message to the group. Returns -EAGAIN if it cannot be sent now. */
int corosync_send(Corosync *corosync, ClusterVerb verb, const char *name, uint64_t number);
