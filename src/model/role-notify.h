/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a role sends by sd_notify(3), and what follows from it. */

#include "model/role.h"
#include "proto/notify-message.h"

typedef struct RoleNotification {
        NotifyKind kind;
        uint64_t number;         /* ascending within a run */
        uint64_t monotonic_usec; /* when the keeper has received it */
        uint64_t value;
        const char *text; /* of NOTIFY_STATUS, valid UTF-8 */
} RoleNotification;

/* The keeper passes it again until it is told by LinkOps.notified_saved that it is saved. */
void role_on_notified(Role *role, const RoleNotification *notification);
