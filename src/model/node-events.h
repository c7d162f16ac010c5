/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Events of the node are saved first, then sent. After a restart the saved events are sent again, and the
 * saved roles corrected. */

#include "model/events.h"
#include "model/node.h"

/* Gives the event its number and saves it, before any client receives it. Returns false and logs if it cannot
 * be saved. */
bool node_event_add(Node *node, EventType type, Role *role, GVariant *details, Event *ret);
/* Does nothing for an event that was sent before (its number is 0). */
void node_event_tell(Node *node, const Event *event, Role *role);

/* Gives a damaged role what the log has of the newest run of its name. */
void node_restore_run(Node *node, Role *role);

/* After a restart, updates roles whose saved state is older than the events, adds those whose saved state is
 * lost, and sends the events that the previous process has saved and may not have sent, with the same
 * numbers. */
void node_restore_events(Node *node);
void node_tell_unsent_events(Node *node);
