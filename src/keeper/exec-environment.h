/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A role's environment. */

#include "keeper/exec-user.h"
#include "proto/launch-request.h"

/* What a role on a terminal is told of it, unless its environment says otherwise. */
#define DEFAULT_TERM "xterm-256color"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* In the order of the design; of one name the last value counts. What the node gives to all, and what the user has: */
int environment_begin(
        const LaunchRequest *request, const struct identity *who, bool has_terminal, char ***ret);
/* Onto that, or what a product set-up has made of it, the role's own, and what the role is. */
int environment_finish(const LaunchRequest *request, char *const *begun, char ***ret);

/* The value of a name, or NULL. */
const char *environment_get(char *const *env, const char *name);
