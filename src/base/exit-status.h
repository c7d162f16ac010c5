/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How a process ended. Code and number are separate and never combined. An unknown exit is "lost", never 0 or
 * 137. */

#include <stdbool.h>

#include "base/string-table.h"

typedef enum ExitCode {
        EXIT_CODE_EXITED, /* status is that of exit(3), 0..255 */
        EXIT_CODE_KILLED, /* status is the signal number */
        EXIT_CODE_DUMPED, /* status is the signal number; a core was dumped */
        EXIT_CODE_LOST,   /* status is -1 */
        _EXIT_CODE_MAX,
        _EXIT_CODE_INVALID = -EINVAL,
} ExitCode;

DECLARE_STRING_TABLE(exit_code, ExitCode);

/* Converts the wait(2) status of an ended process. Returns -EINVAL for a stopped or continued one, and then
 * sets nothing. */
int exit_status_from_wait(int wait_status, ExitCode *ret_code, int *ret_status);

/* An entry of a list such as SuccessExitStatus= of systemd: a status from 0 to 255, the name that sysexits.h
 * gives one ("TEMPFAIL"), or the name of a signal ("SIGKILL", "KILL"). */
bool exit_status_entry_is_valid(const char *entry);
/* Returns whether the list (NULL or NULL-terminated) has this end. What is lost is in no list. */
bool exit_status_is_in(char *const *entries, ExitCode code, int status);

/* Returns whether a program that is asked to end may end by this signal: SIGHUP, SIGINT, SIGTERM or SIGPIPE,
 * as for a service of systemd. */
bool exit_signal_is_clean(int signo);
