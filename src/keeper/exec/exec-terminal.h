/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The pseudo-terminal in the child, the window that shows it, and the pipe of a role whose output gets times.
 * All functions fail through the gate. */

#include "keeper/exec/exec-parameters.h"
#include "keeper/exec/exec-user.h"
#include "proto/launch-request.h"

/* Makes the terminal the controlling terminal and the standard streams of the new session. */
void terminal_connect(const ExecParameters *p, const struct identity *who);

/* Sends a descriptor to architect-terminal, to which it also writes the output. */
void terminal_send_output(const ExecParameters *p, const struct identity *who, int output_fd);

/* Makes the pipe to architect-terminal stdout and stderr. */
void terminal_connect_pipe(const ExecParameters *p, const struct identity *who);

/* Starts a window that shows the terminal, in the scope and the environment of the role, as its user, but not
 * as its child. The messages of xterm are written to the output. Returns when the exec of xterm has
 * succeeded. */
void xterm_start(const ExecParameters *p, const LaunchRequest *request, int output_fd, char *const *env);
