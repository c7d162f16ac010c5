/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Messages on stderr, with the priority in front as in sd-daemon(3), for the programs that link the C library
 * only (architect-node has util/log.h). They log little, and only what a user has to know. A line longer than
 * 1 KiB is truncated. A line that stderr does not accept, for example because journald hangs, is lost,
 * because the keeper must not block: the end of each role depends on it. Preserves errno; %m is its text. */

#include "base/macro.h"

_printf_(2, 3) void stderr_log(const char *prefix, const char *format, ...);

#define log_error(...) stderr_log("<3>", __VA_ARGS__)
#define log_warning(...) stderr_log("<4>", __VA_ARGS__)
