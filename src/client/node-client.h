/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where a node is on a bus, and what it announces there. */

#include <systemd/sd-bus.h>

/* Returns the name of an instance on the bus. The caller frees it. */
char *node_bus_name(const char *instance);

/* Returns the object path of a role. The caller frees it with free(). */
char *role_object_path(const char *role);

/* Makes a call to which a node replies as soon as it replies to anything, and which starts none. It is not
 * org.freedesktop.DBus.Peer.Ping, to which systemd-stdio-bridge replies itself. */
int node_new_ping(sd_bus *bus, const char *bus_name, sd_bus_message **ret);

/* The callback gets each signal of the node that has this name. Returns a negative errno. The subscription
 * lasts as long as the connection. */
int node_subscribe(sd_bus *bus, const char *bus_name, sd_bus_message_handler_t callback, void *userdata);

/* The callback gets NameOwnerChanged of this name: three strings, the name, its owner before and its owner
 * now, of which an empty one is none. */
int node_subscribe_owner(
        sd_bus *bus, const char *bus_name, sd_bus_message_handler_t callback, void *userdata);

/* Returns the match rule of that. The caller frees it. */
char *node_owner_match(const char *bus_name);
