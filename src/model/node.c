/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/unit-name.h"
#include "model/node.h"
#include "model/role.h"

void node_set_leaving_fault(Fault *fault) {
        (void) fault_set(fault, NODE_ERROR_SHUTTING_DOWN,
                "The service ended before the call was complete; if it is being restarted, it continues with the role, call again");
}

void node_child_seen(Node *node, uint64_t child) {
        if (child >= node->next_child)
                node->next_child = child + 1;
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

static void role_queue_unlink(GQueue *queue, GList **link) {
        if (*link)
                g_queue_delete_link(queue, g_steal_pointer(link));
}

void node_queue_start(Node *node, Role *role) {
        g_assert(!role->start_link);
        g_queue_push_tail(node->start_queue, role);
        role->start_link = node->start_queue->tail;
}

void node_queue_start_first(Node *node, Role *role) {
        g_assert(!role->start_link);
        g_queue_push_head(node->start_queue, role);
        role->start_link = node->start_queue->head;
}

void node_unqueue_start(Node *node, Role *role) {
        role_queue_unlink(node->start_queue, &role->start_link);
}

void node_add_ended(Node *node, Role *role) {
        g_assert(!role->ended_link);
        g_queue_push_tail(node->ended, role);
        role->ended_link = node->ended->tail;
}

void node_remove_ended(Node *node, Role *role) {
        role_queue_unlink(node->ended, &role->ended_link);
}

void node_count_role(Node *node, Role *role) {
        bool awaited = !role_is_over(role) && role->stop_step != STOP_STEP_STUCK &&
                       role->undo_step != STOP_STEP_STUCK;

        if (awaited == role->awaited)
                return;
        role->awaited = awaited;
        if (awaited)
                node->n_awaited++;
        else
                node->n_awaited--;
}

void node_drop_role(Node *node, Role *role) {
        node_unqueue_start(node, role);
        node_remove_ended(node, role);
        if (role->awaited)
                node->n_awaited--;
}

void node_add_role(Node *node, Role *role) {
        g_hash_table_insert(node->roles, role->name, role);
        for (Role *r = role; r; r = r->predecessor)
                node_count_role(node, r);
        if (role->state != ROLE_ENDED)
                node->n_not_ended++;
        else if (role->swept)
                node_add_ended(node, role);
        if (role_holds_slot(role))
                node->n_starts++; /* begun by the previous process */
        ASK(node, clients, node_changed);
}

GPtrArray *node_list_names(const Node *node) {
        GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
        GHashTableIter iter;
        const char *name;

        g_hash_table_iter_init(&iter, node->roles);
        while (g_hash_table_iter_next(&iter, (void **) &name, NULL))
                g_ptr_array_add(names, g_strdup(name));
        return names;
}

void node_remove_role(Node *node, Role *role) {
        if (role->main_exited)
                role_reap(role);
        g_hash_table_steal(node->roles, role->name);
        ASK(node, store, forget, role);
        ASK(node, clients, role_removed, role);
        ASK(node, clients, node_changed);
        role_free(role);
}

int node_slice_take(Node *node) {
        unsigned i;

        for (i = node->slice_hint; i < node->slices->len; i++)
                if (g_array_index(node->slices, unsigned, i) < NODE_SLICE_ROLES)
                        break;
        node->slice_hint = i;
        if (i == node->slices->len)
                g_array_set_size(node->slices, i + 1);
        g_array_index(node->slices, unsigned, i)++;
        return (int) i;
}

void node_slice_retake(Node *node, int slice) {
        if ((unsigned) slice >= node->slices->len)
                g_array_set_size(node->slices, (unsigned) slice + 1);
        g_array_index(node->slices, unsigned, slice)++;
}

void node_slice_release(Node *node, int slice) {
        if (slice < 0)
                return;
        g_assert((unsigned) slice < node->slices->len);
        g_assert(g_array_index(node->slices, unsigned, slice) > 0);
        node->slice_hint = MIN(node->slice_hint, (unsigned) slice);
        if (--g_array_index(node->slices, unsigned, slice) == 0 && node->world.scope.ops)
                ASK(node, scope, slice_empty);
}

bool node_slice_is_empty(Node *node, int slice) {
        return (unsigned) slice >= node->slices->len || g_array_index(node->slices, unsigned, slice) == 0;
}

char *node_slice_name(Node *node, int slice) {
        return g_strdup_printf("architect-%s-%d.slice", node->instance, slice);
}
