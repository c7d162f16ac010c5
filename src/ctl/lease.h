/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The options that the verbs about leases share. */

#include "base/time-util.h"
#include "ctl/ctl.h"

#define LEASE_WITHIN_DEFAULT_USEC (30 * USEC_PER_SEC) /* as MonitorTimeout= */

/* Parse --token= and --within=, or report that the value is none. */
CtlExit lease_parse_token(const char *verb, const char *text, uint64_t *ret);
CtlExit lease_parse_within(const char *verb, const char *text, uint64_t *ret);
