/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Converts what the keeper has into plain values (keeper-state.h), and back. */

#include "keeper/keeper-state.h"
#include "keeper/keeper.h"

/* Collects the current state. The caller clears it. Returns a negative errno. */
int keeper_collect(const Keeper *keeper, KeeperState *ret);

/* Writes the current state into a new sealed memfd and returns the memfd or a negative errno. This is a
 * StoreWriteState: the connection of the node is not in it, because that ends with this process. */
int keeper_write_state(const void *keeper);

/* Loads a state into a keeper that has nothing yet. Returns a negative errno. */
int keeper_take_over(Keeper *keeper, const KeeperState *state);
