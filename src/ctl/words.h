/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How numbers, times and ends are written for people, and which word was meant. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* Returns whether stdout was a terminal when the program was started. */
bool ctl_stdout_is_terminal(void);

/* Returns the one of the words that is nearest to the given one, so that a person may have meant it; NULL if
 * none is near. The list ends with NULL and owns the result. */
const char *words_nearest(const char *word, const char *const *words);

/* Times in microseconds of the realtime clock; 0 stands for none, and is "-". The caller frees the result.
 * words_ago(): "3s", "2min", "5h 3min", "4d 2h", as in "5h 3min ago". words_span() is the same for a length.
 * words_precise(): a length with three digits after the point, as "1.234s", "12.300ms" or "250us".
 * words_timestamp(): "Mon 2026-11-30 06:07:41 UTC". */
char *words_ago(uint64_t realtime_usec);
char *words_span(uint64_t usec);
char *words_precise(uint64_t usec);
char *words_timestamp(uint64_t realtime_usec);

/* How a role has ended: "exit 3", "SIGKILL", "SIGSEGV, core dumped", "lost"; "-" for a role that has not. The
 * arguments are as those of RoleExited. */
char *words_end(const char *code, int status);

/* "12.3M", to the base of 1024; "-" for UINT64_MAX. */
char *words_size(uint64_t bytes);

/* The text with control characters as "\\x1b", because what a role says may have sequences for the terminal,
 * and a line has one newline. */
char *words_escape(const char *text);

/* The words as a line for a shell, in which only those are quoted that need it. */
char *words_command(const char *const *argv);
