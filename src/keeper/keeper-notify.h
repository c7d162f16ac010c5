/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reads the sockets of the roles (notify.h), and lets children take the messages with descriptors. */

#include "keeper/keeper.h"

/* Reads at most max messages, unless a child takes one of them, and queues what has come for the node. */
void keeper_read_notify(Keeper *keeper, Notify *notify, unsigned max);
/* The role has ended. Its end is told after everything that it has sent. */
void keeper_tell_end(Keeper *keeper, Child *child);

void keeper_on_notify(Keeper *keeper, Notify *notify);
void keeper_on_notify_drop(Keeper *keeper, Notify *notify);

/* These return the milliseconds until they must be called again, or -1. */
int keeper_resume_notify(Keeper *keeper);
int keeper_run_drops(Keeper *keeper);
