/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The keeper replaces itself by execve(2) of the currently installed program. That keeps the PID, and so the
 * children, their zombies and the descriptors. Before that the new program is run as a child with --check on
 * the state. If it refuses the state, nothing has changed. */

#include "keeper/keeper-state.h"
#include "keeper/keeper.h"

/* The variable in the environment of the new program with the number of the descriptor of the state. */
#define KEEPER_STATE_ENVIRONMENT "ARCHITECT_KEEPER_STATE"

/* Requests a re-execution. asker_fd is negative if the node requests it; the function takes ownership of it.
 * A reply is sent in any case. */
void reexec_ask(Keeper *keeper, int asker_fd);
void reexec_on_check(Keeper *keeper); /* the check has ended */
void reexec_on_asker(Keeper *keeper); /* the requesting process has hung up */

/* Does the step that is due. Returns the milliseconds until the next one, or -1. Returns from the execve(2)
 * only if that fails. */
int reexec_run(Keeper *keeper);

/* The new program calls this instead of keeper_init(). Takes over everything that the previous program had.
 * Returns a negative errno. */
int keeper_resume(Keeper *keeper, const struct keeper_self *self, const KeeperState *state);
