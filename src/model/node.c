/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/unit-name.h"
#include "model/dependents.h"
#include "model/node.h"
#include "model/quota.h"
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

bool node_limits(const Node *node, const Caller *caller) {
        return caller && caller->known && caller->uid != 0 && !node->user;
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
        quota_get(node->quotas, role_started_by(role))->n_ended++;
}

void node_remove_ended(Node *node, Role *role) {
        if (role->ended_link)
                quota_get(node->quotas, role_started_by(role))->n_ended--;
        role_queue_unlink(node->ended, &role->ended_link);
}

static bool role_is_stuck(const Role *role) {
        return role->stop_step == STOP_STEP_STUCK || role->undo_step == STOP_STEP_STUCK;
}

static bool role_has_trouble(const Role *role, RoleTrouble trouble) {
        if (role_is_over(role))
                return false;
        switch (trouble) {
        case ROLE_TROUBLE_OUTPUT:
                return role->output_lost;
        case ROLE_TROUBLE_DAMAGED:
                return role->damaged;
        default:
                return role_is_stuck(role);
        }
}

static void node_count_troubles(Node *node, Role *role) {
        const unsigned before = role->troubles;

        for (unsigned i = 0; i < _ROLE_TROUBLE_MAX; i++) {
                const unsigned bit = 1U << i;
                bool had = role->troubles & bit, has = role_has_trouble(role, (RoleTrouble) i);

                if (has && !had)
                        node->n_troubles[i]++;
                else if (had && !has)
                        node->n_troubles[i]--;
                role->troubles = has ? role->troubles | bit : role->troubles & ~bit;
        }
        if (role->troubles != before)
                ASK(node, clients, node_changed);
}

void node_set_save_result(Node *node, int r) {
        r = MIN(r, 0);
        if (r == node->save_result)
                return;
        node->save_result = r;
        ASK(node, clients, node_changed);
}

void node_count_role(Node *node, Role *role) {
        node_count_troubles(node, role);
        bool awaited = !role_is_over(role) && !role_is_stuck(role);

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
        if (role->depends)
                dependents_remove(node->dependents, role->spec, role);
        role->depends = false;
        for (unsigned i = 0; i < _ROLE_TROUBLE_MAX; i++)
                if (role->troubles & 1U << i)
                        node->n_troubles[i]--;
        if (role->awaited)
                node->n_awaited--;
}

void node_add_role(Node *node, Role *role) {
        g_hash_table_insert(node->roles, role->name, role);
        for (Role *r = role; r; r = r->predecessor) {
                node_count_role(node, r);
                if (!r->depends)
                        dependents_add(node->dependents, r->spec, r);
                r->depends = true;
        }
        if (role->state != ROLE_ENDED)
                node->n_not_ended++;
        else if (role->swept && !role_waits_for_restart(role))
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
        ASK(node, service, role_removed);
}

void node_slices_free(void *p) {
        NodeSlices *slices = p;

        g_array_unref(slices->array);
        g_free(slices);
}

/* NULL if the user has no role. */
static NodeSlices *node_slices(const Node *node, uid_t uid) {
        return g_hash_table_lookup(node->slices, GUINT_TO_POINTER(uid));
}

static NodeSlice *slices_get(NodeSlices *slices, unsigned i) {
        return &g_array_index(slices->array, NodeSlice, i);
}

static NodeSlices *node_slices_make(Node *node, uid_t uid) {
        NodeSlices *slices = node_slices(node, uid);

        if (!slices) {
                slices = g_new(NodeSlices, 1);
                *slices = (NodeSlices){ .array = g_array_new(false, true, sizeof(NodeSlice)) };
                (void) g_hash_table_insert(node->slices, GUINT_TO_POINTER(uid), slices);
        }
        return slices;
}

static void node_slice_add(Role *role, uid_t uid, unsigned i) {
        NodeSlices *slices = node_slices_make(role->node, uid);

        if (i >= slices->array->len)
                g_array_set_size(slices->array, i + 1);
        slices_get(slices, i)->n_roles++;
        slices_get(slices, i)->with_memory_max = role->spec->memory_max > 0;
        slices->n_roles++;
        role->slice = (int) i;
        role->slice_uid = uid;
}

void node_slice_take(Role *role) {
        const uid_t uid = role_started_by(role);
        NodeSlices *slices = node_slices_make(role->node, uid);
        bool with_memory_max = role->spec->memory_max > 0;
        unsigned i;

        while (slices->hint < slices->array->len &&
                slices_get(slices, slices->hint)->n_roles >= NODE_SLICE_ROLES)
                slices->hint++;
        for (i = slices->hint; i < slices->array->len; i++) {
                const NodeSlice *slice = slices_get(slices, i);

                if (slice->n_roles == 0 ||
                        (slice->n_roles < NODE_SLICE_ROLES && slice->with_memory_max == with_memory_max))
                        break;
        }
        node_slice_add(role, uid, i);
}

void node_slice_retake(Role *role, uid_t uid, int slice) {
        node_slice_add(role, uid, (unsigned) slice);
}

void node_slice_release(Role *role) {
        Node *node = role->node;

        if (role->slice < 0)
                return;

        unsigned i = (unsigned) role->slice;
        NodeSlices *slices = node_slices(node, role->slice_uid);
        g_assert(slices && i < slices->array->len);
        g_assert(slices_get(slices, i)->n_roles > 0);
        slices->hint = MIN(slices->hint, i);
        bool empty = --slices_get(slices, i)->n_roles == 0;
        if (--slices->n_roles == 0 && role->slice_uid != 0)
                (void) g_hash_table_remove(node->slices, GUINT_TO_POINTER(role->slice_uid));
        if (node->world.scope.ops)
                ASK(node, scope, slice_released, role, empty);
        role->slice = -1;
        role->slice_uid = 0;
}

bool node_slice_is_empty(Node *node, uid_t uid, int slice) {
        NodeSlices *slices = node_slices(node, uid);

        return !slices || (unsigned) slice >= slices->array->len ||
               slices_get(slices, (unsigned) slice)->n_roles == 0;
}

bool node_user_slice_is_empty(Node *node, uid_t uid) {
        return !node_slices(node, uid);
}

bool node_group_is_empty(Node *node, uid_t uid, int slice) {
        const int first = slice - slice % (int) NODE_GROUP_SLICES;

        for (int i = first; i < first + (int) NODE_GROUP_SLICES; i++)
                if (!node_slice_is_empty(node, uid, i))
                        return false;
        return true;
}

/* "architect-main-", "architect-main-u1000-" */
static char *node_slice_prefix(Node *node, uid_t uid) {
        return uid == 0 ? g_strdup_printf("architect-%s-", node->instance)
                        : g_strdup_printf("architect-%s-u%u-", node->instance, (unsigned) uid);
}

static unsigned slice_group(int slice) {
        return (unsigned) slice / NODE_GROUP_SLICES;
}

char *node_slice_name(Node *node, uid_t uid, int slice) {
        g_autofree char *prefix = node_slice_prefix(node, uid);

        return slice_group(slice) > 0 ? g_strdup_printf("%sg%u-%d.slice", prefix, slice_group(slice), slice)
                                      : g_strdup_printf("%s%d.slice", prefix, slice);
}

char *node_group_name(Node *node, uid_t uid, int slice) {
        g_autofree char *prefix = node_slice_prefix(node, uid);

        return slice_group(slice) > 0 ? g_strdup_printf("%sg%u.slice", prefix, slice_group(slice)) : NULL;
}

char *node_user_slice_name(Node *node, uid_t uid) {
        return g_strdup_printf("architect-%s-u%u.slice", node->instance, (unsigned) uid);
}

bool node_slice_parse(Node *node, const char *name, uid_t *ret_uid, int *ret_slice) {
        g_autofree char *prefix = node_slice_prefix(node, 0);
        unsigned uid = 0, slice;
        int n = 0;

        if (!g_str_has_prefix(name, prefix))
                return false;
        const char *rest = name + strlen(prefix);
        if (sscanf(rest, "u%10u-%n", &uid, &n) == 1 && n > 0)
                rest += n;
        else
                uid = 0;
        n = 0;
        if (sscanf(rest, "g%*5u-%n", &n) == 0 && n > 0)
                rest += n;
        if (sscanf(rest, "%5u", &slice) != 1 || slice >= NODE_SLICES_MAX)
                return false;
        /* No other names mean the same. */
        g_autofree char *own_prefix = node_slice_prefix(node, uid);
        g_autofree char *expected = node_slice_name(node, uid, (int) slice),
                        *ungrouped = g_strdup_printf("%s%u.slice", own_prefix, slice);
        if (!g_str_equal(name, expected) && !g_str_equal(name, ungrouped))
                return false;
        *ret_uid = uid;
        *ret_slice = (int) slice;
        return true;
}

char *node_own_slice_name(const Role *role) {
        g_autofree char *above = node_slice_name(role->node, role->slice_uid, role->slice);

        return g_strdup_printf(
                "%.*s-%" PRIu64 ".slice", (int) (strlen(above) - strlen(".slice")), above, role->child);
}
