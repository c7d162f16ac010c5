/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the keeper has, as plain values (keeper-state.h), and back. */

#include "keeper/keeper-state.h"
#include "keeper/keeper.h"

/* What there is, to be written down. The caller clears it. */
int keeper_collect(const Keeper *keeper, KeeperState *ret);

/* The same, in a new sealed memfd, which is returned. A StoreWriteState. */
int keeper_write_state(const void *keeper);

/* Into a keeper that has nothing yet. */
int keeper_take_over(Keeper *keeper, const KeeperState *state);
