/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where the role's output goes besides: the journal, a file, or nowhere. Unlike a client it loses nothing: while it takes no
 * more, the terminal is not read, and the role waits as one without a terminal would. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

typedef struct Output {
        int fd; /* negative: none */
        bool is_socket;
        bool has_sender;
        struct ucred sender;  /* of whom the journal is to take it */
        bool carriage_return; /* held back: a line feed may follow */
        char data[16384 + 1];
        size_t begin, end;
} Output;

#define OUTPUT_CHUNK_MAX (sizeof(((Output *) NULL)->data) - 1)

/* Takes the descriptor. */
void output_init(Output *output, int fd, const struct ucred *sender);

/* There must be nothing waiting; at most OUTPUT_CHUNK_MAX. "\r\n" becomes "\n": the terminal has made it of that. */
void output_add(Output *output, const char *data, size_t size);
void output_finish(Output *output);

/* Writes what is taken. What cannot be written at all is dropped, as a role that does not look at its errors would. */
void output_flush(Output *output);
bool output_is_pending(const Output *output);
void output_drop(Output *output);
