/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How a role has ended, as an exit status. */

#include "ctl/ctl.h"

/* Returns the status of the role, as a shell has it: 128 plus the number of a signal that has ended it, and
 * CTL_EXIT_LOST if it is not known. The arguments are those of RoleExited. */
CtlExit ctl_end_to_exit(const char *code, int status);
