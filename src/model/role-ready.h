/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a Start waits for between the exec of its command and its reply (the option type). Until then the role
 * is unready. */

#include "model/role.h"

/* Of type notify, and of the commands of exec-start-pre, as for systemd. */
#define ROLE_START_TIMEOUT_DEFAULT_USEC (90 * USEC_PER_SEC)

/* Returns how long the start may take after the exec, USEC_INFINITY if any time. */
uint64_t role_start_timeout(const Role *role);
/* The same for its commands of exec-start-pre, before the exec; 0 if it has none. */
uint64_t role_start_pre_timeout(const RoleSpec *spec);

/* Returns whether the start of this run was successful and the role is still what that means: it runs, or
 * with type=oneshot has ended. */
bool role_is_ready(const Role *role);

/* The start is successful since then, CLOCK_MONOTONIC. The watchdog begins. The caller of Start receives its
 * reply by role_answer_start(). */
void role_set_ready(Role *role, uint64_t monotonic_usec);

/* A oneshot is not ready any more, because it was stopped after its end. */
void role_set_unready(Role *role);

/* The start has failed after the exec. The first reason counts. */
void role_set_start_failure(Role *role, const Fault *fault);

/* The main process has ended, and the cause of that is known: the start is successful or has failed now. */
void role_start_ended(Role *role);

/* Replies to the Start that is successful, or has failed and left nothing. more is added to the message of a
 * failure; NULL for nothing. */
void role_answer_start(Role *role, const Fault *more);
