/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <limits.h>

#include "base/macro.h"
#include "base/time-util.h"

uint64_t now_usec(clockid_t clock) {
        struct timespec ts;

        if (clock_gettime(clock, &ts) < 0)
                return 0;
        return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000;
}

uint64_t usec_add(uint64_t a, uint64_t b) {
        return a > USEC_INFINITY - b ? USEC_INFINITY : a + b;
}

uint64_t usec_until(uint64_t deadline) {
        const uint64_t now = now_usec(CLOCK_MONOTONIC);

        if (deadline == USEC_INFINITY)
                return USEC_INFINITY;
        return deadline > now ? deadline - now : 0;
}

int timeout_until(uint64_t then, uint64_t now) {
        const uint64_t left = then > now ? (then - now) / USEC_PER_MSEC + 1 : 0;

        return left > INT_MAX ? INT_MAX : (int) left;
}

int timeout_sooner(int a, int b) {
        return a < 0 || (b >= 0 && b < a) ? b : a;
}
