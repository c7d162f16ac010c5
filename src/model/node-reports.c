/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "model/node-purge.h"
#include "model/node-reports.h"
#include "model/node-start.h"
#include "model/role-damage.h"
#include "model/role-end.h"
#include "model/role-start.h"
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

        outputs_role_gone(node->outputs, role);
        if (successor) {
                if (successor->phase == ROLE_PHASE_SWEEP && !successor->failure.message) {
                        successor->phase = ROLE_PHASE_QUEUED;
                        node_queue_start_first(node, successor);
                        node_pump_starts(node);
                }
        } else {
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
        node_check_finished(node);
}

static void node_on_role_freed(Node *node, Role *role) {
        role->damage = damage_free(role->damage);
        role_end_free(role);
        outputs_role_gone(node->outputs, role);
        if (node->ports)
                ports_role_gone(node->ports, role);
}

const NodeReports node_reports = {
        .start_over = node_on_start_over,
        .role_swept = node_on_role_swept,
        .role_stuck = node_on_role_stuck,
        .role_freed = node_on_role_freed,
};
