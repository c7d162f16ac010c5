/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>

#include "model/start-times.h"

static const char *const start_step_table[_START_STEP_MAX] = {
        [START_STEP_QUEUE] = "queue",
        [START_STEP_DEPENDENCIES] = "dependencies",
        [START_STEP_SWEEP] = "sweep",
        [START_STEP_FORK] = "fork",
        [START_STEP_SCOPE] = "scope",
        [START_STEP_PRODUCTS] = "products",
        [START_STEP_HOOKS] = "hooks",
        [START_STEP_EXEC] = "exec",
        [START_STEP_READY] = "ready",
};

DEFINE_STRING_TABLE(start_step, StartStep, start_step_table);

static uint64_t usec_between(uint64_t begin, uint64_t end) {
        return end > begin ? end - begin : 0;
}

static void start_times_take(StartTimes *times, StartStep step, uint64_t usec) {
        times->known |= UINT64_C(1) << step;
        times->usec[step] += usec;
}

void start_times_begin(StartTimes *times, uint64_t now) {
        *times = (StartTimes){ .since = now };
}

void start_times_add(StartTimes *times, StartStep step, uint64_t now) {
        if (times->since == 0)
                return;
        start_times_take(times, step, usec_between(times->since, now));
        times->since = now;
}

void start_times_add_part(StartTimes *times, StartStep step, uint64_t usec, uint64_t now) {
        if (times->since == 0)
                return;
        usec = MIN(usec, usec_between(times->since, now));
        start_times_take(times, step, usec);
        times->since += usec;
}

void start_times_set_running(StartTimes *times, uint64_t started) {
        start_times_add(times, START_STEP_EXEC, started);
        times->since = 0;
}

void start_times_set_ready(StartTimes *times, uint64_t started, uint64_t ready) {
        /* An older version has started it. */
        if (!start_times_have(times, START_STEP_EXEC))
                return;
        start_times_take(times, START_STEP_READY, usec_between(started, ready));
}

bool start_times_have(const StartTimes *times, StartStep step) {
        return (times->known & UINT64_C(1) << step) != 0;
}
