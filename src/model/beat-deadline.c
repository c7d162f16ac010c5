/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>

#include "model/beat-deadline.h"
#include "util/log.h"

/* A timer that is later than this was delayed by this process or by the whole machine (suspend, SIGSTOP). The
 * manager may have sent beats meanwhile. */
#define LATE_USEC USEC_PER_SEC

void beat_deadline_init(
        BeatDeadline *d, sd_event *event, const char *what, void (*expired)(void *data), void *data) {
        *d = (BeatDeadline){ .event = event, .what = what, .expired = expired, .data = data };
}

void beat_deadline_done(BeatDeadline *d) {
        d->timer = sd_event_source_disable_unref(d->timer);
}

static int beat_deadline_on_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        BeatDeadline *d = userdata;
        const uint64_t now = now_usec(CLOCK_MONOTONIC);

        if (now > d->usec && now - d->usec > LATE_USEC) {
                log_warning("The %s was %" PRIu64
                            " s late to look, which is our own outage: waiting for a beat again",
                        d->what, (now - d->usec) / USEC_PER_SEC);
                d->usec = d->grace_end = now + BEAT_GRACE_USEC;
                beat_deadline_arm(d);
                return 0;
        }
        d->expired(d->data);
        return 0;
}

void beat_deadline_arm(BeatDeadline *d) {
        d->timer = sd_event_source_disable_unref(d->timer);
        if (d->usec == 0 || d->usec == USEC_INFINITY || d->waiting)
                return;

        int r = sd_event_add_time(
                d->event, &d->timer, CLOCK_MONOTONIC, d->usec, 1, beat_deadline_on_timer, d);
        if (r >= 0)
                /* Beats that are queued on the bus must be read before the timer fires. */
                r = sd_event_source_set_priority(d->timer, SD_EVENT_PRIORITY_IDLE + 100);
        if (r < 0)
                log_error_errno(r, "Cannot set the timer of the %s: %m", d->what);
}

void beat_deadline_beat(BeatDeadline *d, uint64_t timeout_usec) {
        d->last_beat = now_usec(CLOCK_MONOTONIC);
        d->grace_end = 0;
        d->armed_usec = timeout_usec;
        d->usec = usec_add(d->last_beat, timeout_usec);
}

static uint64_t beat_deadline_for(const BeatDeadline *d, uint64_t timeout_usec) {
        const uint64_t earliest = now_usec(CLOCK_MONOTONIC) + MIN(timeout_usec / 2, BEAT_GRACE_USEC);

        if (timeout_usec == 0)
                return 0;
        return MAX(usec_add(d->last_beat, timeout_usec), MAX(earliest, d->grace_end));
}

void beat_deadline_follow(BeatDeadline *d, uint64_t timeout_usec) {
        if (d->usec != 0 && timeout_usec != d->armed_usec)
                d->usec = beat_deadline_for(d, timeout_usec);
        d->armed_usec = timeout_usec;
}

void beat_deadline_resume(BeatDeadline *d) {
        d->waiting = false;
        if (d->usec == 0)
                return;
        /* The manager could not beat during the outage, so it gets time to beat again. */
        d->grace_end = now_usec(CLOCK_MONOTONIC) + BEAT_GRACE_USEC;
        d->usec = MAX(d->usec, d->grace_end);
        beat_deadline_arm(d);
}
