/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What sd_notify(3) and sd_watchdog_enabled(3) find. */

#include "keeper/exec/exec-parameters.h"
#include "proto/launch-request.h"

/* Sets NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, if the role has them, and removes previous values of
 * these names. Returns a negative errno. */
int exec_notify_environment(const ExecParameters *p, const LaunchRequest *request, char ***env);
