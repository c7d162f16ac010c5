/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* An output of this program, as its standard output, to which nothing is written that would block. */

#include <stdbool.h>
#include <stddef.h>

typedef struct CtlOutput {
        int fd;
        bool own;         /* opened again */
        bool nonblocking; /* set by us; other processes share it, so the flag is restored */
        char data[16384]; /* what fd has not accepted yet */
        size_t begin, end;
} CtlOutput;

/* The descriptor stays the caller's. */
void ctl_output_open(CtlOutput *output, int fd);
void ctl_output_close(CtlOutput *output);

/* While something is pending, the caller puts nothing new into output->data: who writes it then waits for us,
 * or drops what it has. */
bool ctl_output_is_pending(const CtlOutput *output);

/* Write what is pending, or the first bytes of output->data, as far as fd accepts it. Return a negative
 * errno, as -EPIPE if no process reads it any more. */
int ctl_output_flush(CtlOutput *output);
int ctl_output_take(CtlOutput *output, size_t size);
