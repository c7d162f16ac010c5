/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* This file has the role objects that the clients know, and sends the changes of properties, coalesced. */

#include "bus/clients-private.h"

int announce_setup(Clients *clients);
void announce_free(Clients *clients);

/* ClientOps. Changes are sent 10 ms after the first of them, when no other event is pending. The first change
 * of a role announces its object. */
void announce_role_changed(void *data, Role *role);
void announce_role_removed(void *data, Role *role);
void announce_node_changed(void *data);

/* Called for the roles of the previous process. The clients know their objects, but not their current
 * properties. */
void announce_adopt_roles(Clients *clients);

/* Sends the changes of a role at once, because the clients must know the object before a signal names it. */
void announce_role(Clients *clients, Role *role);

/* Called after each iteration of the event loop. Resumes the changes that were held because of unwritten
 * messages; queued is the number of those. */
void announce_resume(Clients *clients, uint64_t queued);
