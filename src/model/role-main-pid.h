/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The process that a role with exit-type=cgroup has named as its main process by MAINPID= (sd_notify(3)), as
 * a start script does that ends in "program &". It is what MainPID shows and what signals to the main process
 * reach, as long as it lives. The status that is told of the role stays that of its command, whose parent
 * knows it. */

#include "model/role.h"

/* Takes the process if the role may name it: one in its scope. Returns NULL, or why it is refused; the caller
 * frees that. */
char *role_name_main_pid(Role *role, pid_t pid);

/* Watches for its end, after a restart of the service. */
void role_watch_main_pid(Role *role);

void role_forget_main_pid(Role *role);

/* Returns the main process as clients see it; 0 if there is none. */
pid_t role_main_pid(const Role *role);

/* Sends the signal to the process that the role has named. Returns false, and calls no waiter, if there is
 * none; then the main process is that of the command. */
bool role_signal_main_pid(Role *role, int signo, Waiter waiter);
