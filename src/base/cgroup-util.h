/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The v2 cgroup hierarchy, alone (unified) or beside v1 (hybrid). Uses libc only. Paths are relative to
 * the root of the hierarchy as this process sees it: "/architect.slice/...". Functions return a negative
 * errno. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Returns the mount point of the v2 hierarchy, which is /sys/fs/cgroup or /sys/fs/cgroup/unified, or
 * -ENOMEDIUM if neither is cgroup2. The string is static. */
int cgroup_root(const char **ret);

/* Has the next call look again. This is for a test that mounts the hierarchy elsewhere. */
void cgroup_root_forget(void);

/* Returns whether a cgroup is this one or below it. above may be NULL, which nothing is below. */
bool cgroup_is_below(const char *cgroup, const char *above);

/* Identifies a cgroup among all that have had or will have its path. Returns -ENOENT if it does not exist. */
int cgroup_id(const char *path, uint64_t *ret);

/* Returns the v2 cgroup of a process, from /proc/PID/cgroup. The caller frees it. Returns -ESRCH if the
 * process does not exist, -ENODATA if it has no v2 cgroup. */
int cgroup_of_pid(pid_t pid, char **ret);

/* Reads cgroup.events. A cgroup that does not exist is not populated. */
int cgroup_events(const char *path, bool *ret_populated, bool *ret_frozen);

/* Opens its directory. Returns the descriptor, or -ENOENT if it does not exist. */
int cgroup_open(const char *path);

/* Returns whether the cgroup itself is frozen, or is to be (cgroup.freeze): its processes may not be yet. */
bool cgroup_is_freezing(const char *path);

/* Returns the name of the nearest cgroup above this one that is being frozen (cgroup.freeze), without its
 * path. The caller frees it. Returns -ENOENT if there is none. */
int cgroup_frozen_above(const char *path, char **ret);

/* Sends SIGKILL to each process in the cgroup and below, atomically (cgroup.kill, Linux 5.14). Returns
 * -ENOENT if it does not exist, -EOPNOTSUPP if the kernel is too old. */
int cgroup_kill(const char *path);

/* Limits the number of cgroups below it, at all depths (cgroup.max.descendants). */
int cgroup_set_max_descendants(const char *path, unsigned max);

/* Moves a process into the cgroup, and into the one of this path in each hierarchy of v1 that has one.
 * Returns -ENOENT if it does not exist. */
int cgroup_attach(const char *path, pid_t pid);

/* Returns whether a controller of this machine applies to scopes: in v2, or mounted as v1 in a hybrid
 * set-up. */
bool cgroup_has_controller(const char *controller);

/* Returns how many processes the OOM killer of the kernel has killed in this cgroup. In v2 it counts those
 * below, too, also after they were removed. In a hybrid set-up the number is in the v1 hierarchy of the
 * memory controller, for this cgroup alone. Returns -ENOENT or -ENODATA. */
int cgroup_oom_kills(const char *path, unsigned long long *ret);

/* Returns whether v2 is the only hierarchy, so that its counters include what is below. */
bool cgroup_is_unified(void);

/* Stores at most max pids of the cgroup and below, and returns how many there are. */
int cgroup_pids(const char *path, pid_t *ret, size_t max);

/* Reads one number from a file of the cgroup ("memory.peak"), or from one of its keys ("cpu.stat",
 * "usage_usec"). Returns -ENOENT or -ENODATA. */
int cgroup_read_u64(const char *path, const char *file, const char *key, unsigned long long *ret);
