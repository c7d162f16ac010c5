/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The way from running to the end of the last process. */

#include "model/role.h"

void role_on_external_stop(Role *role); /* another process has systemd stop its scope */
void role_on_stop_known(Role *role);    /* such a stop would have been reported by now */
void role_on_cgroup_changed(Role *role);

/* Stops the role for this cause. If kill is true, sends SIGKILL at once. */
void role_stop(Role *role, RoleCause cause, bool kill, const Caller *caller);
void role_resume_stop(Role *role);  /* after a restart of the service */
void role_finish(Role *role);       /* the exit is known, so the role has ended */
void role_read_figures(Role *role); /* reads the figures of the scope into exit, while its cgroup exists */

/* Sends a signal to each process of its scope, also of a role that is being undone. */
void role_signal_scope(Role *role, int signo, SignalFlags flags, Waiter waiter);
/* The keeper has gone before it replied to a signal for which no caller waits. It may have sent the signal.
 */
void role_on_signal_lost(Role *role, int signo);
/* The same for SIGKILL, through cgroup.kill; with SIGNAL_EACH to each process, which reaches more of them. */
void role_kill_all(Role *role, SignalFlags flags);
/* Returns the time from one SIGKILL to the next at this step of a stop or of an undo. It is repeated, because
 * without cgroup.kill a fork may escape between two signals, and slowly in STOP_STEP_STUCK, because a process
 * may leave its uninterruptible sleep at any time. */
uint64_t role_kill_interval(StopStep step);
/* The role has survived SIGKILL for ROLE_KILL_TIMEOUT_USEC. Reports that, and sets the fault for the callers
 * that wait. */
void role_set_stuck_fault(Role *role, Fault *fault);
