/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "model/role-deadline.h"

#include <errno.h>
#include <inttypes.h>

#include "base/time-util.h"
#include "model/node.h"
#include "model/role-ready.h"
#include "util/log.h"

/* The keeper cannot read the socket of a role to the end while a descriptor in it is being closed. */
#define SYNC_RETRY_USEC (50 * USEC_PER_MSEC)

/* USEC_INFINITY: none. */
static uint64_t role_start_due(const Role *role) {
        return role->unready && role->start_deadline > 0 ? role->start_deadline : USEC_INFINITY;
}

/* A role that its keeper does not have any more has nothing that would hear it. */
static uint64_t role_watchdog_due(const Role *role) {
        return role->watchdog_ping > 0 && role->child_exists
                       ? usec_add(role->watchdog_ping, role->spec->watchdog_usec)
                       : USEC_INFINITY;
}

static uint64_t role_next_due(const Role *role) {
        return MIN(role_start_due(role), role_watchdog_due(role));
}

void role_watch_freezer(Role *role) {
        const bool was_frozen = role->was_frozen;

        if (role->watchdog_ping == 0 || role->state != ROLE_RUNNING)
                return;
        role->was_frozen = role_is_frozen(role);
        if (!was_frozen && !role->was_frozen)
                return;
        /* It could not send anything until now. */
        role->watchdog_ping = now_usec(CLOCK_MONOTONIC);
        role_watch_deadlines(role);
}

static bool role_has_deadlines(const Role *role) {
        return role->state == ROLE_RUNNING && !role->cause_known && !role->finishing;
}

/* Its last resort. May free the role. */
static void role_late(Role *role) {
        g_auto(Fault) fault = {};

        if (!role_has_deadlines(role))
                return;
        role_watch_freezer(role);
        const uint64_t now = now_usec(CLOCK_MONOTONIC);
        if (now >= role_start_due(role)) {
                (void) fault_set(&fault, NODE_ERROR_START_TIMED_OUT,
                        "Role \"%s\" was stopped: its start has not ended within %" PRIu64
                        " ms after the exec",
                        role->name, (role->start_deadline - role->start_monotonic_usec) / USEC_PER_MSEC);
                role_set_start_failure(role, &fault);
                role->node->reports->role_late(role->node, role, false);
        } else if (now >= role_watchdog_due(role)) {
                role_log(role, LOG_WARNING, "Watchdog timeout: it has sent no WATCHDOG=1 for %" PRIu64 " ms",
                        (now - role->watchdog_ping) / USEC_PER_MSEC);
                role->node->reports->role_late(role->node, role, true);
        } else
                role_watch_deadlines(role);
}

static int role_on_deadline(sd_event_source *s, uint64_t usec, void *userdata) {
        Role *role = userdata;
        int r = -ENOTSOCK;

        role_set_timer(role, USEC_INFINITY, NULL);
        if (!role_has_deadlines(role))
                return 0;
        /* The time of a turn of the loop, from which a timer counts, is before what is done in it. */
        if (now_usec(CLOCK_MONOTONIC) < role_next_due(role)) {
                role_watch_deadlines(role);
                return 0;
        }
        if (role_spec_notifies(role->spec) && role->child_exists)
                r = ASK(role->node, link, sync_notified, role);
        /* role_on_notified_synced() goes on, or the next keeper. */
        if (r < 0 && r != -ENOTCONN)
                role_late(role);
        return 0;
}

void role_on_notified_synced(Role *role, int error) {
        if (error == -ENOTCONN)
                return; /* the next keeper goes on */
        if (error == -EAGAIN) {
                if (role_has_deadlines(role))
                        role_set_timer(role, SYNC_RETRY_USEC, role_on_deadline);
                return;
        }
        if (error < 0 && role->watchdog_ping > 0) {
                role_log_errno(role, LOG_WARNING, error,
                        "The keeper has lost what it sends, so it is not watched any more: %m");
                role->watchdog_ping = 0;
        }
        role_late(role);
}

/* Its keeper has died before systemd had its descriptors. */
static void role_check_heard(Role *role) {
        if (role->watchdog_ping == 0 || role->child_exists || !ASK(role->node, link, connected))
                return;
        role_log(role, LOG_WARNING,
                "The keeper that received what it sends has died, so it is not watched any more");
        role->watchdog_ping = 0;
}

void role_watch_deadlines(Role *role) {
        if (!role_has_deadlines(role))
                return;
        role_check_heard(role);
        role_set_timer_at(role, role_next_due(role), role_on_deadline);
}
