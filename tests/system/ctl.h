/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* architectctl as people and scripts run it: through a pipe, and on a terminal. */

#include <glib.h>
#include <sys/types.h>

#include "screen.h"

/* What it has printed, and its exit status. */
typedef struct CtlRun {
        char *out, *err;
        int status;
} CtlRun;

void ctl_run_clear(CtlRun *run);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CtlRun, ctl_run_clear)

/* Runs architectctl with these arguments, with pipes as stdout and stderr, and nothing to read. */
#define CTL(...) ctl_run((const char *const[]){ "architectctl", __VA_ARGS__, NULL })
CtlRun ctl_run(const char *const *argv);

/* The same as another program or user: the argument vector has all words. */
#define CTL_AS(user, ...) \
        ctl_run((const char *const[]){ \
                "setpriv", "--reuid=" user, "--clear-groups", "--", "architectctl", __VA_ARGS__, NULL })

/* The same, and fails the test unless it ends with this status. ctl_out() returns what it has written to
 * stdout, and the caller frees it; ctl_err() the same for stderr. */
#define CTL_OUT(status, ...) ctl_out(status, (const char *const[]){ "architectctl", __VA_ARGS__, NULL })
#define CTL_ERR(status, ...) ctl_err(status, (const char *const[]){ "architectctl", __VA_ARGS__, NULL })
char *ctl_out(int status, const char *const *argv);
char *ctl_err(int status, const char *const *argv);

/* architectctl on a terminal of 24 lines and 80 columns. The screen shows both stdout and stderr. */
typedef struct CtlTerminal {
        Screen *screen;
        pid_t pid;
} CtlTerminal;

void ctl_terminal_clear(CtlTerminal *terminal);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CtlTerminal, ctl_terminal_clear)

#define CTL_ON_TERMINAL(...) ctl_on_terminal((const char *const[]){ "architectctl", __VA_ARGS__, NULL })
CtlTerminal ctl_on_terminal(const char *const *argv);
/* Waits for its end, and returns the status as a shell has it (128 plus the number of a signal). */
int ctl_terminal_wait(CtlTerminal *terminal);
