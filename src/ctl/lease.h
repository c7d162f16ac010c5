/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The options that the verbs about leases share. */

#include "base/time-util.h"
#include "ctl/ctl.h"

#define LEASE_WITHIN_DEFAULT_USEC (30 * USEC_PER_SEC) /* as MonitorTimeout= */

/* Parse --token= and --within=, or report that the value is none. */
CtlExit lease_parse_token(const char *verb, const char *text, uint64_t *ret);
CtlExit lease_parse_within(const char *verb, const char *text, uint64_t *ret);

/* What ListLeases returns of one. The name is valid as long as the reply. */
typedef struct CtlLease {
        const char *name;
        uint32_t uid; /* UINT32_MAX: nobody holds it */
        uint64_t timeout_usec, deadline_usec, token;
        char **roles; /* NULL for none */
} CtlLease;

void lease_clear(CtlLease *lease);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CtlLease, lease_clear)

/* Reads the next one of a reply of ListLeases, of which the array was entered. Returns 0 after the last one,
 * or a negative errno; *ret is to be cleared in any case. */
int lease_next(sd_bus_message *reply, CtlLease *ret);
