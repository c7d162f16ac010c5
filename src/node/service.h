/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The service from its start to its end, over losses of the bus. */

#include <stdbool.h>

#include "util/log.h"

/* Returns the exit status, or a negative errno after logging. SIGTERM, SIGINT, SIGHUP and SIGUSR1 must be
 * blocked. Messages go to target once the instance is known. */
int service_run(const char *name, bool user, LogTarget target);
