/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The children of the keeper and the roles they belong to: the model's side of the keeper (LinkOps of model/world.h), on a
 * connection of its own (keeper-link.h). */

#include <glib.h>
#include <systemd/sd-event.h>

#include "model/node.h"

typedef struct Children Children;

/* Attaches itself to the node. socket_path: the keeper's. Negative errno: nothing was made. */
int children_new(sd_event *event, Node *node, const char *socket_path, Children **ret);

/* Ends what waits for the keeper with an error, and detaches itself: to be freed before the node. */
Children *children_free(Children *children);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Children, children_free)

/* Begins to connect; node_on_keeper() follows, again after each loss. */
void children_open(Children *children);

/* The loop has ended and the clients have taken every signal: sends what may be forgotten, and waits a moment for the
 * keeper's answers. */
void children_finish(Children *children);
