/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Events of the node: saved, then told; and after a restart told again, or put right. */

#include "model/events.h"
#include "model/node.h"

/* What has happened: it gets its number and is saved, before anybody is told. False: it could not be saved, which has been logged. */
bool node_event_add(Node *node, EventType type, Role *role, GVariant *details, Event *ret);
/* Nothing is told of an event that has been told before (its number is 0). */
void node_event_tell(Node *node, const Event *event, Role *role);

/* After a restart: roles whose saved state is older than what was said of them are brought up to date; and what the process
 * before us has saved and perhaps not said is told, with its numbers. */
void node_restore_events(Node *node);
void node_tell_unsent_events(Node *node);
