/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The v2 cgroup hierarchy, whether it is alone (unified) or beside v1 (hybrid). libc only.
 * Paths are from the root of the hierarchy as this process sees it: "/architect.slice/...". */

#include <stdbool.h>
#include <sys/types.h>

/* Where the v2 hierarchy is mounted: /sys/fs/cgroup or /sys/fs/cgroup/unified; -ENOMEDIUM: neither is cgroup2. */
int cgroup_root(const char **ret);

/* The v2 cgroup of a process, from /proc/PID/cgroup. The caller frees. -ESRCH; -ENODATA: it has none. */
int cgroup_of_pid(pid_t pid, char **ret);

/* cgroup.events. A cgroup that is gone is not populated. */
int cgroup_events(const char *path, bool *ret_populated, bool *ret_frozen);

/* SIGKILL to every process in it and below, atomically (cgroup.kill, Linux 5.14). -ENOENT: gone; -EOPNOTSUPP. */
int cgroup_kill(const char *path);

/* Whether this machine has a controller in effect for scopes: in v2, or mounted as v1 in a hybrid set-up. */
bool cgroup_has_controller(const char *controller);

/* Pids in the cgroup and below, at most max of them; returns how many there are. */
int cgroup_pids(const char *path, pid_t *ret, size_t max);

/* One number from a file of the cgroup ("memory.peak"), or one key of it ("cpu.stat", "usage_usec"). -ENOENT, -ENODATA. */
int cgroup_read_u64(const char *path, const char *file, const char *key, unsigned long long *ret);
