/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "model/event-details.h"
#include "model/leases.h"
#include "model/monitor-loss.h"
#include "model/monitor.h"
#include "model/node-events.h"
#include "model/node-stop.h"
#include "model/role-log.h"

static MonitorLoss role_loss(const Role *role, const char *lease) {
        if (g_strcmp0(role->spec->lease, lease) != 0)
                return MONITOR_LOSS_KEEP;
        if (role->spec->on_monitor_loss != MONITOR_LOSS_DEFAULT)
                return role->spec->on_monitor_loss;
        return monitor_action(role->node->monitor) == MONITOR_ACTION_NONE ? MONITOR_LOSS_KEEP
                                                                          : MONITOR_LOSS_STOP;
}

static bool role_is_concerned(const Role *role, const char *lease) {
        return (!lease || g_strcmp0(role->spec->lease, lease) == 0) &&
               (role->state != ROLE_ENDED || role_waits_for_restart(role));
}

void monitor_loss_count(const Node *node, const char *lease, MonitorLosses *ret) {
        GHashTableIter iter;
        Role *role;

        *ret = (MonitorLosses){};
        g_hash_table_iter_init(&iter, node->roles);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &role))
                if (role_is_concerned(role, lease))
                        ret->n[role_loss(role, lease)]++;
}

void monitor_loss_stop(Node *node, const char *lease) {
        g_autoptr(GArray) requests = g_array_new(false, false, sizeof(StopRequest));
        g_autoptr(GPtrArray) names = node_list_names(node);

        for (unsigned i = 0; i < names->len; i++) {
                const char *name = g_ptr_array_index(names, i);
                const Role *role = g_hash_table_lookup(node->roles, name);
                const MonitorLoss loss = role_loss(role, lease);
                const StopRequest request = { .name = name, .kill = loss == MONITOR_LOSS_KILL };

                if (loss != MONITOR_LOSS_KEEP && role_is_concerned(role, lease))
                        g_array_append_val(requests, request);
        }
        node_stop_roles(node, (const StopRequest *) requests->data, requests->len, ROLE_CAUSE_MONITOR, NULL);
}

void monitor_loss_of_lease(Node *node, const char *lease) {
        const Lease *expired = leases_find(node->leases, lease);
        g_autofree char *name = g_strdup(lease); /* that of the lease may go with it */
        g_auto(Event) event = {};
        MonitorLosses losses;

        monitor_loss_count(node, name, &losses);
        journal_lease_expired(node, name,
                "No beat of lease \"%s\" (uid %u) arrived for %g s, stopping %u of its roles, killing %u, keeping %u",
                name, (unsigned) expired->uid, (double) expired->deadline.armed_usec / (double) USEC_PER_SEC,
                losses.n[MONITOR_LOSS_STOP], losses.n[MONITOR_LOSS_KILL], losses.n[MONITOR_LOSS_KEEP]);
        node_event_add(node, EVENT_LEASE_EXPIRED, NULL,
                event_details_lease_expired(name, expired->deadline.armed_usec, expired->uid, expired->token),
                &event);
        leases_end(node->leases, name);
        node_event_tell(node, &event, NULL);

        monitor_loss_stop(node, name);
        leases_save_ended(node->leases);
}
