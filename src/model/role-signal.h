/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Signals to the processes of a role, also of one that is being undone. */

#include "model/role.h"

/* Sends a signal to each process of its scope. */
void role_signal_scope(Role *role, int signo, SignalFlags flags, Waiter waiter);
/* The same, if there is no keeper that could. */
void role_signal_by_systemd(Role *role, int signo, SignalFlags flags, Waiter waiter);

/* Sends a signal to what has left the scope. It is lost without a keeper. */
void role_signal_strays(Role *role, int signo, SignalFlags flags);

/* Looks for strays and sends a signal to each process of the role, wherever it is. The waiter is called
 * once. */
void role_signal_all(Role *role, int signo, Waiter waiter);

/* The same for SIGKILL, through cgroup.kill; with SIGNAL_EACH to each process, which reaches more of them. */
void role_kill_all(Role *role, SignalFlags flags);
