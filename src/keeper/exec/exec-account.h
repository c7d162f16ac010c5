/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the databases of users and groups say about an account. This runs in a clone of the keeper that does
 * nothing else, because a database may be on another machine and answer late, or never. */

#include <sys/types.h>

#include "base/macro.h"
#include "proto/keeper-protocol.h"

/* Fills *ret, except its header. */
void account_look_up(const char *user, const char *group, struct keeper_looked_up *ret);

/* Looks the user up, sends the keeper_looked_up through the descriptor, and exits. */
_noreturn_ void account_invoke(pid_t keeper_pid, int fd, const struct keeper_lookup *request);
