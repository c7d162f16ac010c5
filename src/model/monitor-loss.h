/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What becomes of the roles when no beat has arrived: of those without a lease when the monitor has timed
 * out, and of those of a lease when that has expired. The option on-monitor-loss of the role has precedence
 * over MonitorAction= of the node, of which "shutdown" and "stop-roles" mean the same here. */

#include "model/node.h"
#include "model/role-spec.h"

typedef struct MonitorLosses {
        unsigned n[_MONITOR_LOSS_MAX]; /* roles, by what becomes of them */
} MonitorLosses;

/* Counts the roles that have not ended or wait for their restart. lease: those of this lease alone. NULL:
 * all, and those of a lease are kept. */
void monitor_loss_count(const Node *node, const char *lease, MonitorLosses *ret);

/* Stops and kills them, with the cause "monitor"; also ends the wait for a restart. */
void monitor_loss_stop(Node *node, const char *lease);

/* A lease has expired: says so, and does with its roles what becomes of them. */
void monitor_loss_of_lease(Node *node, const char *lease);
