/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The second destination of the output of a role: the journal, a file, or none. Unlike a client it loses
 * nothing. While it is full the terminal is not read, and the role waits, as a role without a terminal
 * does. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

typedef struct Output {
        int fd;           /* negative if there is none */
        bool of_terminal; /* which has made "\r\n" of each "\n" */
        bool timestamps;  /* before each line */
        bool in_line;     /* which has its time */
        bool is_socket;
        bool has_sender;
        struct ucred sender;  /* the process to which the journal assigns the output */
        bool carriage_return; /* held back, because a line feed may follow */
        char data[16384 + 1];
        size_t begin, end;
} Output;

/* Without a descriptor. To be called before the process may not open files any more. */
void output_init(Output *output, bool of_terminal, bool timestamps);
/* Takes ownership of the descriptor. */
void output_set(Output *output, int fd, const struct ucred *sender);

/* Adds at most output_chunk_max() bytes; nothing may be pending. Each line gets the time at which it has
 * begun, in UTC with microseconds. */
size_t output_chunk_max(const Output *output);
void output_add(Output *output, const char *data, size_t size);
void output_finish(Output *output);

/* Writes what the descriptor accepts. What cannot be written at all is dropped, as by a role that ignores
 * write errors. */
void output_flush(Output *output);
bool output_is_pending(const Output *output);
void output_drop(Output *output);
