/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The requests of the node. */

#include "keeper/keeper.h"

/* Called when the connection of the node is readable, has room again or has ended. */
void keeper_on_node(Keeper *keeper, uint32_t events);

/* Handles a packet of any size and contents, including the first one. Returns 0, or -EBADMSG, which ends the
 * connection. */
int keeper_on_request(Keeper *keeper, const void *data, size_t size);
int keeper_on_hello(Keeper *keeper, const struct keeper_hello *m);
