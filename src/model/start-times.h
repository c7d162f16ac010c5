/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How long the start of a run took, and where. Each moment of it belongs to one step, so the steps add up to
 * the whole. It costs a look at the clock for each, and is saved and announced with what changes anyway. */

#include <stdbool.h>
#include <stdint.h>

#include "base/string-table.h"

/* What a start does, or waits for. */
typedef enum StartStep {
        START_STEP_QUEUE,        /* from the call, until the keeper is asked for a child */
        START_STEP_DEPENDENCIES, /* for a role that it is after */
        START_STEP_SWEEP,        /* for the last process of the previous run of its name */
        START_STEP_FORK,         /* the keeper, until it has reported the child */
        START_STEP_SCOPE,        /* systemd, until the child is in its scope */
        START_STEP_PRODUCTS,
        START_STEP_HOOKS, /* the commands of exec-start-pre */
        START_STEP_EXEC,  /* the rest of the set-up, until its command runs */
        START_STEP_READY, /* until it is what its type promises */
        _START_STEP_MAX,
        _START_STEP_INVALID = -EINVAL,
} StartStep;

DECLARE_STRING_TABLE(start_step, StartStep);

typedef struct StartTimes {
        uint64_t since; /* the end of the last step, CLOCK_MONOTONIC; 0 if nothing is measured (any more) */
        uint64_t known; /* bits 1 << StartStep, what has happened */
        uint64_t usec[_START_STEP_MAX];
} StartTimes;

/* The time is CLOCK_MONOTONIC in all of them. */
void start_times_begin(StartTimes *times, uint64_t now);

/* The time since the last step was that of this one, which may have happened before. */
void start_times_add(StartTimes *times, StartStep step, uint64_t now);

/* Of the time since the last step this much was that of this one. */
void start_times_add_part(StartTimes *times, StartStep step, uint64_t usec, uint64_t now);

/* The command runs since that time. Only ready may follow. */
void start_times_set_running(StartTimes *times, uint64_t started);
void start_times_set_ready(StartTimes *times, uint64_t started, uint64_t ready);

bool start_times_have(const StartTimes *times, StartStep step);
