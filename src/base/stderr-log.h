/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Lines for the journal, on stderr, with the priority in front as sd-daemon(3) has it: for the programs that link the C library
 * alone (architect-node has util/log.h). Only what somebody has to know: they are quiet. A line longer than 1 KiB is cut. Where
 * nobody reads, of a journald that hangs for one, the line is lost: every role's end waits for the keeper, and it waits for
 * nobody. Keeps errno; %m is its text. */

#include "base/macro.h"

_printf_(2, 3) void stderr_log(const char *prefix, const char *format, ...);

#define log_error(...) stderr_log("<3>", __VA_ARGS__)
#define log_warning(...) stderr_log("<4>", __VA_ARGS__)
