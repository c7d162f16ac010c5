/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One instance of the node: reads its roles and its events and publishes them. It only ever calls what reads,
 * and never starts the service by a call.
 *
 * The events that were not published wait in the log of the node, not here. So the memory of this program has
 * a bound however long the broker is away, and what the log has dropped by then is reported as a gap. */

#include <systemd/sd-bus.h>

#include "mqtt/broker.h"

typedef struct NodeWatch NodeWatch;

/* The bus must be attached to the loop. The position is saved in the state directory. Returns a negative
 * errno after logging. */
int node_watch_new(
        sd_bus *bus, Broker *broker, const char *base, const char *instance, int state_fd, NodeWatch **ret);
NodeWatch *node_watch_free(NodeWatch *watch);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NodeWatch, node_watch_free)

/* What the broker reports (BrokerHandlers). */
void node_watch_on_connected(NodeWatch *watch);
void node_watch_on_lost(NodeWatch *watch);
void node_watch_on_retained(NodeWatch *watch, const char *topic);
void node_watch_on_acknowledged(NodeWatch *watch, int id);

/* Publishes what there is room for, and reads what is to be published next. */
void node_watch_pump(NodeWatch *watch);

/* Saves the position if that is not done yet. */
void node_watch_save(NodeWatch *watch);
