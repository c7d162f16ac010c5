/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cluster/beat.h"

/* Five of six may be lost, and no host needs more than these. */
#define BEATS_PER_TIMEOUT 6
#define PERIOD_MAX_USEC (5 * USEC_PER_SEC)

void beat_init(Beat *beat, uint64_t timeout_usec, uint64_t now) {
        const uint64_t period = timeout_usec / BEATS_PER_TIMEOUT;

        *beat = (Beat){ .period_usec = period < PERIOD_MAX_USEC ? period : PERIOD_MAX_USEC };
        beat_hold(beat, now);
}

bool beat_tick(Beat *beat, bool quorate, uint64_t now) {
        if (beat->sent_usec != 0 || !quorate)
                return false;
        beat->sent_usec = now;
        return true;
}

bool beat_returned(Beat *beat, bool quorate, uint64_t now) {
        const uint64_t sent = beat->sent_usec;

        beat->sent_usec = 0;
        if (sent == 0)
                return false;
        if (now - sent > BEAT_LATE_USEC)
                beat_hold(beat, now);
        return quorate && now >= beat->hold_until_usec;
}

void beat_hold(Beat *beat, uint64_t now) {
        beat->hold_until_usec = now + BEAT_HOLD_USEC;
}

void beat_reset(Beat *beat, uint64_t now) {
        beat->sent_usec = 0;
        beat_hold(beat, now);
}
