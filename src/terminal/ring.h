/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The most recent output of a terminal. Every byte has a position, counted from the first one on. So each
 * reader has a position of its own, and knows how much it has missed. */

#include <stddef.h>
#include <stdint.h>

#include "proto/terminal-protocol.h"

typedef struct Ring {
        uint64_t end; /* position of the next byte */
        char data[TERMINAL_RING_SIZE];
} Ring;

void ring_write(Ring *ring, const char *data, size_t size);

/* Returns the position of the oldest byte that is still available. */
uint64_t ring_begin(const Ring *ring);

/* Returns the number of contiguous bytes from a position (begin to end) on, 0 if there are none. */
size_t ring_peek(const Ring *ring, uint64_t position, const char **ret);
