/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The life of a node: made, filled from the disk, configured, freed. */

#include "model/node.h"

/* The sides of the world may be attached after this, before the first role: node->world. */
Node *node_new(const char *instance, sd_event *event, Events *events /* taken */);
Node *node_free(Node *node);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Node, node_free)

/* Reads what the process before us has left in this directory about environment, monitor and ports; -1: nothing, in memory
 * only. Needs the world. */
int node_open_state(Node *node, int dir_fd);

/* After the end of a shutdown. clean: nothing is left, and the next start is a new beginning, not the recovery from a crash. */
void node_forget_state(Node *node, bool clean);

/* Puts other settings in force; roles that run keep what they were started with. */
void node_set_settings(Node *node, Settings *settings /* taken */);
