/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The connection to the node: what the keeper has to send, and in which order. */

#include "keeper/keeper.h"

/* Each with the next keeper_flush(); a child is announced, with its end, or its end is told. */
void keeper_announce(Keeper *keeper, Child *child);
void keeper_tell_exit(Keeper *keeper, Child *child);

/* The reply to the node's request, with the next keeper_flush(). Returns 0. */
int keeper_reply_done(Keeper *keeper, const struct keeper_header *request, int error);

/* Sends the node what it has still to hear, as far as it takes that. */
void keeper_flush(Keeper *keeper);

/* Whether nothing is half said or half done. */
bool keeper_is_quiet(const Keeper *keeper);

/* Reads the node's requests, or leaves them where they are. */
void keeper_pause_node(Keeper *keeper, bool pause);

void keeper_close_gate(Child *child);
void keeper_close_node(Keeper *keeper);
void keeper_close_bad_node(Keeper *keeper, const char *why, int error);
