/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "model/dependents.h"
#include "model/node.h"
#include "model/role-dependencies.h"
#include "model/role-ready.h"

GPtrArray *role_list_dependents(const Node *node, const char *name) {
        const GPtrArray *roles = dependents_get(node->dependents, name);

        if (!roles)
                return NULL;
        GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
        for (unsigned i = 0; i < roles->len; i++) {
                const Role *role = g_ptr_array_index(roles, i);

                if (!role->successor) /* another run of its name has replaced the others */
                        g_ptr_array_add(names, g_strdup(role->name));
        }
        return names;
}

bool role_is_after(const Role *role, const char *name) {
        for (unsigned kind = 0; kind < _DEPENDENCY_MAX; kind++)
                if (dependency_orders((Dependency) kind) &&
                        role_spec_depends(role->spec, (Dependency) kind, name))
                        return true;
        return false;
}

bool role_stops_with(const Role *role, const char *name) {
        return role_spec_needs(role->spec, name) || role_spec_depends(role->spec, DEPENDENCY_PART_OF, name);
}

static bool role_is_going(const Role *role) {
        switch (role->state) {
        case ROLE_STARTING:
                return role->failure.message && role->undo_step < STOP_STEP_STUCK;
        case ROLE_STOPPING:
                return role->stop_step < STOP_STEP_STUCK;
        case ROLE_ENDED:
                return !role->swept && role->stop_step < STOP_STEP_STUCK;
        default:
                return false;
        }
}

bool role_is_needed_longer(const Role *role) {
        const GPtrArray *roles = dependents_get(role->node->dependents, role->name);

        for (unsigned i = 0; roles && i < roles->len; i++) {
                const Role *other = g_ptr_array_index(roles, i);

                /* With hundreds of roles and names the search is what costs. */
                if (!other->successor && role_is_going(other) &&
                        (!other->spec->dependencies[DEPENDENCY_PART_OF] || role_is_after(other, role->name)))
                        return true;
        }
        return false;
}

bool role_comes_back(const Role *role) {
        return role->follows && (role->spec->restart != RESTART_NO ||
                                        role_spec_depends(role->spec, DEPENDENCY_PART_OF, role->follows));
}

/* It has not ended for good, as far as that is known before its last process is gone. */
static bool role_may_come_back(const Role *role) {
        return role->stop_requested ? role_comes_back(role) : role->spec->restart != RESTART_NO;
}

bool role_is_dependency(const Role *role) {
        return role && !role->spec->account;
}

/* A chain of roles that follow each other; nobody has a longer one. */
#define FOLLOWS_MAX 64U

bool role_follows(const Role *role, const char *name) {
        for (unsigned i = 0; i < FOLLOWS_MAX && role && role->follows; i++) {
                if (g_str_equal(role->follows, name))
                        return true;
                role = g_hash_table_lookup(role->node->roles, role->follows);
        }
        return false;
}

static Presence role_presence_at(const Role *role, unsigned depth) {
        if (!role_is_dependency(role))
                return PRESENCE_NONE;
        /* What it follows may never come, and then neither does it. */
        if (role->follows && role->state != ROLE_STARTING && role->state != ROLE_RUNNING) {
                const Role *other = g_hash_table_lookup(role->node->roles, role->follows);

                return role_comes_back(role) && depth < FOLLOWS_MAX &&
                                       role_presence_at(other, depth + 1) != PRESENCE_NONE
                               ? PRESENCE_COMING
                               : PRESENCE_NONE;
        }
        switch (role->state) {
        case ROLE_STARTING:
                return role->failure.message ? PRESENCE_NONE : PRESENCE_COMING;
        case ROLE_RUNNING:
                return role_is_ready(role) ? PRESENCE_READY : PRESENCE_COMING;
        case ROLE_STOPPING:
                return role_may_come_back(role) ? PRESENCE_COMING : PRESENCE_NONE;
        default:
                if (role_waits_for_restart(role) || (!role->swept && role_may_come_back(role)))
                        return PRESENCE_COMING;
                return role_is_ready(role) ? PRESENCE_READY : PRESENCE_NONE;
        }
}

Presence role_presence(const Role *role) {
        return role_presence_at(role, 0);
}

bool role_has_failed_to_start(const Role *role) {
        return role_waits_for_restart(role) && (role->unready || role->start_failed);
}
