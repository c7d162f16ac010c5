/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/unit-name.h"
#include "model/node.h"
#include "model/role.h"

void node_set_leaving_fault(Fault *fault) {
        (void) fault_set(fault, NODE_ERROR_SHUTTING_DOWN,
                "The service ended before this was done; if it is being restarted, it goes on with the role: ask again");
}

int node_find_role(Node *node, const char *name, Role **ret, Fault *fault) {
        Role *role = g_hash_table_lookup(node->roles, name);

        if (!role) {
                g_autofree char *shown = g_strescape(name, NULL);
                return fault_set(fault, NODE_ERROR_NO_SUCH_ROLE, "There is no role \"%.*s\"",
                        2 * ROLE_NAME_MAX, shown);
        }
        *ret = role;
        return 0;
}

int node_check_not_stopping(Node *node, Fault *fault) {
        return node->stopping ? fault_set(fault, NODE_ERROR_SHUTTING_DOWN, "The service is shutting down")
                              : 0;
}

bool node_can_start(const Node *node) {
        return ASK(node, link, connected) && ASK(node, scope, ready);
}

void node_add_role(Node *node, Role *role) {
        g_hash_table_insert(node->roles, role->name, role);
        if (role->state != ROLE_ENDED)
                node->n_not_ended++;
        else if (role->swept)
                g_queue_push_tail(node->ended, role);
        if (role_holds_slot(role))
                node->n_starts++; /* begun by the process before us */
        ASK(node, clients, node_changed);
}

void node_remove_role(Node *node, Role *role) {
        if (role->main_exited)
                role_reap(role);
        g_hash_table_steal(node->roles, role->name);
        g_queue_remove(node->ended, role);
        ASK(node, store, forget, role);
        ASK(node, clients, role_removed, role);
        ASK(node, clients, node_changed);
        role_free(role);
}

int node_slice_take(Node *node) {
        unsigned i;

        for (i = 0; i < node->slices->len; i++)
                if (g_array_index(node->slices, guint, i) < NODE_SLICE_ROLES)
                        break;
        if (i == node->slices->len)
                g_array_set_size(node->slices, i + 1);
        g_array_index(node->slices, guint, i)++;
        return (int) i;
}

void node_slice_retake(Node *node, int slice) {
        if ((unsigned) slice >= node->slices->len)
                g_array_set_size(node->slices, (unsigned) slice + 1);
        g_array_index(node->slices, guint, slice)++;
}

void node_slice_release(Node *node, int slice) {
        if (slice < 0)
                return;
        g_assert((unsigned) slice < node->slices->len);
        g_assert(g_array_index(node->slices, guint, slice) > 0);
        if (--g_array_index(node->slices, guint, slice) == 0 && node->world.scope.ops)
                ASK(node, scope, slice_empty);
}

bool node_slice_is_empty(Node *node, int slice) {
        return (unsigned) slice >= node->slices->len || g_array_index(node->slices, guint, slice) == 0;
}

char *node_slice_name(Node *node, int slice) {
        return g_strdup_printf("architect-%s-%d.slice", node->instance, slice);
}
