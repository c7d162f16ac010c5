/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What follows an end by the policy of the role (the option restart): nothing, another run after a delay, or
 * the failure that RoleFailed tells. The rules are those of Restart= in systemd.service(5), with these
 * differences: what a caller, the monitor, a shutdown or another manager has stopped is never started again;
 * each delay is varied by a tenth, so that roles that have lost the same server do not come back in one
 * instant; and RestartSteps= begins again after a good run.
 *
 * Between two runs the role stays "ended". The wait is saved, so it goes on over a restart of the service,
 * with the same deadline and the same attempt. */

#include "base/string-table.h"
#include "model/events.h"
#include "model/role.h"

/* The time to the next try of a restart that cannot even be made, whatever the delay of the role: it must not
 * keep the service busy. */
#define RESTART_PUT_OFF_USEC USEC_PER_SEC

/* How a run ended, in the words of systemd, and RESULT_LOST. */
typedef enum RoleResult {
        RESULT_SUCCESS,
        RESULT_EXIT_CODE,
        RESULT_SIGNAL,
        RESULT_CORE_DUMP,
        RESULT_TIMEOUT,  /* it has not ended within its stop timeout, or not started within that of its start
                          */
        RESULT_WATCHDOG, /* it has missed a deadline of its watchdog */
        RESULT_PROTOCOL, /* it has ended well, but before READY=1 */
        RESULT_OOM_KILL,
        RESULT_LOST,      /* its status is not known */
        RESULT_RESOURCES, /* its restart has failed */
        RESULT_START_LIMIT_HIT,
        _ROLE_RESULT_MAX,
        _ROLE_RESULT_INVALID = -EINVAL,
} RoleResult;

DECLARE_STRING_TABLE(role_result, RoleResult);

/* How a run has ended whose exit is known. */
RoleResult role_run_result(const Role *role);
/* The property: RESULT_SUCCESS before the end. */
RoleResult role_result(const Role *role);

/* Decides what follows the end of a role, unless that is known already, and adds the event about it, which
 * the caller tells when it has saved the role. Called when no process of the role is left. */
void role_decide_next_run(Role *role, Event *ret);

/* Sets the timer of a role that waits. When it elapses, calls NodeReports.restart_due(). */
void role_arm_restart(Role *role);

/* Ends the wait, if it waits, for this cause. Returns whether it has; then it may have freed the role. */
bool role_cancel_restart(Role *role, RoleCause cause, const Caller *caller);

/* The time of its restart has come. Counts it. If that is one too many for start-limit-burst, or nobody holds
 * the lease of the role, gives the role up, which may free it, and returns false. */
bool role_take_restart(Role *role);

/* The restart of this ended run has failed, or could not be made (fault), so the policy has the next word,
 * and another one follows after this time at least. Neither this nor the next two report that the role is
 * swept.
 */
void role_restart_failed(Role *role, const Fault *fault, uint64_t least_usec);
/* A caller has stopped the name, or the service stops: nothing follows this run. */
void role_restart_cancelled(Role *role);
/* The same, but it is not the fault of the role (see role_restart_is_put_off()): it waits once more, and the
 * attempt does not count. */
void role_put_restart_off(Role *role, const Fault *fault);

/* Returns whether a restart that fails with this says nothing about the role. */
bool role_restart_is_put_off(const Fault *fault);
