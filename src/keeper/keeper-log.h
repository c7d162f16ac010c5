/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Lines for the journal, on stderr, with the priority in front as sd-daemon(3) has it. Only what somebody has to know:
 * the keeper is quiet. A line longer than 1 KiB is cut. Where nobody reads, of a journald that hangs for one, the line is lost:
 * every role's end waits for the keeper, and it waits for nobody. Keeps errno; %m is its text. */

__attribute__((format(printf, 2, 3))) void keeper_log(const char *prefix, const char *format, ...);

#define log_error(...) keeper_log("<3>", __VA_ARGS__)
#define log_warning(...) keeper_log("<4>", __VA_ARGS__)
