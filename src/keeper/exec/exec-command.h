/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Executes the command after a search along the PATH of the role, and explains a failure. */

#include "base/macro.h"

/* user: the name of the user that this process runs as. */
_noreturn_ void command_exec(int gate_fd, const char *user, char *const *argv, char *const *env);
