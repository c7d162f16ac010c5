/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <signal.h>

#include "base/time-util.h"
#include "model/node.h"
#include "model/role-deadline.h"
#include "model/role-main-pid.h"
#include "model/role-notify.h"
#include "model/role-ready.h"
#include "model/role-stop.h"
#include "util/log.h"

static void role_on_ready(Role *role, uint64_t monotonic_usec) {
        if (role->state == ROLE_STARTING) {
                role->ready_early = true;
                return;
        }
        if (role->state != ROLE_RUNNING || !role->unready || role->spec->type != ROLE_TYPE_NOTIFY)
                return;
        role_set_ready(role, monotonic_usec);
        role_watch_deadlines(role);
        ASK(role->node, clients, role_changed, role);
}

static void role_on_status(Role *role, const char *text) {
        if (g_strcmp0(role->status_text, text) == 0)
                return;
        g_free(role->status_text);
        role->status_text = g_strdup(text);
        ASK(role->node, clients, role_changed, role);
}

/* As for systemd: the role has this much time from now on, if that is more than it has already. */
static void role_extend_timeout(Role *role, uint64_t deadline) {
        if (role->state == ROLE_STOPPING)
                role_extend_stop(role, deadline);
        else if (role->state == ROLE_RUNNING && role->unready && deadline > role->start_deadline) {
                role->start_deadline = deadline;
                role_watch_deadlines(role);
        }
}

/* Once in a run, because a role may send as much as it likes. */
static bool role_is_new_notice(Role *role, NotifyKind kind) {
        const unsigned bit = 1U << kind;
        const bool is_new = !(role->notices & bit);

        role->notices |= bit;
        return is_new;
}

static void role_on_main_pid(Role *role, uint64_t pid) {
        if (pid == (uint64_t) role->main_pid && role->named_main.pid == 0)
                return;
        g_autofree char *reason = role_name_main_pid(role, (pid_t) pid);
        if (reason && role_is_new_notice(role, NOTIFY_MAINPID))
                role_log(role, LOG_NOTICE, "Refusing MAINPID=%" PRIu64 ": %s", pid, reason);
        else if (!reason)
                ASK(role->node, clients, role_changed, role);
}

static void role_take_notification(Role *role, const RoleNotification *n) {
        switch (n->kind) {
        case NOTIFY_READY:
                role_on_ready(role, n->monotonic_usec);
                break;
        case NOTIFY_STATUS:
                role_on_status(role, n->text);
                break;
        case NOTIFY_RELOADING:
                if (role_is_new_notice(role, n->kind))
                        role_log(role, LOG_INFO, "It is reloading its configuration");
                break;
        case NOTIFY_STOPPING:
                if (role_is_new_notice(role, n->kind))
                        role_log(role, LOG_INFO, "It is stopping");
                break;
        case NOTIFY_EXTEND_TIMEOUT:
                role_extend_timeout(role, usec_add(n->monotonic_usec, n->value));
                break;
        case NOTIFY_ERRNO:
                role->status_errno = (int) n->value;
                ASK(role->node, clients, role_changed, role);
                break;
        case NOTIFY_MAINPID:
                role_on_main_pid(role, n->value);
                break;
        case NOTIFY_WATCHDOG_TRIGGER:
                if (role->watchdog_ping > 0 && role->state == ROLE_RUNNING && !role->cause_known) {
                        role_log(role, LOG_WARNING, "It has sent WATCHDOG=trigger");
                        role->node->reports->role_late(role->node, role, true);
                }
                break;
        default:
                break;
        }
}

static void role_save_notified(Role *role) {
        role->notified_due = sd_event_source_disable_unref(role->notified_due);
        if (role->notified_unsaved)
                (void) role_save(role);
        role->notified_unsaved = false;
        ASK(role->node, link, notified_saved, role, role->notified);
}

static int role_on_notified_due(sd_event_source *s, void *userdata) {
        role_save_notified(userdata);
        return 0;
}

/* Once for all that has come in this turn of the loop. */
static void role_defer_save_notified(Role *role) {
        if (role->notified_due)
                return;
        int r = sd_event_add_defer(role->node->event, &role->notified_due, role_on_notified_due, role);
        if (r < 0)
                role_save_notified(role);
}

void role_on_notified(Role *role, const RoleNotification *n) {
        /* Never saved, because the keeper always has the last one. */
        if (n->kind == NOTIFY_WATCHDOG) {
                if (role->watchdog_ping > 0 && n->monotonic_usec > role->watchdog_ping) {
                        role->watchdog_ping = n->monotonic_usec;
                        if (role->state == ROLE_RUNNING)
                                role_watch_deadlines(role);
                }
                return;
        }
        const bool was_ready = role_is_ready(role);
        if (n->number > role->notified) {
                role->notified = n->number;
                /* What is left of one that has ended is swept. */
                if (role->state != ROLE_ENDED) {
                        role_take_notification(role, n);
                        role->notified_unsaved = true;
                }
        }
        /* Before the exec is known, a restart takes it from the keeper again. */
        if (role->state == ROLE_STARTING)
                return;
        /* The caller of Start is told of what is saved. */
        if (role->state != ROLE_ENDED && !was_ready && role_is_ready(role)) {
                role_save_notified(role);
                role_answer_start(role, NULL);
        } else
                role_defer_save_notified(role);
}
