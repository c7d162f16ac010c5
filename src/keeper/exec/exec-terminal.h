/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The child's side of a pseudo-terminal, and the window on it. All of it fails through the gate. */

#include "keeper/exec/exec-parameters.h"
#include "keeper/exec/exec-user.h"
#include "proto/launch-request.h"

/* Controlling terminal and standard streams of the session that was just begun. */
void terminal_connect(const ExecParameters *p, const struct identity *who);

/* Where architect-terminal writes besides; it gets a descriptor of its own. */
void terminal_send_output(const ExecParameters *p, const struct identity *who, int output_fd);

/* A window that shows the terminal: in the role's scope and environment, as its user, and not its child. What it says goes to the
 * output. Returns when the exec has succeeded. */
void xterm_start(const ExecParameters *p, const LaunchRequest *request, int output_fd, char *const *env);
