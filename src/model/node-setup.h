/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A node is created, loaded from the disk, configured and freed here. */

#include "model/node.h"

/* After this call and before the first role, the caller fills node->world. */
Node *node_new(const char *instance, sd_event *event, Events *events /* owned from then on */);
Node *node_free(Node *node);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Node, node_free)

/* Loads the environment, the monitor, the leases and the ports that the previous process has saved in this
 * directory; -1 keeps them in memory only. state_fd: the state directory, see leases_open(). Requires the
 * world. Returns a negative errno. */
int node_open_state(Node *node, int dir_fd, int state_fd);

/* Removes the saved state at the end of a shutdown. If the shutdown was clean, nothing remains, and the next
 * start is no recovery from a crash. */
void node_forget_state(Node *node, bool clean);

/* Takes the place of the definitions so far. Roles that run keep those with which they were started. */
void node_set_definitions(Node *node, Definitions *definitions /* owned from then on */);

/* Applies other settings. Roles that run keep those with which they were started. */
void node_set_settings(Node *node, Settings *settings /* owned from then on */);
