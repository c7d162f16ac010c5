/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "terminal/ring.h"

void ring_write(Ring *ring, const char *data, size_t size) {
        while (size > 0) {
                size_t at = ring->end % sizeof(ring->data), n = sizeof(ring->data) - at;

                if (n > size)
                        n = size;
                memcpy(ring->data + at, data, n);
                ring->end += n;
                data += n;
                size -= n;
        }
}

uint64_t ring_begin(const Ring *ring) {
        return ring->end > sizeof(ring->data) ? ring->end - sizeof(ring->data) : 0;
}

size_t ring_peek(const Ring *ring, uint64_t position, const char **ret) {
        size_t at = position % sizeof(ring->data), room = sizeof(ring->data) - at;
        uint64_t there = ring->end - position;

        *ret = ring->data + at;
        return there < room ? (size_t) there : room;
}
