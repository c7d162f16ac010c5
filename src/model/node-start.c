/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/time-util.h"
#include "base/unit-name.h"
#include "model/auto-start.h"
#include "model/definitions.h"
#include "model/leases.h"
#include "model/node-start.h"
#include "model/node-stop.h"
#include "model/ports-roles.h"
#include "model/quota.h"
#include "model/role-ready.h"
#include "model/role-restart.h"
#include "model/role-start.h"
#include "model/role-terminal.h"
#include "model/settings.h"
#include "model/start-plan.h"
#include "util/log.h"

/* Of one user, so that the starts of others need not wait for MaxConcurrentStarts=. */
#define USER_STARTS_MAX 16U

static int node_check_name(const char *name, Fault *fault) {
        if (role_name_is_valid(name))
                return 0;

        g_autofree char *refused = role_spec_refuse_name("role name", name);
        return fault_set(fault, NODE_ERROR_INVALID_ROLE_NAME, "%s", refused);
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

        if (definitions_reserve(node->definitions, name))
                return fault_set(fault, NODE_ERROR_ACCESS_DENIED,
                        "Role \"%s\" has a definition, which reserves its name; choose another name", name);
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
        if (spec->oom_score_adjust < 0)
                return fault_set(fault, NODE_ERROR_ACCESS_DENIED,
                        "Option \"oom-score-adjust\": only root may set %d, which is below 0",
                        spec->oom_score_adjust);
        if (spec->environment_files)
                return fault_set(fault, NODE_ERROR_ACCESS_DENIED,
                        "Option \"environment-file\": only root may use it, because the files are read as root");
        if (spec->exec_start_pre && role_start_pre_timeout(spec) > ROLE_START_TIMEOUT_DEFAULT_USEC)
                return fault_set(fault, NODE_ERROR_ACCESS_DENIED,
                        "Option \"timeout-start-usec\": only root may set more than 90 s with \"exec-start-pre\", because these commands hold one of MaxConcurrentStarts=");
        for (unsigned i = 0; i < _DEPENDENCY_MAX; i++)
                if (spec->dependencies[i])
                        return fault_set(fault, NODE_ERROR_ACCESS_DENIED,
                                "Option \"%s\": only root may use it, because it starts and stops roles of others",
                                dependency_to_string((Dependency) i));
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

int node_check_defined_start(Node *node, const char *name, const Caller *caller, Fault *fault) {
        return quota_check_start(node->quotas, caller->uid, name, node->settings->max_starts_per_user, fault);
}

/* Returns whether somebody else than root starts a role of root, by its definition. */
static bool node_is_start_for_root(const Node *node, const RoleSpec *spec, const Caller *caller) {
        return spec->definition && !spec->account && node_limits(node, caller);
}

/* He has root's ports for it. */
static const Caller *node_user_of_ports(const Node *node, const RoleSpec *spec, const Caller *caller) {
        static const Caller root = { .known = true };

        return node_is_start_for_root(node, spec, caller) ? &root : caller;
}

/* Makes the role if the name, its ports and the limits of its user permit that. Nothing has begun yet. */
static int node_admit_start(Node *node, const char *name, RoleSpec *spec /* owned by the role */,
        const Caller *caller, Role **ret, Fault *fault) {
        g_auto(Fault) spec_fault = {};
        sd_id128_t invocation;
        int r;

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
        r = ports_check_start(node->ports, name, spec, node_user_of_ports(node, spec, caller), &spec_fault);
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
        start_times_begin(&role->start_times, now_usec(CLOCK_MONOTONIC));
        role->child = node->next_child++;
        caller_copy(&role->owner, caller);
        *ret = role;
        return 0;
}

/* From here on the start is saved, and the run before it is set aside. */
static void node_begin_start(Node *node, Role *role) {
        Role *predecessor = g_hash_table_lookup(node->roles, role->name);

        if (predecessor) {
                g_hash_table_steal(node->roles, role->name);
                if (role_waits_for_restart(predecessor))
                        role_set_timer(predecessor, USEC_INFINITY, NULL);
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
                return;
        }
        ASK(node, clients, role_changed, role);
        node_queue_start(node, role);
        node_pump_starts(node);
}

/* Checks what does not depend on other roles, and fills in what the node decides. */
static int node_check_start(Node *node, const char *name, RoleSpec *spec, const LeaseUse *use,
        const Caller *caller, Fault *fault) {
        g_auto(Fault) spec_fault = {};

        int r = node_check_name(name, fault);
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
        r = lease_use_check_start(use, node, name, spec->lease, caller, fault);
        if (r < 0)
                return r;

        if (!spec->stop_timeout_set)
                spec->stop_timeout_usec = node->settings->default_stop_timeout_usec;
        return 0;
}

/* What the start of a caller changes beside the role. */
static void node_take_caller_start(Node *node, Role *role, const Caller *caller, Waiter waiter) {
        if (node_is_start_for_root(node, role->spec, caller))
                quota_take_start(node->quotas, caller->uid, node->settings->max_starts_per_user);
        auto_start_started(node, role->name);
        role_wait_start(role, waiter);
        role->restarts = (RestartCount){ .window_begin = now_usec(CLOCK_MONOTONIC), .window_starts = 1 };
}

/* The options of the role of this name as it is defined. The caller owns *ret. */
static int node_copy_defined(Node *node, const char *name, RoleSpec **ret, Fault *fault) {
        const Definition *definition = NULL;

        int r = definitions_find_valid(node->definitions, name, &definition, fault);
        if (r < 0)
                return r;
        g_assert(definition);
        g_autoptr(RoleSpec) spec = role_spec_copy(definition->spec);
        r = role_spec_finish_terminal(spec, fault);
        if (r >= 0)
                *ret = g_steal_pointer(&spec);
        return r;
}

/* What it depends on itself is before it in the plan. */
static int node_start_planned(
        Node *node, const char *name, const LeaseUse *use, const Caller *caller, Fault *fault) {
        g_autoptr(RoleSpec) spec = NULL;
        Role *role = NULL;

        int r = node_copy_defined(node, name, &spec, fault);
        if (r >= 0)
                r = node_check_start(node, name, spec, use, caller, fault);
        if (r >= 0)
                r = node_admit_start(node, name, spec, caller, &role, fault);
        if (r < 0)
                return r;
        g_assert(role);
        g_steal_pointer(&spec);
        node_take_caller_start(node, role, caller, (Waiter){});
        node_begin_start(node, role);
        return 0;
}

/* Starts what the plan has. One that the role needs and that cannot be started fails it, see
 * node_admit_start() for the reasons; the others go on, as for systemd. */
static void node_start_plan(Node *node, const GPtrArray *plan, const char *name, const RoleSpec *spec,
        const LeaseUse *use, const Caller *caller, Fault *ret_needed) {
        for (unsigned i = 0; plan && i < plan->len; i++) {
                const char *other = g_ptr_array_index(plan, i);
                g_auto(Fault) fault = {};

                if (node_start_planned(node, other, use, caller, &fault) >= 0)
                        continue;
                log_notice("Role \"%s\", on which \"%s\" depends, cannot be started: %s", other, name,
                        fault.message);
                if (!ret_needed->message && role_spec_needs(spec, other))
                        (void) fault_set(ret_needed, NODE_ERROR_DEPENDENCY_FAILED,
                                "Role \"%s\" needs \"%s\", which cannot be started: %s", name, other,
                                fault.message);
        }
}

void node_hold_starts(Node *node) {
        if (node->n_holds++ == 0)
                auto_start_hold(node);
}

void node_release_starts(Node *node) {
        if (--node->n_holds > 0)
                return;
        auto_start_release(node);
        node_pump_starts(node);
}

/* Begins the start with those of its plan; none of them before all are there, so that each sees what it is
 * after. Returns false if it has failed already, as one that it needs cannot be started. */
static bool node_begin_with_plan(
        Node *node, Role *role, const GPtrArray *plan, const LeaseUse *use, const Caller *caller) {
        g_autofree char *name = g_strdup(role->name);
        g_auto(Fault) needed = {};

        node_start_plan(node, plan, name, role->spec, use, caller, &needed);
        node_begin_start(node, role); /* may free the role */
        if (!needed.message)
                return true;
        if (g_hash_table_lookup(node->roles, name) == role && !role->failure.message)
                role_fail(role, &needed);
        return false;
}

static int node_start(Node *node, const char *name, RoleSpec *spec, const LeaseUse *use, const Caller *caller,
        bool automatic, Waiter waiter, Fault *fault) {
        g_autoptr(GPtrArray) plan = NULL;
        Role *role = NULL;

        int r = node_check_not_stopping(node, fault);
        if (r >= 0)
                r = node_check_start(node, name, spec, use, caller, fault);
        if (r >= 0)
                r = start_plan_make(
                        node, name, spec, automatic ? auto_start_was_stopped : NULL, &plan, fault);
        if (r >= 0)
                r = node_admit_start(node, name, spec, caller, &role, fault);
        if (r < 0)
                return r;
        g_assert(role);
        node_hold_starts(node);
        node_take_caller_start(node, role, caller, waiter);
        (void) node_begin_with_plan(node, role, plan, use, caller);
        node_release_starts(node);
        return 0;
}

int node_start_role(
        Node *node, const char *name, RoleSpec *spec, const Caller *caller, Waiter waiter, Fault *fault) {
        const LeaseUse use = { .lease = spec->lease, .token = spec->fencing_token };

        return node_start(node, name, spec, &use, caller, false, waiter, fault);
}

int node_start_defined(Node *node, const char *name, const LeaseUse *use, const Caller *caller,
        bool automatic, Waiter waiter, Fault *fault) {
        g_autoptr(RoleSpec) spec = NULL;

        int r = node_copy_defined(node, name, &spec, fault);
        if (r >= 0) {
                if (spec->lease)
                        spec->fencing_token = use->token;
                r = node_start(node, name, spec, use, caller, automatic, waiter, fault);
        }
        if (r >= 0)
                g_steal_pointer(&spec);
        return r;
}

void node_restart_role(Node *node, Role *predecessor) {
        g_autoptr(RoleSpec) spec = role_spec_copy(predecessor->spec);
        g_autofree char *name = g_strdup(predecessor->name);
        g_autoptr(GPtrArray) plan = NULL;
        g_auto(Fault) fault = {};
        Role *role = NULL;

        if (node_is_shutting_down(node))
                role_restart_cancelled(predecessor);
        else if (!role_take_restart(predecessor))
                return;
        else {
                /* The run before has released these, and the next one takes them itself. */
                ports_forget_released(node->ports, spec);
                if (start_plan_make(node, name, spec, auto_start_was_stopped, &plan, &fault) >= 0 &&
                        node_admit_start(node, name, spec, &predecessor->owner, &role, &fault) >= 0) {
                        g_assert(role);
                        spec = NULL;
                        role->automatic = true;
                        role->restarts = predecessor->restarts;
                        const LeaseUse use = { .lease = role->spec->lease, .automatic = true };

                        node_hold_starts(node);
                        if (node_begin_with_plan(node, role, plan, &use, &role->owner))
                                node->reports->restarted(node, name);
                        node_release_starts(node);
                        return;
                }
                if (role_restart_is_put_off(&fault))
                        role_put_restart_off(predecessor, &fault);
                else
                        role_restart_failed(predecessor, &fault, RESTART_PUT_OFF_USEC);
        }
        node->reports->role_swept(node, predecessor); /* it waits again, or has ended for good */
}

/* Returns false if it waits for another role, and is queued again when that has changed, or if it has
 * failed. */
static bool node_may_start(Role *role) {
        g_auto(Fault) fault = {};

        if (!role_spec_has_dependencies(role->spec))
                return true;
        int r = start_plan_check(role, &fault);
        if (r > 0)
                return true;
        if (r < 0) {
                role_fail(role, &fault);
                return false;
        }
        role->phase = ROLE_PHASE_DEPENDENCIES;
        start_times_add(&role->start_times, START_STEP_QUEUE, now_usec(CLOCK_MONOTONIC));
        ASK(role->node, clients, role_changed, role);
        role_log(role, LOG_DEBUG, "Waiting for role \"%s\"", role->awaits);
        return false;
}

void node_pump_starts(Node *node) {
        /* A start that fails at once is over before role_start() returns and would call this function again.
         * The loop that is running continues with the next one instead. */
        if (node->pumping || node->n_holds > 0)
                return;
        node->pumping = true;
        while (node->n_starts < node->settings->max_concurrent_starts &&
                !g_queue_is_empty(node->start_queue) && node_can_start(node)) {
                Role *role = g_queue_peek_head(node->start_queue);

                node_unqueue_start(node, role);
                if (!node_may_start(role))
                        continue;
                node->n_starts++;
                role_start(role);
        }
        node->pumping = false;
}
