/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/time-util.h"
#include "model/node-dependencies.h"
#include "model/node-start.h"
#include "model/node-stop.h"
#include "model/role-dependencies.h"
#include "model/role-ready.h"
#include "model/role-restart.h"
#include "model/role-start.h"
#include "model/role-stop.h"

/* What waits for this role looks again whether it can start. */
static void node_look_again(Node *node, const char *name, GPtrArray *dependents) {
        for (unsigned i = 0; i < dependents->len; i++) {
                Role *role = g_hash_table_lookup(node->roles, g_ptr_array_index(dependents, i));

                if (!role || role->state != ROLE_STARTING || role->phase != ROLE_PHASE_DEPENDENCIES ||
                        role->failure.message || role->start_link || g_strcmp0(role->awaits, name) != 0)
                        continue;
                role->phase = ROLE_PHASE_QUEUED;
                start_times_add(&role->start_times, START_STEP_DEPENDENCIES, now_usec(CLOCK_MONOTONIC));
                node_queue_start(node, role);
                ASK(node, clients, role_changed, role);
        }
        node_pump_starts(node);
}

void node_dependency_ready(Node *node, const Role *role) {
        g_autoptr(GPtrArray) names = role_list_dependents(node, role->name);

        if (!names)
                return;
        for (unsigned i = 0; i < names->len; i++) {
                Role *other = g_hash_table_lookup(node->roles, g_ptr_array_index(names, i));

                if (other && other->next_run == NEXT_RUN_DEPENDENCY &&
                        g_strcmp0(other->follows, role->name) == 0)
                        role_arm_restart(other);
        }
        node_look_again(node, role->name, names);
}

static void role_fail_with(Role *role, const char *name, const Fault *reason) {
        g_auto(Fault) fault = {};

        (void) fault_set(&fault, NODE_ERROR_DEPENDENCY_FAILED,
                "Role \"%s\" cannot be started, because \"%s\", on which it depends, has not: %s", role->name,
                name, reason->message);
        role_fail(role, &fault);
}

void node_dependency_failed(Node *node, const Role *role, const Fault *fault) {
        g_autoptr(GPtrArray) names = role_list_dependents(node, role->name);

        for (unsigned i = 0; names && i < names->len; i++) {
                Role *other = g_hash_table_lookup(node->roles, g_ptr_array_index(names, i));

                if (other && other->state == ROLE_STARTING && !other->failure.message &&
                        other->phase <= ROLE_PHASE_QUEUED && role_spec_needs(other->spec, role->name))
                        role_fail_with(other, role->name, fault);
        }
        node_dependency_gone(node, role);
}

static bool role_binds_to(const Role *role, const char *name) {
        /* One that has not begun waits for the next run of the other, if there is one. */
        return role_spec_depends(role->spec, DEPENDENCY_BINDS_TO, name) &&
               (role->state != ROLE_STARTING || role->phase > ROLE_PHASE_QUEUED);
}

/* What was stopped because of the other does not stop it in turn. */
static bool role_stops_after(const Role *role, const char *name) {
        return role_stops_with(role, name) &&
               !role_follows(g_hash_table_lookup(role->node->roles, name), role->name);
}

static bool role_is_part_of(const Role *role, const char *name) {
        /* One that has not begun starts after the other all the same; the restart itself may have asked for
         * it. */
        return role_spec_depends(role->spec, DEPENDENCY_PART_OF, name) &&
               (role->state != ROLE_STARTING || role->phase > ROLE_PHASE_QUEUED);
}

void node_dependency_ended(Node *node, const Role *role) {
        g_autoptr(GPtrArray) names = role_list_dependents(node, role->name);
        const bool stopped = role->stop_requested, by_hand = stopped && !role->follows;

        if (!names)
                return;
        if (!node_is_shutting_down(node) && role_is_dependency(role) && !role_is_ready(role))
                node_stop_dependents(node, role->name, !by_hand, stopped ? role_stops_after : role_binds_to,
                        by_hand ? &role->cause_caller : NULL);
        node_look_again(node, role->name, names);
}

void node_dependency_restarted(Node *node, const char *name) {
        node_stop_dependents(node, name, true, role_is_part_of, NULL);
}

void node_dependency_gone(Node *node, const Role *role) {
        g_autoptr(GPtrArray) names = role_list_dependents(node, role->name);

        for (unsigned kind = 0; kind < _DEPENDENCY_MAX; kind++)
                for (char **name = role->spec->dependencies[kind]; name && *name; name++) {
                        Role *other = dependency_orders((Dependency) kind)
                                              ? g_hash_table_lookup(node->roles, *name)
                                              : NULL;

                        if (other)
                                role_check_waiting_stop(other);
                }
        for (unsigned i = 0; names && i < names->len; i++) {
                const Role *other = g_hash_table_lookup(node->roles, g_ptr_array_index(names, i));

                /* What follows it does not come either, if this one has ended for good. */
                if (other && g_strcmp0(other->follows, role->name) == 0 && !role_follows(role, other->name))
                        node_dependency_gone(node, other);
        }
        if (names)
                node_look_again(node, role->name, names);
}
