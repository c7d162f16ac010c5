/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* When a beat may be sent. This is the whole safety of the dead man's switch, without any input or output, so
 * that every sequence of events can be tested.
 *
 * A beat is sent for a message that this process has sent to the group and that has come back, because then
 * corosync works, and everything that others have said before has arrived. It is not sent
 *
 *   without quorum;
 *   when the message was long on its way, because corosync was frozen meanwhile, and does not know yet what
 * the others have decided; for BEAT_HOLD_USEC after each change of the ring, after each (re)connection, and
 * after each CLUSTER_FENCE that names this host. Whoever fences a host repeats that every BEAT_REPEAT_USEC
 * until it relies on the end of the roles, so a host that has come back hears it before it beats again.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/macro.h"

#define BEAT_REPEAT_USEC (200 * USEC_PER_MSEC)
#define BEAT_HOLD_USEC USEC_PER_SEC
#define BEAT_LATE_USEC USEC_PER_SEC

/* A shorter lease would not outlast a hold and two lost beats. */
#define BEAT_TIMEOUT_MIN_USEC (4 * USEC_PER_SEC)

typedef struct Beat {
        uint64_t period_usec;
        uint64_t sent_usec;       /* of the message that is on its way; 0: none is */
        uint64_t hold_until_usec; /* CLOCK_MONOTONIC, as all of them */
} Beat;

void beat_init(Beat *beat, uint64_t timeout_usec, uint64_t now);

/* Returns whether a message is to be sent now; the caller has sent it if so. */
bool beat_tick(Beat *beat, bool quorate, uint64_t now);

/* The message has come back. Returns whether a beat is to be sent. */
bool beat_returned(Beat *beat, bool quorate, uint64_t now);

/* No beat for a while. */
void beat_hold(Beat *beat, uint64_t now);

/* A message that was on its way will never come back. */
void beat_reset(Beat *beat, uint64_t now);
