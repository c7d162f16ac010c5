/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Signals to processes that need not be children of the keeper. Which cgroups and processes may be signalled
 * is written in proto/keeper-protocol.h, at KEEPER_SIGNAL_CGROUP. Functions return a negative errno. */

#include <stdbool.h>
#include <stdint.h>

/* Returns whether the path is that of the scope of a role of this instance. */
bool cgroup_is_of_role(const char *path, const char *instance);

/* Returns whether the path is that of a scope to which processes of a role may have been moved. */
bool cgroup_may_be_stray(const char *path);

/* Sends a signal to all processes of the cgroup and of those below it. flags are KEEPER_CGROUP_*; no process
 * may have been started before not_before (field 22 of /proc/PID/stat). */
int cgroup_signal(const char *path, int signo, uint32_t flags, uint64_t not_before);

int process_signal(int pid, uint64_t start_time, int signo);
