/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The child's side of a pseudo-terminal, and the window on it. All of it fails through the gate. */

#include <stdbool.h>

#include "keeper/exec-user.h"
#include "keeper/terminal.h"
#include "proto/launch-request.h"

static inline bool has_terminal(const struct terminal_ends *ends) {
        return ends->slave >= 0;
}

/* Controlling terminal and standard streams of the session that was just begun. */
void terminal_connect(int gate_fd, const struct terminal_ends *ends, const struct identity *who);

/* Where architect-terminal writes besides; it gets a descriptor of its own. */
void terminal_send_output(
        int gate_fd, const struct terminal_ends *ends, const struct identity *who, int output_fd);

/* A window that shows the terminal: in the role's scope and environment, as its user, and not its child. What it says goes to the
 * output. Returns when the exec has succeeded. */
void xterm_start(int gate_fd, const struct terminal_ends *ends, const LaunchRequest *request, int output_fd,
        char *const *env);
