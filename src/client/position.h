/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The last event of an instance that a client is done with, in a file of its state directory, so that its
 * restart goes on after it. The file is not synced to the disk: with the machine the log of the node is lost
 * as well, and its next one is another epoch. */

#include <stdint.h>

typedef struct Position {
        char *epoch; /* empty: the beginning */
        uint64_t seq;
} Position;

void position_clear(Position *position);

/* Reads the file with this name. If there is none (-ENOENT), or it cannot be read or is damaged, the position
 * is the beginning, and a negative errno is returned; the caller says what follows from that. */
int position_load(int dir_fd, const char *name, Position *ret);

void position_set(Position *position, const char *epoch, uint64_t seq);

/* Returns a negative errno after logging. */
int position_save(int dir_fd, const char *name, const Position *position);
