/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/unit-name.h"
#include "model/node-start.h"
#include "model/ports-roles.h"
#include "model/quota.h"
#include "model/role-start.h"
#include "model/role-terminal.h"
#include "model/settings.h"

/* Of one user, so that the starts of others need not wait for MaxConcurrentStarts=. */
#define USER_STARTS_MAX 16U

static int node_check_name(const char *name, Fault *fault) {
        if (role_name_is_valid(name))
                return 0;

        g_autofree char *shown = g_strescape(name, NULL);
        return fault_set(fault, NODE_ERROR_INVALID_ROLE_NAME,
                "\"%.*s\" is not a valid role name, it must be 1 to %d characters of A-Za-z0-9_.- beginning with a letter or digit",
                2 * ROLE_NAME_MAX, shown, ROLE_NAME_MAX);
}

/* A caller that omits the user, or whose library loses the options, must not start a role of root by that. */
static int node_choose_user(const Settings *settings, RoleSpec *spec, Fault *fault) {
        if (spec->user)
                return 0;
        if (settings->require_user)
                return fault_set(fault, NODE_ERROR_INVALID_ARGS,
                        "The option \"user\" is missing, which RequireUser= of the configuration demands; give the name of a user, also for root");
        spec->user = g_strdup(settings->default_user);
        return 0;
}

static bool role_is_of(const Role *role, const Caller *caller) {
        return role->owner.known && caller->known && role->owner.uid == caller->uid;
}

static int node_check_user_roles(Node *node, const char *name, const Caller *caller, Fault *fault) {
        unsigned n_roles = 0, n_starting = 0;
        GHashTableIter iter;
        Role *role;

        role = g_hash_table_lookup(node->roles, name);
        if (role && role->state == ROLE_ENDED && !role_is_of(role, caller))
                return fault_set(fault, NODE_ERROR_ACCESS_DENIED,
                        "Role \"%s\" has ended, and only who has started it, and root, may replace it; choose another name",
                        name);
        g_hash_table_iter_init(&iter, node->roles);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &role))
                if (role_is_of(role, caller) && !g_str_equal(role->name, name)) {
                        n_roles++;
                        n_starting += role->state == ROLE_STARTING;
                }
        if (n_roles >= node->settings->max_roles_per_user)
                return fault_set(fault, NODE_ERROR_LIMIT_REACHED,
                        "Role \"%s\" cannot be started: uid %u has %u roles already (MaxRolesPerUser=); purge some",
                        name, (unsigned) caller->uid, n_roles);
        if (n_starting >= USER_STARTS_MAX)
                return fault_set(fault, NODE_ERROR_LIMIT_REACHED,
                        "Role \"%s\" cannot be started: %u roles of uid %u are starting already, try again",
                        name, n_starting, (unsigned) caller->uid);
        return 0;
}

/* What a user asks for is for his own processes only, but the end of the service waits for them. */
static int node_check_user_spec(Node *node, const RoleSpec *spec, Fault *fault) {
        if (spec->nice_set && spec->nice < 0)
                return fault_set(fault, NODE_ERROR_ACCESS_DENIED,
                        "Option \"nice\": only root may set %d, which is below 0", spec->nice);
        if (spec->stop_timeout_set && spec->stop_timeout_usec > node->settings->default_stop_timeout_usec)
                return fault_set(fault, NODE_ERROR_ACCESS_DENIED,
                        "Option \"stop-timeout-usec\": only root may set more than DefaultStopTimeout= of the configuration, because the end of the service waits for it");
        return 0;
}

int node_check_user_start(
        Node *node, const char *name, const RoleSpec *spec, const Caller *caller, Fault *fault) {
        g_auto(Fault) spec_fault = {};

        int r = node_check_name(name, fault);
        if (r >= 0)
                r = node_check_user_roles(node, name, caller, fault);
        if (r < 0)
                return r;
        r = quota_check_start(node->quotas, caller->uid, name, node->settings->max_starts_per_user, fault);
        if (r < 0)
                return r;
        r = node_check_user_spec(node, spec, &spec_fault);
        return r < 0 ? fault_set(fault, spec_fault.error, "Role \"%s\": %s", name, spec_fault.message) : 0;
}

int node_start_role(
        Node *node, const char *name, RoleSpec *spec, const Caller *caller, Waiter waiter, Fault *fault) {
        g_auto(Fault) spec_fault = {};
        sd_id128_t invocation;

        int r = node_check_not_stopping(node, fault);
        if (r < 0)
                return r;
        r = node_check_name(name, fault);
        if (r < 0)
                return r;
        if (!spec->provider_set)
                spec->provider = node->settings->product_provider;
        r = node_choose_user(node->settings, spec, &spec_fault);
        if (r >= 0)
                r = role_spec_check(spec, &spec_fault);
        if (r >= 0)
                r = terminal_check_display(spec, node->env, caller, &spec_fault);
        if (r < 0)
                return fault_set(fault, spec_fault.error, "Role \"%s\": %s", name, spec_fault.message);

        if (spec->account) {
                r = node_check_user_start(node, name, spec, caller, fault);
                if (r < 0)
                        return r;
        }
        Role *predecessor = g_hash_table_lookup(node->roles, name);
        if (predecessor && predecessor->state != ROLE_ENDED)
                return fault_set(fault, NODE_ERROR_ROLE_EXISTS, "Role \"%s\" exists already: %s%s", name,
                        predecessor->failure.message ? "what its failed start has left is still being removed"
                                                     : "it is ",
                        predecessor->failure.message ? "" : role_state_to_string(predecessor->state));
        if (!predecessor && g_hash_table_size(node->roles) >= NODE_MAX_ROLES)
                return fault_set(fault, NODE_ERROR_LIMIT_REACHED,
                        "Role \"%s\" cannot be started: %u roles are known already; purge some", name,
                        NODE_MAX_ROLES);
        r = ports_check_start(node->ports, name, spec, caller, &spec_fault);
        if (r < 0)
                return fault_set(fault, spec_fault.error, "Role \"%s\": %s", name, spec_fault.message);
        r = sd_id128_randomize(&invocation);
        if (r < 0)
                return fault_set(fault, NODE_ERROR_IO_ERROR, "Role \"%s\" cannot be started: %s", name,
                        g_strerror(-r));

        if (spec->account)
                quota_take_start(node->quotas, caller->uid, node->settings->max_starts_per_user);
        Role *role = role_new(node, name, spec);
        role->invocation = invocation;
        role->child = node->next_child++;
        role->start_waiter = waiter;
        if (!spec->stop_timeout_set)
                spec->stop_timeout_usec = node->settings->default_stop_timeout_usec;
        caller_copy(&role->owner, caller);
        if (predecessor) {
                g_hash_table_steal(node->roles, name);
                node_remove_ended(node, predecessor);
                ASK(node, store, set_aside, predecessor);
                role->predecessor = predecessor;
                predecessor->successor = role;
        }
        node_add_role(node, role);
        ports_role_added(node->ports, role);

        g_auto(Fault) save_fault = {};
        if (role_save_start(role, &save_fault) < 0) {
                role_fail(role, &save_fault);
                return 0;
        }
        ASK(node, clients, role_changed, role);
        node_queue_start(node, role);
        node_pump_starts(node);
        return 0;
}

void node_pump_starts(Node *node) {
        /* A start that fails at once is over before role_start() returns and would call this function again.
         * The loop that is running continues with the next one instead. */
        if (node->pumping)
                return;
        node->pumping = true;
        while (node->n_starts < node->settings->max_concurrent_starts &&
                !g_queue_is_empty(node->start_queue) && node_can_start(node)) {
                Role *role = g_queue_peek_head(node->start_queue);

                node_unqueue_start(node, role);
                node->n_starts++;
                role_start(role);
        }
        node->pumping = false;
}
