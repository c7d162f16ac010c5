/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The commands of a role beside its own. Those of exec-start-pre are run by its child in its set-up. Those of
 * exec-stop and exec-stop-post have a child of their own, which executes the one that there is, or this
 * program again, which runs several. So the parent sees how they end, whether they have begun, and what is
 * left. */

#include "keeper/exec/exec-parameters.h"
#include "proto/launch-request.h"

/* Runs the commands of exec-start-pre one after the other, as this process, and waits for each. What one of
 * them leaves is ended before the next one. A failure ends this process. user is a name for messages. */
void hooks_run_start_pre(
        const ExecParameters *p, const LaunchRequest *request, const char *user, char *const *env);

/* Executes the commands (LaunchRequest.commands). */
_noreturn_ void hooks_exec(int gate_fd, const char *user, char *const *commands, char *const *env);

/* The first argument of this program for that. */
#define HOOKS_OPTION "--run-commands"

/* Runs the commands of this list one after the other, until one fails. Returns the exit status of that one,
 * or ends as it did. */
int hooks_main(char *const *commands);
