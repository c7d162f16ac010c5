/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The way from running to the end of the last process. That of the main process is in role-end.h. */

#include "model/role.h"

void role_on_cgroup_changed(Role *role);

/* Stops the role for this cause. If kill is true, sends SIGKILL at once. */
void role_stop(Role *role, RoleCause cause, bool kill, const Caller *caller);
/* Begins the stop of a role that waits (STOP_STEP_WAITING), if it need not wait any longer. */
void role_check_waiting_stop(Role *role);
/* The role is stopped because that other one has ended by itself, so it may come back with it. NULL: it does
 * not, since somebody has stopped one of them by hand. Saves it if it is stopping or has ended. */
void role_follow(Role *role, const char *name);
/* The role has asked for more time to stop: until then, CLOCK_MONOTONIC, if that is later than its deadline.
 * USEC_INFINITY is refused, and that of a user other than root gets DefaultStopTimeout= from the beginning of
 * the stop at most. */
void role_extend_stop(Role *role, uint64_t deadline);
void role_resume_stop(Role *role); /* after a restart of the service */

/* Returns whether a process of it is left. A cgroup that cannot be read counts as one. */
bool role_is_populated(Role *role);
/* The same. If one is left, role_on_cgroup_changed() follows when it has ended. */
bool role_await_empty(Role *role);
/* Saves the role and sends SIGTERM to what its main process has left. Returns false if that was done before.
 */
bool role_stop_left(Role *role);
/* The commands of exec-stop are over. The stop signal follows. */
void role_stop_commands_over(Role *role);
/* A process of the role, or of its hooks, survives SIGKILL (where). */
void role_is_stuck_by(Role *role, Role *where);
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
