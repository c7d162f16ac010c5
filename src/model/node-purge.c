/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "model/event-details.h"
#include "model/leases.h"
#include "model/message-ids.h"
#include "model/node-events.h"
#include "model/node-purge.h"
#include "model/quota.h"
#include "model/role-log.h"
#include "model/settings.h"
#include "util/log.h"

void node_purge_role(Node *node, Role *role, const Caller *caller) {
        g_auto(Event) event = {};

        g_assert(role_is_over(role));

        node_event_add(node, EVENT_ROLE_PURGED, role, event_details_purged(role, caller), &event);
        journal_role(role, MESSAGE_ROLE_PURGED, LOG_INFO, caller, "Purged");
        node_event_tell(node, &event, role);
        node_remove_role(node, role);
}

int node_purge(
        Node *node, char **names, const LeaseUse *use, const Caller *caller, char ***ret, Fault *fault) {
        g_autoptr(GPtrArray) roles = g_ptr_array_new();
        g_autoptr(GHashTable) named = g_hash_table_new(NULL, NULL);
        g_autoptr(GStrvBuilder) purged = g_strv_builder_new();

        for (char **n = names; n && *n; n++) {
                Role *role = NULL;

                int r = node_find_role(node, *n, &role, fault);
                if (r < 0)
                        return r;
                g_assert(role);
                r = lease_use_check_role(use, role, fault);
                if (r < 0)
                        return r;
                if (role->state != ROLE_ENDED)
                        return fault_set(fault, NODE_ERROR_ROLE_RUNNING,
                                "Role \"%s\" cannot be purged: it is %s", role->name,
                                role_state_to_string(role->state));
                if (role_waits_for_restart(role))
                        return fault_set(fault, NODE_ERROR_ROLE_RUNNING,
                                "Role \"%s\" cannot be purged: it waits for its restart; stop it first",
                                role->name);
                if (!role->swept)
                        return fault_set(fault, NODE_ERROR_ROLE_RUNNING,
                                "Role \"%s\" cannot be purged: it has ended, but %s still run", role->name,
                                role->hook ? "its commands of exec-stop-post" : "processes it left");
                if (g_hash_table_add(named, role)) /* a name that is given twice is purged once */
                        g_ptr_array_add(roles, role);
        }
        if (!names || !names[0])
                for (GList *l = node->ended->head; l; l = l->next)
                        if (lease_use_check_role(use, l->data, NULL) >= 0)
                                g_ptr_array_add(roles, l->data);

        for (unsigned i = 0; i < roles->len; i++) {
                Role *role = g_ptr_array_index(roles, i);

                g_strv_builder_add(purged, role->name);
                node_purge_role(node, role, caller);
        }
        *ret = g_strv_builder_end(purged);
        return 0;
}

/* What one user has does not count for another, so nobody's ends are pushed out by somebody else's. */
static void node_trim_ended_of(Node *node, const Quota *quota) {
        const unsigned max =
                quota->uid == 0 ? node->settings->max_ended_roles : node->settings->max_ended_roles_per_user;

        for (GList *l = node->ended->head, *next; l && quota->n_ended > max; l = next) {
                next = l->next;
                if (role_started_by(l->data) == quota->uid)
                        node_purge_role(node, l->data, NULL);
        }
}

void node_trim_ended(Node *node) {
        GHashTableIter iter;
        Quota *quota;

        g_hash_table_iter_init(&iter, node->quotas);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &quota))
                node_trim_ended_of(node, quota); /* adds none, since that of the user exists */
}
