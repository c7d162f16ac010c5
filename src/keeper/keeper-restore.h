/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Restores what systemd has stored for a keeper that died (keeper-store.h). */

#include "keeper/keeper.h"

/* Takes over n descriptors from first on; names are their names, separated by colons. Descriptors with an
 * unknown name are left alone, and all others that are not needed are closed. Returns a negative errno. */
int keeper_restore(Keeper *keeper, int first, uint32_t n, const char *names);

/* Removes the sockets of terminals and notifications that a dead keeper has left and that this one does not
 * have. */
void keeper_clean_sockets(Keeper *keeper);
