/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Who connects: a node, one that is one too many, or somebody who asks for a re-execution. */

#include "keeper/keeper.h"

void keeper_on_listener(Keeper *keeper);
/* Its first packet, or its end. i: in Keeper.guests. */
void keeper_on_guest(Keeper *keeper, size_t i);
void keeper_close_refused(Keeper *keeper);
