/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The deadline of somebody who has to beat: of the manager that the monitor watches, or of the holder of a
 * lease. It is on CLOCK_MONOTONIC. An outage of the service itself, or of the whole machine, never makes it
 * expire, because no beat was possible meanwhile: the next one then has BEAT_GRACE_USEC at least.
 *
 * The owner saves it, between a change and beat_deadline_arm(). */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "base/time-util.h"

#define BEAT_GRACE_USEC (5 * USEC_PER_SEC) /* the minimum for a beat after an outage of ours */

typedef struct BeatDeadline {
        sd_event *event;             /* not owned */
        const char *what;            /* for the log, as "monitor"; not owned */
        void (*expired)(void *data); /* called by the timer; it is still armed, and the owner disarms it */
        void *data;

        uint64_t usec;       /* 0 if it is not armed; USEC_INFINITY never expires */
        uint64_t armed_usec; /* the timeout from which it was computed */
        uint64_t last_beat;  /* valid while it is armed */
        uint64_t grace_end;  /* of the last outage of the service; it is never earlier */
        bool waiting;        /* loaded, but not resumed yet, so without a timer */
        sd_event_source *timer;
} BeatDeadline;

void beat_deadline_init(
        BeatDeadline *d, sd_event *event, const char *what, void (*expired)(void *data), void *data);
void beat_deadline_done(BeatDeadline *d);

/* A beat has arrived, and the next one is due within the timeout, which is not 0. */
void beat_deadline_beat(BeatDeadline *d, uint64_t timeout_usec);

/* Recomputes it if the timeout has changed; 0 disarms it. A changed timeout counts from the last beat. If it
 * is shorter than the time since then, there is half of it to beat, but not more than the grace period. */
void beat_deadline_follow(BeatDeadline *d, uint64_t timeout_usec);

/* Sets the timer to what the members say, or to none. */
void beat_deadline_arm(BeatDeadline *d);

/* Starts the timer of one that was loaded, with a grace period for the beats that were not possible. */
void beat_deadline_resume(BeatDeadline *d);
