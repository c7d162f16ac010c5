/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The keeper's one loop: who listens, who asks, whose end is waited for. */

#include "keeper/keeper.h"

/* Returns only when it cannot go on. */
int keeper_run(Keeper *keeper);
