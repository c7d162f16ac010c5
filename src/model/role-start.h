/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The way from Start to running, and back when a step fails. */

#include "model/role.h"

void role_start(Role *role); /* a slot is free and the keeper is there */
void role_fail(Role *role,
        const Fault *fault); /* undo a start; its waiter hears the first fault when nothing is left */
void role_on_forked(
        Role *role, int error, pid_t pid, uint64_t start_time, int pidfd, int gate_fd, int stdin_fd);
void role_on_scope(Role *role, const Fault *fault, const char *cgroup);
void role_on_gate_report(Role *role, LaunchStage stage, int error, bool warning, const char *text);
void role_on_gate_closed(Role *role);
/* Keeper and node have died since its request went through the gate, and the gate with them: nobody hears what it says. */
void role_on_gate_lost(Role *role);
void role_on_scope_removed(Role *role);
void role_undo(Role *role); /* takes the next step of undoing, if one can be taken */

/* Its main process has ended; execed: as its command, not in its set-up. */
void role_on_exited(Role *role, const RoleExit *exit, bool execed);
