/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the node asks for. */

#include "keeper/keeper.h"

/* Its connection has something to be read, has room again or has ended. */
void keeper_on_node(Keeper *keeper, uint32_t events);

/* A packet of any size and contents, and its first one. 0, or -EBADMSG, which ends the connection. */
int keeper_on_request(Keeper *keeper, const void *data, size_t size);
int keeper_on_hello(Keeper *keeper, const struct keeper_hello *m);
