/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A role's environment. */

#include "keeper/exec-user.h"
#include "proto/launch-request.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* In the order of the design; of one name the last value counts. */
int environment_build(const LaunchRequest *request, const struct identity *who, char ***ret);

/* The value of a name, or NULL. */
const char *environment_get(char *const *env, const char *name);
