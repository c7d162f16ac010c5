/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The keeper replaces itself: execve(2) of the program that is installed by now, which keeps the pid and with it the children,
 * their zombies and the descriptors. Before that the new program is run as a child with --check on the state; if it does not
 * like it, nothing has happened. */

#include "keeper/keeper-state.h"
#include "keeper/keeper.h"

/* In the environment of the new program: the number of the descriptor with the state. */
#define KEEPER_STATE_ENVIRONMENT "ARCHITECT_KEEPER_STATE"

/* asker_fd negative: the node asks. Takes it. It is answered in any case. */
void reexec_ask(Keeper *keeper, int asker_fd);
void reexec_on_check(Keeper *keeper); /* it has ended */
void reexec_on_asker(Keeper *keeper); /* it has hung up */

/* Does what it is time for; milliseconds until the next time, or -1. Comes back from the execve(2) only if that fails. */
int reexec_run(Keeper *keeper);

/* In the new program, in the place of keeper_init(): takes over all that the program before it had. */
int keeper_resume(Keeper *keeper, const struct keeper_self *self, const KeeperState *state);
