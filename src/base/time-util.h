/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Uses libc only. */

#include <stdint.h>
#include <time.h>

uint64_t now_usec(clockid_t clock);

/* Times in microseconds. USEC_INFINITY stays USEC_INFINITY, and a larger sum becomes it. */
uint64_t usec_add(uint64_t a, uint64_t b);
