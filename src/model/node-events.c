/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>

#include "base/unit-name.h"
#include "model/event-details.h"
#include "model/node-events.h"
#include "model/role-damage.h"
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

static void node_restore_event(Node *node, const Event *event) {
        Role *role = event->role[0] ? node_find_run(node, event) : NULL;

        Role *named = g_hash_table_lookup(node->roles, event->role);
        if (named && named->damage)
                role_damage_on_event(named, event);
        if (!role || role->damage)
                return;
        switch (event->type) {
        case EVENT_ROLE_STARTED:
                if (role->started_sequence == 0)
                        event_restore_started(event, role);
                break;
        case EVENT_ROLE_EXITED:
                if (role->exited_sequence == 0)
                        event_restore_exited(event, role);
                break;
        /* The saved role is newer, for example because its wait was cancelled. */
        case EVENT_ROLE_RESTARTING:
                if (role->next_sequence < event->sequence)
                        event_restore_restarting(event, role);
                break;
        case EVENT_ROLE_FAILED:
                if (role->next_sequence >= event->sequence)
                        break;
                event_restore_failed(event, role);
                if (role_is_over(role) && !role->successor && !role->ended_link)
                        node_add_ended(node, role); /* it was saved as one that waits */
                break;
        case EVENT_ROLE_PURGED:
                if (!role->successor && role->state == ROLE_ENDED)
                        node_remove_role(node, role);
                break;
        default:
                break;
        }
}

static int role_restore_run(void *userdata, const Event *event) {
        Role *role = userdata;

        if (g_str_equal(event->role, role->name))
                role_damage_on_event(role, event);
        return 0;
}

void node_restore_run(Node *node, Role *role) {
        (void) events_read(node->events, 0, role_restore_run, role);
}

/* Keeps the names of the runs that have started and not ended, according to the log. */
static void open_runs_add(GHashTable *open, const Event *event) {
        const char *invocation = event_get_string(event, "invocation-id");

        if (event->type == EVENT_ROLE_STARTED)
                (void) g_hash_table_replace(open, g_strdup(event->role), g_strdup(invocation));
        else if (g_strcmp0(g_hash_table_lookup(open, event->role), invocation) == 0)
                (void) g_hash_table_remove(open, event->role);
}

/* An end is in the log before the file of its role is removed, so the file of a run without an end is lost.
 */
static void node_restore_lost(Node *node, GHashTable *open) {
        GHashTableIter iter;
        const char *name;

        g_hash_table_iter_init(&iter, open);
        while (g_hash_table_iter_next(&iter, (void **) &name, NULL)) {
                if (!role_name_is_valid(name) || g_hash_table_contains(node->roles, name))
                        continue;
                log_error("The saved state of role \"%s\" is missing, and its end was not told", name);
                Role *role = role_new_damaged(node, name);
                node_restore_run(node, role);
                node_add_role(node, role);
        }
}

typedef struct Restore {
        Node *node;
        GHashTable *open;
} Restore;

static int restore_on_event(void *userdata, const Event *event) {
        Restore *restore = userdata;

        node_restore_event(restore->node, event);
        open_runs_add(restore->open, event);
        return 0;
}

/* The log is read once, unless a role is lost, since each start of the service waits for it. */
void node_restore_events(Node *node) {
        g_autoptr(GHashTable) open = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);

        (void) events_read(node->events, 0, restore_on_event, &(Restore){ node, open });
        node_restore_lost(node, open);
}
