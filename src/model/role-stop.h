/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The way from running to the end of the last process. That of the main process is in role-end.h. */

#include "model/role.h"

void role_on_cgroup_changed(Role *role);

/* Stops the role for this cause. If kill is true, sends SIGKILL at once. */
void role_stop(Role *role, RoleCause cause, bool kill, const Caller *caller);
void role_resume_stop(Role *role); /* after a restart of the service */

/* Returns whether a process of it is left. A cgroup that cannot be read counts as one. */
bool role_is_populated(Role *role);
/* The same. If one is left, role_on_cgroup_changed() follows when it has ended. */
bool role_await_empty(Role *role);
/* Saves the role and sends SIGTERM to what its main process has left. Returns false if that was done before.
 */
bool role_stop_left(Role *role);
void role_swept(Role *role); /* no process of it is left; saves and reaps it, and may free it */

/* The keeper has gone before it replied to a signal for which no caller waits. It may have sent the signal.
 */
void role_on_signal_lost(Role *role, int signo);
/* Returns the time from one SIGKILL to the next at this step of a stop or of an undo. It is repeated, because
 * without cgroup.kill a fork may escape between two signals, and slowly in STOP_STEP_STUCK, because a process
 * may leave its uninterruptible sleep at any time. */
uint64_t role_kill_interval(StopStep step);
/* The role has survived SIGKILL for ROLE_KILL_TIMEOUT_USEC. Reports that, and sets the fault for the callers
 * that wait. */
void role_set_stuck_fault(Role *role, Fault *fault);
