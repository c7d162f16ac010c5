/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* After the death of a keeper: what systemd has kept of it (keeper-store.h). */

#include "keeper/keeper.h"

/* n descriptors from first on, with names divided by colons. Takes what it knows into the keeper, closes the rest; those of other
 * names are left alone. */
int keeper_restore(Keeper *keeper, int first, uint32_t n, const char *names);
