/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Uses libc only. */

#include <stdint.h>
#include <time.h>

uint64_t now_usec(clockid_t clock);
