/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The loop of the keeper. It waits for connections, requests and the ends of children. */

#include "keeper/keeper.h"

/* Returns only a negative errno, if it cannot continue. */
int keeper_run(Keeper *keeper);
