/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <string.h>

#include "base/exit-status.h"
#include "model/node.h"
#include "model/role-log.h"
#include "model/message-ids.h"
#include "model/role-ready.h"
#include "util/log.h"

uint64_t role_start_timeout(const Role *role) {
        const RoleSpec *spec = role->spec;

        if (!spec->timeout_start_set)
                return spec->type == ROLE_TYPE_NOTIFY ? ROLE_START_TIMEOUT_DEFAULT_USEC : USEC_INFINITY;
        return spec->timeout_start_usec > 0 ? spec->timeout_start_usec : USEC_INFINITY;
}

uint64_t role_start_pre_timeout(const RoleSpec *spec) {
        if (!spec->exec_start_pre)
                return 0;
        if (!spec->timeout_start_set)
                return ROLE_START_TIMEOUT_DEFAULT_USEC;
        return spec->timeout_start_usec > 0 ? spec->timeout_start_usec : USEC_INFINITY;
}

bool role_is_ready(const Role *role) {
        if (role->unready)
                return false;
        return role->state == ROLE_RUNNING || role->state == ROLE_STOPPING ||
               (role->state == ROLE_ENDED && role->spec->type == ROLE_TYPE_ONESHOT);
}

void role_set_ready(Role *role, uint64_t monotonic_usec) {
        role->unready = false;
        role->start_deadline = 0;
        if (role->spec->type != ROLE_TYPE_EXEC)
                start_times_set_ready(&role->start_times, role->start_monotonic_usec, monotonic_usec);
        if (role_spec_is_watched(role->spec))
                role->watchdog_ping = monotonic_usec;
}

void role_set_unready(Role *role) {
        role->unready = true;
}

void role_set_start_failure(Role *role, const Fault *fault) {
        if (role->failure.message)
                return;
        fault_copy(&role->failure, fault);
        journal_role(role, MESSAGE_ROLE_START_FAILED, LOG_NOTICE, &role->owner, "Start failed: %s",
                role->failure.message);
}

static void role_set_end_failure(Role *role) {
        const char *unless = role->spec->type == ROLE_TYPE_ONESHOT ? "failed" : "ended before it was ready";
        g_auto(Fault) fault = {};

        switch (role->exit.code) {
        case EXIT_CODE_EXITED:
                (void) fault_set(&fault, NODE_ERROR_START_FAILED, "Role \"%s\" %s (exit %d)", role->name,
                        unless, role->exit.status);
                break;
        case EXIT_CODE_KILLED:
        case EXIT_CODE_DUMPED:
                (void) fault_set(&fault, NODE_ERROR_START_FAILED,
                        "Role \"%s\" %s (killed by signal %d, %s; cause %s)", role->name, unless,
                        role->exit.status, strsignal(role->exit.status), role_cause_to_string(role->cause));
                break;
        default:
                (void) fault_set(&fault, NODE_ERROR_START_FAILED, "Role \"%s\" %s (its exit status is lost)",
                        role->name, unless);
                break;
        }
        role_set_start_failure(role, &fault);
}

void role_start_ended(Role *role) {
        if (!role->unready)
                return;
        /* A program that handles the stop signal exits with 0, too, and has not done its work then. */
        if (role->spec->type == ROLE_TYPE_ONESHOT && role->cause == ROLE_CAUSE_SELF &&
                ((role->exit.code == EXIT_CODE_EXITED && role->exit.status == 0) ||
                        exit_status_is_in(
                                role->spec->success_exit_status, role->exit.code, role->exit.status)))
                role_set_ready(role, role->exit.monotonic_usec);
        else
                role_set_end_failure(role);
}

void role_answer_start(Role *role, const Fault *more) {
        const NodeReports *reports = role->node->reports;
        g_auto(Fault) fault = {};

        if (role->failure.message && more)
                (void) fault_set(&fault, role->failure.error, "%s. %s", role->failure.message, more->message);
        else if (role->failure.message)
                fault_copy(&fault, &role->failure);
        if (!more)
                fault_clear(&role->failure);
        role_wake_start_waiters(role, &fault);
        if (fault.message)
                reports->start_failed(role->node, role, &fault);
        else if (role_is_ready(role))
                reports->role_ready(role->node, role);
}
