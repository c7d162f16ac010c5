/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* org.architect.Node.Role on the bus: one object a role, found by name, and its coalesced changes. */

#include "node/agent.h"

extern const sd_bus_vtable role_dbus_vtable[];

int role_dbus_register(Agent *agent);

/* /org/architect/Node/role/<encoded name>. The caller g_frees. */
char *role_dbus_path(const char *name);

/* The world's: what changed is sent when nothing else is to be done; the first change announces the object. */
void role_dbus_changed(void *world, Role *role);
void role_dbus_removed(void *world, Role *role);
void role_dbus_node_changed(void *world);

/* Clients must know the object before a signal names it. */
void role_dbus_announce(Agent *agent, Role *role);

/* After every turn of the loop: changes that waited for the bus to take what was queued go on. */
void role_dbus_reschedule(Agent *agent, uint64_t queued);
int role_dbus_setup(Agent *agent);
