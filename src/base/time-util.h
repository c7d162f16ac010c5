/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Uses libc only. */

#include <stdint.h>
#include <time.h>

uint64_t now_usec(clockid_t clock);

/* Times in microseconds. USEC_INFINITY stays USEC_INFINITY, and a larger sum becomes it. */
uint64_t usec_add(uint64_t a, uint64_t b);
/* How long it is until then on CLOCK_MONOTONIC; 0 if it is over. */
uint64_t usec_until(uint64_t deadline);

/* Timeouts of poll(2) and epoll_wait(2), in milliseconds. The first one returns how long it is until then,
 * not too short, and 0 if it is over; the second one the shorter of two, of which -1 means for ever. */
int timeout_until(uint64_t then, uint64_t now);
int timeout_sooner(int a, int b);
