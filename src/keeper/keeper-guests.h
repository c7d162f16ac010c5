/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Handles new connections. A guest is a node, a node that is refused, or a process that requests a
 * re-execution. */

#include "keeper/keeper.h"

void keeper_on_listener(Keeper *keeper);
/* Handles the first packet of a guest, or its end. i is the index in Keeper.guests. */
void keeper_on_guest(Keeper *keeper, size_t i);
void keeper_close_refused(Keeper *keeper);
