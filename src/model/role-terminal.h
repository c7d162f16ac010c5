/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The calls for a role on a pseudo-terminal. The keeper and architect-terminal own the terminal itself
 * (proto/terminal-protocol.h). */

#include <stdbool.h>
#include <stdint.h>

#include "model/caller.h"
#include "model/env.h"
#include "model/fault.h"
#include "model/model-forward.h"
#include "model/role-spec.h"
#include "model/world.h"

/* A window requires a DISPLAY, in the environment of the role or of all roles. */
int terminal_check_display(const RoleSpec *spec, Env *env, const Caller *owner, Fault *fault);

/* Returns a stream socket that shows the terminal and types into it; the caller owns it. Fails with
 * RoleNotRunning, NoTerminal or IOError. */
int terminal_open(Role *role, bool replay, int *ret_fd, Fault *fault);

/* Requests a listening socket for clients of the caller's user; replay applies to those that connect from now
 * on. The waiter is called when *ret_path has its path, which the caller frees, or with KeeperUnavailable,
 * RoleNotRunning or IOError. If the call fails, with RoleNotRunning, NoTerminal, KeeperUnavailable or
 * AccessDenied, it fills the fault and does not call the waiter. */
int terminal_make_socket(
        Role *role, const Caller *caller, bool replay, char **ret_path, Waiter waiter, Fault *fault);
/* The reply to LinkOps.make_terminal_socket. Frees the request. */
void terminal_on_socket(TerminalSocketRequest *request, int error, const char *path);

/* Fails with RoleNotRunning, NoTerminal or IOError. */
int terminal_resize(Role *role, uint16_t rows, uint16_t columns, Fault *fault);

/* Returns the number of bytes that its reader takes as end-of-file; mid_line is true if the last typed line
 * has no newline. Returns -ENOTTY if the terminal has no end-of-file now (raw mode). */
int terminal_end_of_file(int master_fd, bool mid_line, char ret[static 2], size_t *ret_size);
