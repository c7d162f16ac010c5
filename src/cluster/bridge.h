/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Follows the events of the node. A role of the cluster that has ended and that nobody has ended is reported
 * at once, instead of at the next monitor of Pacemaker. */

#include <systemd/sd-bus.h>

typedef struct Bridge Bridge;

/* Gets the resource of a role that has failed, once for each event. */
typedef void (*BridgeReport)(const char *resource, void *userdata);

/* name is that of the node on the bus. The strings must live as long as the bridge, and the
 * bridge as long as the connection, to which it subscribes. */
int bridge_new(
        Bridge **ret, sd_bus *bus, const char *name, const char *lease, BridgeReport report, void *userdata);

/* Takes NULL, and returns it. */
Bridge *bridge_free(Bridge *bridge);
