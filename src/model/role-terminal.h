/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Roles on a pseudo-terminal: what a Start may ask for, and what can be asked of a running one. The terminal itself is the
 * keeper's and architect-terminal's (proto/terminal-protocol.h). */

#include <stdbool.h>
#include <stdint.h>

#include "model/env.h"
#include "model/fault.h"
#include "model/model-forward.h"
#include "model/role-spec.h"

#define XTERM_ARGS_MAX 256U

/* xterm's own options; those that take its terminal or its command away from us are refused. */
int role_spec_set_xterm_args(RoleSpec *spec, char **args, Fault *fault);

/* Once all options are read: what goes together, and the pty that a window needs. */
int role_spec_finish_terminal(RoleSpec *spec, Fault *fault);

/* A window needs a DISPLAY, of the role's own environment or of all roles'. */
int terminal_check_display(const RoleSpec *spec, Env *env, Fault *fault);

/* A stream socket that shows the terminal and types into it; the caller's. RoleNotRunning, NoTerminal. */
int terminal_open(Role *role, bool replay, int *ret_fd, Fault *fault);

/* RoleNotRunning, NoTerminal. */
int terminal_resize(Role *role, uint16_t rows, uint16_t columns, Fault *fault);

/* The bytes that make its reader see end-of-file; mid_line: something is typed that no newline has ended. Negative errno:
 * -ENOTTY: now there is no such thing (raw mode). */
int terminal_end_of_file(int master_fd, bool mid_line, char ret[static 2], size_t *ret_size);
