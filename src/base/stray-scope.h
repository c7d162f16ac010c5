/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which scopes a role may take along when it is stopped. PAM and systemd-run move a process of a role into a
 * scope that they have made for it. architect-node looks for such scopes, and architect-keeper, which signals
 * them, checks each again by itself. Uses libc only. */

#include <stdint.h>

/* Returns the path of the innermost scope in which the cgroup is, which may be the cgroup itself. The caller
 * frees it. Returns -ENODATA if it is in no scope, in a service below the scope, in the init.scope of a
 * systemd, or in the scope of a role of any instance. */
int stray_scope_of(const char *cgroup, char **ret);

/* Returns 0 if this is such a scope and no process in it is older than start_time, which is field 22 of
 * /proc/PID/stat of the main process of the role: a scope that was made for the role has no such process.
 * Returns -EPERM if not, and -ENOENT if it has no process. */
int stray_scope_check(const char *scope, uint64_t start_time);
