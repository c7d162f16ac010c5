/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The last of what a terminal has shown. Every byte has a position, counted from the first one for ever: so each reader keeps a
 * position of its own, and sees how much it has missed. */

#include <stddef.h>
#include <stdint.h>

#include "proto/terminal-protocol.h"

typedef struct Ring {
        uint64_t end; /* position of the byte that comes next */
        char data[TERMINAL_RING_SIZE];
} Ring;

void ring_write(Ring *ring, const char *data, size_t size);

/* Position of the oldest byte that is still there. */
uint64_t ring_begin(const Ring *ring);

/* The bytes from a position (begin to end) on, as many as lie together; 0: there are none. */
size_t ring_peek(const Ring *ring, uint64_t position, const char **ret);
