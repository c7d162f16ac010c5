/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Returns memory to the system after many objects were freed. The C library itself returns only what is at
 * the end of the heap, so one block that was allocated late would keep all before it. A trim costs some
 * hundred microseconds, so it comes once for many objects, and a while after them, when more may be free. If
 * nothing was freed nothing wakes up. */

#include <stdbool.h>
#include <stdint.h>

#define TRIM_OBJECTS 100U /* what fewer roles have had is not worth it */
#define TRIM_DELAY_USEC UINT64_C(10000000)

/* All zeroes at the beginning. */
typedef struct Trim {
        unsigned n_freed;
        uint64_t due_usec; /* 0 if no trim is due */
} Trim;

/* One object was freed. now is CLOCK_MONOTONIC, in microseconds. Returns whether a trim has become due, at
 * due_usec. */
bool trim_freed(Trim *trim, uint64_t now);

/* Does what is due now. Returns the milliseconds until something is, or -1. */
int trim_run(Trim *trim, uint64_t now);
