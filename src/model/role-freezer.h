/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Freeze and Thaw. systemd does both, so that it knows what is frozen (FreezerState= of the scope). Whether a
 * role is frozen is not kept here: the kernel is asked (role_is_frozen()), because others freeze units,
 * too. */

#include "model/role.h"

#define ROLE_FREEZE_TIMEOUT_USEC (5 * USEC_PER_SEC)

/* Freezes or thaws the scope of a role. The waiter is called when that is done, or cannot be done any more.
 * Fails with RoleNotRunning, also for a Freeze of a role that is being stopped, or with RoleFrozen if a unit
 * above its scope is frozen; then the waiter is not called. */
int role_freeze(Role *role, bool freeze, const Caller *caller, Waiter waiter, Fault *fault);

/* It ends, or is being stopped: whoever waits receives the fault. Returns whether a Freeze is under way,
 * which systemd may still carry out. */
bool role_freezer_cancel(Role *role, const Fault *fault);

/* The role is freed; a reply that is still to come is about none. */
void role_freezer_detach(Role *role);
