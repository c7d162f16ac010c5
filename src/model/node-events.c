/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>

#include "model/event-details.h"
#include "model/node-events.h"
#include "util/log.h"

bool node_event_add(Node *node, EventType type, Role *role, GVariant *details, Event *ret) {
        int r = events_add(node->events, type, role ? role->name : "", details, ret);
        if (r < 0)
                log_error_errno(r, "Cannot save the event %" PRIu64 " (%s %s): %m", ret->sequence,
                        event_type_to_string(type), ret->role);
        return r >= 0;
}

void node_event_tell(Node *node, const Event *event, Role *role) {
        if (event->sequence == 0)
                return;
        ASK(node, clients, event, event, role);
        events_set_told(node->events, event->sequence);
}

static int node_tell_unsent(void *userdata, const Event *event) {
        Node *node = userdata;

        node_event_tell(node, event, NULL);
        return 0;
}

void node_tell_unsent_events(Node *node) {
        (void) events_read(node->events, events_sent(node->events), node_tell_unsent, node);
}

/* Returns the run of this name to which the event belongs. */
static Role *node_find_run(Node *node, const Event *event) {
        Role *role = g_hash_table_lookup(node->roles, event->role);

        while (role && !event_is_of(event, role))
                role = role->predecessor;
        return role;
}

static int node_restore_event(void *userdata, const Event *event) {
        Node *node = userdata;
        Role *role = event->role[0] ? node_find_run(node, event) : NULL;

        if (!role)
                return 0;
        switch (event->type) {
        case EVENT_ROLE_STARTED:
                if (role->started_sequence == 0)
                        event_restore_started(event, role);
                break;
        case EVENT_ROLE_EXITED:
                if (role->exited_sequence == 0)
                        event_restore_exited(event, role);
                break;
        case EVENT_ROLE_PURGED:
                if (!role->successor && role->state == ROLE_ENDED)
                        node_remove_role(node, role);
                break;
        default:
                break;
        }
        return 0;
}

void node_restore_events(Node *node) {
        (void) events_read(node->events, 0, node_restore_event, node);
}
