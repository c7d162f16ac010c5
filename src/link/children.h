/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* This room connects the children of the keeper with their roles (LinkOps of model/world.h), on a connection
 * of its own (keeper-link.h). */

#include <glib.h>
#include <systemd/sd-event.h>

#include "model/node.h"

typedef struct Children Children;

/* Attaches itself to the node. socket_path is the socket of the keeper. Returns a negative errno; then
 * nothing was created. */
int children_new(sd_event *event, Node *node, const char *socket_path, Children **ret);

/* Fails all pending requests and detaches itself. It must be freed before the node. */
Children *children_free(Children *children);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Children, children_free)

/* Begins to connect. node_on_keeper() follows, and again after each loss of the connection. */
void children_open(Children *children);

/* Called after the event loop, when the clients have received every signal. Sends which children the keeper
 * may forget, and waits for its replies for a limited time. */
void children_finish(Children *children);
