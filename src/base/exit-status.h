/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How a process ended. Code and number are separate and never folded; what nobody knows is lost, never 0, never 137. */

#include "base/string-table.h"

typedef enum ExitCode {
        EXIT_CODE_EXITED, /* status: exit(3) status, 0..255 */
        EXIT_CODE_KILLED, /* status: signal number */
        EXIT_CODE_DUMPED, /* status: signal number; a core was written */
        EXIT_CODE_LOST,   /* status: -1 */
        _EXIT_CODE_MAX,
        _EXIT_CODE_INVALID = -EINVAL,
} ExitCode;

DECLARE_STRING_TABLE(exit_code, ExitCode);

/* From a wait(2) status of an ended process; -EINVAL for a stopped or continued one. */
int exit_status_from_wait(int wait_status, ExitCode *ret_code, int *ret_status);
