/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The calls for a role on a pseudo-terminal. The keeper and architect-terminal own the terminal itself
 * (proto/terminal-protocol.h). */

#include <stdbool.h>
#include <stdint.h>

#include "model/env.h"
#include "model/fault.h"
#include "model/model-forward.h"
#include "model/role-spec.h"

/* A window requires a DISPLAY, in the environment of the role or of all roles. */
int terminal_check_display(const RoleSpec *spec, Env *env, Fault *fault);

/* Returns a stream socket that shows the terminal and types into it; the caller owns it. Fails with
 * RoleNotRunning, NoTerminal or IOError. */
int terminal_open(Role *role, bool replay, int *ret_fd, Fault *fault);

/* Fails with RoleNotRunning, NoTerminal or IOError. */
int terminal_resize(Role *role, uint16_t rows, uint16_t columns, Fault *fault);

/* Returns the number of bytes that its reader takes as end-of-file; mid_line is true if the last typed line
 * has no newline. Returns -ENOTTY if the terminal has no end-of-file now (raw mode). */
int terminal_end_of_file(int master_fd, bool mid_line, char ret[static 2], size_t *ret_size);
