/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The objects as the clients know them: which roles they have, and the changes of properties, coalesced. */

#include "bus/clients-private.h"

int announce_setup(Clients *clients);
void announce_free(Clients *clients);

/* ClientOps: what changed is sent when nothing else is to be done; the first change of a role announces its object. */
void announce_role_changed(void *data, Role *role);
void announce_role_removed(void *data, Role *role);
void announce_node_changed(void *data);

/* The roles of the process before us: the clients know their objects, and not what they are now. */
void announce_adopt_roles(Clients *clients);

/* A change of a role at once: clients must know the object before a signal names it. */
void announce_role(Clients *clients, Role *role);

/* After every turn of the loop: changes that waited for the bus to take what was queued go on. */
void announce_resume(Clients *clients, uint64_t queued);
