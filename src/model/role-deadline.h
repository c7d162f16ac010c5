/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* By when a running role must be ready (timeout-start-usec), and when it must have said again that it lives
 * (watchdog-usec). Nothing is held against a role that the keeper, or this process, has not read yet: when a
 * deadline has passed, the keeper is asked for what the role has sent. */

#include "model/role.h"

/* Sets the timer of the next deadline, also after a restart of the service. Without a keeper there is no
 * watchdog, so this is called again when there is one. */
void role_watch_deadlines(Role *role);

/* It may have been frozen or thawed, by anybody. The watchdog counts from the thaw on. */
void role_watch_freezer(Role *role);

/* The answer to LinkOps.sync_notified: everything that the role had sent was passed by role_on_notified().
 * error is 0, or a negative errno if there is nothing to ask. */
void role_on_notified_synced(Role *role, int error);
