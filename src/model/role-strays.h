/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The processes of a role that have left its scope. PAM (su, sudo -i, login) and systemd-run move a process
 * into a scope that they make for it; such a scope is a stray of the role, which is stopped with it. A
 * process in a unit of somebody else is signalled alone. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "model/role.h"

/* A process that the room scope has found outside of the scope and the strays that are known. */
struct Stray {
        pid_t pid;
        uint64_t start_time;
        char *name; /* of its program */
        char *cgroup;
        char *scope; /* the cgroup of the scope that becomes a stray, or NULL if it is signalled alone */
};

Stray *stray_new(pid_t pid, uint64_t start_time, const char *cgroup, const char *scope);
Stray *stray_copy(const Stray *stray);
void stray_free(void *p); /* a Stray */

/* Returns the cgroup of the scope that was made for a process of the role in this cgroup, or NULL if there is
 * none, which also protects the units of others. The caller frees it. */
char *role_stray_scope(const Role *role, const char *cgroup);

/* Returns where a cgroup is, for messages, as "session-c3.scope" or "the root cgroup". The caller frees
 * it. */
char *cgroup_place(const char *cgroup);

/* Looks for processes outside of the scope, and saves and reports what is new. For a stop, for SIGKILL, for a
 * signal, and for the end of the main process before it is reaped. */
void role_look_for_strays(Role *role);

/* Returns whether the stray of this index is still the cgroup that was taken. Another unit may have its name
 * by now. */
bool role_stray_exists(const Role *role, unsigned i);

/* Forgets the strays that do not exist any more; other units may have their names by now. */
void role_prune_strays(Role *role);

/* The reply to ScopeOps.query_session. user is NULL if it is not known. */
void role_on_session(Role *role, const Stray *stray, const char *user);

void role_forget_strays(Role *role); /* no process of it is left */

/* Returns whether it has processes outside of its scope besides the main process. The keeper, which checks
 * whether they can be the role's, needs the child for that, so it is reaped later. */
bool role_has_strays(const Role *role);

/* Returns whether the list of LoneProcess, which may be NULL, has this process. */
bool lone_processes_have(const GArray *processes, pid_t pid, uint64_t start_time);

/* Its main process has ended, and the others run on. */
void role_remember_left(Role *role);

/* Returns the name of its scope, or "" while it runs outside of it and systemd has removed the scope. */
const char *role_scope_unit(const Role *role);
