/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The commands of exec-stop, which run before the stop signal, in the scope of the role, and those of
 * exec-stop-post, which run when no process of the role is left, in a scope of their own. Each list is one
 * child of the keeper, which is launched as a role is, by the same requests. So it has a Role of its own,
 * which no table has and no client sees: role->hook, whose hook_of is the role. It stays in the state
 * "starting", and its phase says how far it is. The functions of role-start.h that take answers of the world
 * pass on what is about such a one.
 *
 * It is saved with its role, before its child is requested and before the launch request goes through the
 * gate. So the next process knows whether it has begun. What has not begun is begun again, with a new child;
 * what may have begun is not, and if nobody knows, the journal says so. */

#include "model/listed-child.h"
#include "model/role.h"

/* Begins the commands of exec-stop; the stop deadline is set. Returns false if there are none. */
bool role_hooks_begin_stop(Role *role);
/* Begins those of exec-stop-post. Nothing of the role is left. Returns false if there are none, or they are
 * over; else the caller does nothing more, and NodeReports.hooks_over() follows, also before this has
 * returned.
 */
bool role_hooks_begin_post(Role *role);
/* Kills what runs, if anything does; nothing more is begun. May free the role, as the end of them. */
void role_hooks_kill(Role *role);

/* Makes the Role of hooks that were saved; the caller fills it. */
Role *role_hook_new(Role *role, HookKind kind);
/* Returns the commands, see command-list.h. The role owns them. */
char **role_hook_commands(const Role *hook);

/* Answers of the world about a role with hook_of, see role-start.h. */
void role_hook_on_forked(Role *hook, int error);
void role_hook_on_scope(Role *hook, const Fault *fault, const char *cgroup);
void role_hook_on_report(Role *hook, LaunchStage stage, const char *text);
void role_hook_on_gate_closed(Role *hook);
void role_hook_on_exited(Role *hook, const RoleExit *exit, bool execed);
void role_hook_on_cgroup_changed(Role *hook);
void role_hook_on_scope_removed(Role *hook);

/* After a restart of the service: its deadline goes on. */
void role_hooks_resume(Role *role);
/* Its child has ended, as the keeper has listed. What follows needs requests, which the keeper accepts when
 * its list is complete: then role_hook_go_on(). */
void role_hook_take_exit(Role *hook, const RoleExit *exit);
void role_hook_go_on(Role *hook);
/* Its child does not exist, and it has not begun: it begins again. */
void role_hook_requeue(Role *hook);
/* Notes whether its process has executed the commands, according to the kernel. */
void role_hook_check_exec(Role *hook);
