/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "model/start-plan.h"

#include "model/definitions.h"
#include "model/role-dependencies.h"

typedef struct Plan {
        Node *node;
        StartBarred barred;
        GPtrArray *order; /* names, owned: what is started */
        GPtrArray *path;  /* names, not owned: from the role of the call to the one that is looked at */
        GPtrArray *done;  /* the same: of what needs no second look, in the order in which that was found */
        GHashTable *seen; /* of those in path and done; the value is not NULL in path */
        bool cycle;
        Fault *fault;
} Plan;

/* "FILE:LINE" where the definition names the other, for the message; an empty string if it is not from a
 * file, or has changed since. */
static char *plan_where(const Plan *plan, const char *name, const RoleSpec *spec, Dependency kind) {
        const Definition *d = spec->definition ? definitions_find(plan->node->definitions, name) : NULL;
        unsigned line = 0;
        const char *file = d ? definition_dependency_source(d, kind, &line) : NULL;

        return file ? g_strdup_printf(" (%s:%u)", file, line) : g_strdup("");
}

static int plan_fail(const Plan *plan, const char *name, const RoleSpec *spec, Dependency kind,
        const char *other, const char *reason) {
        g_autofree char *where = plan_where(plan, name, spec, kind);

        return fault_set(plan->fault, NODE_ERROR_DEPENDENCY_FAILED, "Role \"%s\" %s \"%s\"%s, %s", name,
                kind == DEPENDENCY_BINDS_TO ? "binds to" : dependency_to_string(kind), other, where, reason);
}

static int plan_fail_cycle(Plan *plan, const char *name) {
        g_autoptr(GString) s = g_string_new(NULL);
        unsigned i = 0;

        while (!g_str_equal(g_ptr_array_index(plan->path, i), name))
                i++;
        for (; i < plan->path->len; i++)
                g_string_append_printf(s, "%s -> ", (const char *) g_ptr_array_index(plan->path, i));
        plan->cycle = true;
        return fault_set(plan->fault, NODE_ERROR_DEPENDENCY_FAILED,
                "Role \"%s\" cannot be started, the order of its dependencies has a cycle: %s%s",
                (const char *) g_ptr_array_index(plan->path, 0), s->str, name);
}

static int plan_visit(Plan *plan, const char *name, const RoleSpec *spec);

/* It does not run, and is to be started with the role. */
static int plan_add(Plan *plan, const char *name, const RoleSpec *spec, Dependency kind, const char *other) {
        const Definition *definition = NULL;
        g_auto(Fault) fault = {};

        const Role *role = g_hash_table_lookup(plan->node->roles, other);
        if (role && !role_is_dependency(role) && !role_is_over(role))
                return plan_fail(plan, name, spec, kind, other,
                        "which is the role of a user now, and not the one that is meant");
        if (role && role->state != ROLE_ENDED)
                return plan_fail(plan, name, spec, kind, other, "which is being stopped");
        if (plan->barred && plan->barred(plan->node, other))
                return plan_fail(plan, name, spec, kind, other,
                        "which was stopped by hand, and so is started by hand only");
        if (definitions_find_valid(plan->node->definitions, other, &definition, &fault) < 0) {
                g_autofree char *reason =
                        fault.error == NODE_ERROR_NO_SUCH_DEFINITION
                                ? g_strdup("which does not run and has no definition")
                                : g_strdup_printf("which cannot be started: %s", fault.message);
                return plan_fail(plan, name, spec, kind, other, reason);
        }
        int r = plan_visit(plan, definition->name, definition->spec);
        if (r >= 0)
                g_ptr_array_add(plan->order, g_strdup(other));
        return r;
}

static int plan_follow(
        Plan *plan, const char *name, const RoleSpec *spec, Dependency kind, const char *other) {
        const Role *role = g_hash_table_lookup(plan->node->roles, other);
        const Presence presence = role_presence(role);
        void *on_path = NULL;

        if (g_hash_table_lookup_extended(plan->seen, other, NULL, &on_path))
                return on_path ? plan_fail_cycle(plan, other) : 0;
        /* What has begun to start may wait for others, too. */
        if (presence == PRESENCE_COMING && role->state == ROLE_STARTING)
                return plan_visit(plan, role->name, role->spec);
        if (presence != PRESENCE_NONE || !dependency_pulls(kind))
                return 0;

        const unsigned n_order = plan->order->len, n_done = plan->done->len;
        int r = plan_add(plan, name, spec, kind, other);
        if (r >= 0 || plan->cycle || kind != DEPENDENCY_WANTS)
                return r;
        /* As if it were not wanted. */
        g_ptr_array_set_size(plan->order, (int) n_order);
        while (plan->done->len > n_done)
                g_hash_table_remove(plan->seen, g_ptr_array_steal_index(plan->done, plan->done->len - 1));
        fault_clear(plan->fault);
        return 0;
}

/* The name and the options belong to a role or a definition, or to the caller. */
static int plan_visit(Plan *plan, const char *name, const RoleSpec *spec) {
        int r = 0;

        g_ptr_array_add(plan->path, (char *) name);
        g_hash_table_insert(plan->seen, (char *) name, plan);
        for (unsigned kind = 0; r >= 0 && kind < _DEPENDENCY_MAX; kind++)
                for (char **other = spec->dependencies[kind]; r >= 0 && other && *other; other++)
                        if (dependency_orders((Dependency) kind))
                                r = plan_follow(plan, name, spec, (Dependency) kind, *other);
        g_ptr_array_set_size(plan->path, (int) plan->path->len - 1);
        if (r < 0) {
                g_hash_table_remove(plan->seen, name);
                return r;
        }
        g_hash_table_insert(plan->seen, (char *) name, NULL);
        g_ptr_array_add(plan->done, (char *) name);
        return 0;
}

int start_plan_make(Node *node, const char *name, const RoleSpec *spec, StartBarred barred, GPtrArray **ret,
        Fault *fault) {
        g_autoptr(GPtrArray) order = NULL, path = NULL, done = NULL;
        g_autoptr(GHashTable) seen = NULL;
        g_auto(Fault) ignored = {};

        if (!role_spec_has_dependencies(spec)) {
                *ret = NULL;
                return 0;
        }
        order = g_ptr_array_new_with_free_func(g_free);
        path = g_ptr_array_new();
        done = g_ptr_array_new();
        seen = g_hash_table_new(g_str_hash, g_str_equal);
        Plan plan = {
                .node = node,
                .barred = barred,
                .order = order,
                .path = path,
                .done = done,
                .seen = seen,
                .fault = fault ?: &ignored,
        };
        int r = plan_visit(&plan, name, spec);
        if (r >= 0)
                *ret = g_steal_pointer(&order);
        return r;
}

/* -- while it waits -- */

static char *role_say_absent(const Role *other) {
        g_autofree char *poll = NULL;

        if (!other || !role_is_dependency(other))
                return g_strdup("which does not run");
        if (other->failure.message)
                return g_strdup_printf("whose start has failed: %s", other->failure.message);
        if (other->state != ROLE_ENDED)
                return g_strdup("which is being stopped");
        poll = role_poll(other);
        return g_strdup_printf("which has ended (%s)", poll);
}

int start_plan_check(Role *role, Fault *fault) {
        for (unsigned kind = 0; kind < _DEPENDENCY_MAX; kind++)
                for (char **name = role->spec->dependencies[kind]; name && *name; name++) {
                        const Role *other = g_hash_table_lookup(role->node->roles, *name);
                        const Presence presence = role_presence(other);

                        if (!dependency_orders((Dependency) kind) || presence == PRESENCE_READY)
                                continue;
                        /* It comes back after this one, so neither would go on. */
                        if (other && role_follows(other, role->name))
                                continue;
                        /* What only wants it, or is after it, has waited for its start, whatever came of it.
                         */
                        if (!dependency_needs((Dependency) kind) && other && role_has_failed_to_start(other))
                                continue;
                        if (presence == PRESENCE_COMING) {
                                role->awaits = *name;
                                return 0;
                        }
                        if (dependency_needs((Dependency) kind)) {
                                const Plan plan = { .node = role->node, .fault = fault };
                                g_autofree char *reason = role_say_absent(other);

                                return plan_fail(
                                        &plan, role->name, role->spec, (Dependency) kind, *name, reason);
                        }
                }
        role->awaits = NULL;
        return 1;
}
