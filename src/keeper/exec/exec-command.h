/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The exec itself: the search along the role's PATH, and why it failed. */

#include "base/macro.h"

_noreturn_ void command_exec(int gate_fd, char *const *argv, char *const *env);
