/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A named pipe that a role opens as its output (StandardOutput=file:PATH), so that what it writes comes to
 * this program as through a pipe: unchanged, no faster than it is read, and nothing is written in vain. */

#include "ctl/ctl.h"

typedef struct Fifo {
        char *directory, *path;
        int fd;      /* to read from */
        int keep_fd; /* keeps it open while no process of the role has it; after it is closed there is an end
                      */
} Fifo;

void fifo_init(Fifo *fifo);
/* Also removes it. */
void fifo_clear(Fifo *fifo);

/* Whether a role of this user (NULL: that of the caller) can open one that this program makes. */
bool fifo_is_possible(const char *user);

/* Makes it for a role of this user. */
CtlExit fifo_make(Fifo *fifo, const char *user);

/* The role finds no reader any more. */
void fifo_close(Fifo *fifo);
