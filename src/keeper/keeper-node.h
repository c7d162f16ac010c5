/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The connection to the node. This file decides which packets are sent, and in which order. */

#include "keeper/keeper.h"

/* Queue a child for the next keeper_flush(). keeper_announce() sends the child, including its exit,
 * keeper_tell_exit() its exit. */
void keeper_announce(Keeper *keeper, Child *child);
void keeper_tell_exit(Keeper *keeper, Child *child);

/* The same for what a role has sent and this node has not received, if there is any. */
void keeper_tell_notified(Keeper *keeper, Notify *notify);

/* Queues the result of a look-up, if the node is connected, and forgets the look-up as soon as it has ended,
 * too. Also called for one that has ended. */
void keeper_tell_lookup(Keeper *keeper, Lookup *lookup);
/* Makes the error the result of all look-ups that are under way. */
void keeper_fail_lookups(Keeper *keeper, int error);

/* Queues the reply to the request of the node for the next keeper_flush(). Returns 0. */
int keeper_reply_done(Keeper *keeper, const struct keeper_header *request, int error);

/* Sends what the node has not received yet, until its socket is full. */
void keeper_flush(Keeper *keeper);

/* Returns whether no packet, request, reply or look-up is incomplete, and no child takes a notification,
 * unless that lasts for long. */
bool keeper_is_quiet(const Keeper *keeper);

/* Stops or resumes reading the requests of the node. */
void keeper_pause_node(Keeper *keeper, bool pause);

void keeper_close_gate(Child *child);
void keeper_close_node(Keeper *keeper);
void keeper_close_bad_node(Keeper *keeper, const char *why, int error);
