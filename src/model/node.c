/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>

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

static NodeSlice *node_slice(Node *node, unsigned i) {
        return &g_array_index(node->slices, NodeSlice, i);
}

static void node_slice_add(Role *role, unsigned i) {
        NodeSlice *slice;

        if (i >= role->node->slices->len)
                g_array_set_size(role->node->slices, i + 1);
        slice = node_slice(role->node, i);
        slice->n_roles++;
        slice->with_memory_max = role->spec->memory_max > 0;
        role->slice = (int) i;
}

void node_slice_take(Role *role) {
        Node *node = role->node;
        bool with_memory_max = role->spec->memory_max > 0;
        unsigned i;

        while (node->slice_hint < node->slices->len &&
                node_slice(node, node->slice_hint)->n_roles >= NODE_SLICE_ROLES)
                node->slice_hint++;
        for (i = node->slice_hint; i < node->slices->len; i++) {
                const NodeSlice *slice = node_slice(node, i);

                if (slice->n_roles == 0 ||
                        (slice->n_roles < NODE_SLICE_ROLES && slice->with_memory_max == with_memory_max))
                        break;
        }
        node_slice_add(role, i);
}

void node_slice_retake(Role *role, int slice) {
        node_slice_add(role, (unsigned) slice);
}

void node_slice_release(Role *role) {
        Node *node = role->node;

        if (role->slice < 0)
                return;

        unsigned i = (unsigned) role->slice;
        g_assert(i < node->slices->len);
        g_assert(node_slice(node, i)->n_roles > 0);
        node->slice_hint = MIN(node->slice_hint, i);
        node_slice(node, i)->n_roles--;
        role->slice = -1;
        if (node->world.scope.ops)
                ASK(node, scope, slice_released, role, node_slice(node, i)->n_roles == 0);
}

bool node_slice_is_empty(Node *node, int slice) {
        return (unsigned) slice >= node->slices->len || node_slice(node, (unsigned) slice)->n_roles == 0;
}

char *node_slice_name(Node *node, int slice) {
        return g_strdup_printf("architect-%s-%d.slice", node->instance, slice);
}

char *node_own_slice_name(const Role *role) {
        return g_strdup_printf(
                "architect-%s-%d-%" PRIu64 ".slice", role->node->instance, role->slice, role->child);
}
