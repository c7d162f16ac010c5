/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/time-util.h"
#include "model/monitor-loss.h"
#include "model/node-dependencies.h"
#include "model/node-purge.h"
#include "model/node-reports.h"
#include "model/node-start.h"
#include "model/role-damage.h"
#include "model/role-end.h"
#include "model/role-restart.h"
#include "model/role-freezer.h"
#include "model/role-start.h"
#include "model/role-stop.h"
#include "model/node-stop.h"
#include "model/outputs.h"
#include "model/ports-roles.h"
#include "model/ports.h"

static void node_on_start_over(Node *node) {
        node_pump_starts(node);
        node_check_finished(node); /* a shutdown also waits for cancelled starts */
}

static void node_on_role_swept(Node *node, Role *role) {
        Role *successor = role->successor;

        node_dependency_gone(node, role);
        outputs_role_gone(node->outputs, role);
        if (successor) {
                if (successor->phase == ROLE_PHASE_SWEEP && !successor->failure.message) {
                        successor->phase = ROLE_PHASE_QUEUED;
                        start_times_add(&successor->start_times, START_STEP_SWEEP, now_usec(CLOCK_MONOTONIC));
                        node_queue_start_first(node, successor);
                        node_pump_starts(node);
                }
        } else if (role_waits_for_restart(role))
                role_arm_restart(role);
        else {
                node_add_ended(node, role);
                if (role->spec->remove)
                        node_purge_role(node, role, NULL);
                node_trim_ended(node);
        }
        node_check_finished(node);
}

static void node_on_role_stuck(Node *node, Role *role, const Fault *fault) {
        Role *successor = role->successor;

        if (successor && successor->phase == ROLE_PHASE_SWEEP) {
                g_auto(Fault) start_fault = {};

                (void) fault_set(&start_fault, NODE_ERROR_SETUP_FAILED,
                        "Role \"%s\" cannot be started, its previous run is not gone: %s", role->name,
                        fault->message);
                role_fail(successor, &start_fault);
        }
        node_dependency_gone(node, role);
        node_check_finished(node);
}

static void node_on_role_late(Node *node, Role *role, bool watchdog) {
        role_stop(role, watchdog ? ROLE_CAUSE_WATCHDOG : ROLE_CAUSE_TIMEOUT, false, NULL);
}

static void node_on_named_main_ended(Node *node, Role *role) {
        (void) role_stop_left(role);
}

static void node_on_hooks_over(Node *node, Role *role, HookKind kind) {
        if (kind == HOOK_STOP)
                role_stop_commands_over(role);
        else if (role->state == ROLE_STARTING)
                role_undo(role);
        else
                role_swept(role);
}

static void node_on_hooks_stuck(Node *node, Role *role, Role *hook) {
        if (role->state == ROLE_STARTING)
                role_undo_is_stuck(role, hook);
        else
                role_is_stuck_by(role, hook);
}

static void node_on_role_freed(Node *node, Role *role) {
        role->damage = damage_free(role->damage);
        role_end_free(role);
        role_freezer_detach(role);
        outputs_role_gone(node->outputs, role);
        if (node->ports)
                ports_role_gone(node->ports, role);
}

const NodeReports node_reports = {
        .start_over = node_on_start_over,
        .role_ready = node_dependency_ready,
        .start_failed = node_dependency_failed,
        .role_ended = node_dependency_ended,
        .role_swept = node_on_role_swept,
        .role_stuck = node_on_role_stuck,
        .restart_due = node_restart_role,
        .restarted = node_dependency_restarted,
        .role_late = node_on_role_late,
        .named_main_ended = node_on_named_main_ended,
        .hooks_over = node_on_hooks_over,
        .hooks_stuck = node_on_hooks_stuck,
        .role_freed = node_on_role_freed,
        .lease_expired = monitor_loss_of_lease,
};
