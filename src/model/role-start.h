/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The way from Start to running, and back if a step fails. */

#include "model/role.h"

/* Saves the role before each step from which another process may have to continue. Fails with IOError. */
int role_save_start(Role *role, Fault *fault);
void role_start(Role *role); /* a slot is free and the keeper is connected */
/* Undoes the start. Its waiter receives the first fault, when child, processes and unit are gone. */
void role_fail(Role *role, const Fault *fault);
/* The reply to LinkOps.fork. error is 0 or a negative errno. The role takes the descriptors. */
void role_on_forked(
        Role *role, int error, pid_t pid, uint64_t start_time, int pidfd, int gate_fd, int stdin_fd);
/* The reply to ScopeOps.start. cgroup is NULL if there is a fault. */
void role_on_scope(Role *role, const Fault *fault, const char *cgroup);
/* The record of its product set-up, see products.h. Saves the role. */
void role_on_products(Role *role, char *const *products, char *const *changes);
/* How long the set-up of its products and its commands of exec-start-pre took, 0 if there are none. The child
 * says so directly before its exec. */
void role_on_setup_times(Role *role, uint64_t products_usec, uint64_t hooks_usec);
/* A report of the child. Unless it is a warning, the start has failed. */
void role_on_gate_report(Role *role, LaunchStage stage, int error, bool warning, const char *text);
/* The child has executed its command, or has died. */
void role_on_gate_closed(Role *role);
/* Keeper and node have died after the launch request went through the gate; reports through the gate are lost
 * with it. */
void role_on_gate_lost(Role *role);
/* The launch request went through the gate before a restart of the service. From now on the set-up has
 * SetupTimeout=. */
void role_resume_setup(Role *role);
void role_on_scope_removed(Role *role);
/* Sends SIGKILL to the child of a start that is being undone. From then on it has ROLE_KILL_TIMEOUT_USEC,
 * after which the callers receive the failure, whatever is left. */
void role_undo_kill(Role *role);
/* A process of the role, or of its hooks, survives SIGKILL (where). */
void role_undo_is_stuck(Role *role, Role *where);
void role_undo(Role *role); /* takes the next step of undoing, if that is possible */

/* It runs, so the run that it replaces is forgotten. Does nothing without one. */
void role_drop_predecessor(Role *role);

/* The main process has ended. execed is true if the command ran, false if the set-up had not finished. */
void role_on_exited(Role *role, const RoleExit *exit, bool execed);
