/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The loop of architect-terminal. */

#include <stdint.h>

#include "terminal/client.h"
#include "terminal/output.h"
#include "terminal/ring.h"

typedef struct Terminal {
        int master_fd; /* of the pseudo-terminal, or the read end of a pipe */
        /* Kept open, so that a role that closes its terminal does not count as ended. The keeper reports the
         * end. */
        int slave_fd;
        int control_fd;       /* negative if the role has ended */
        int output_socket_fd; /* negative if the output is known, or if there is none */
        int epoll_fd;

        struct terminal_watch master_watch;
        struct terminal_watch control_watch;
        struct terminal_watch output_socket_watch;
        struct terminal_watch output_watch;

        Ring ring;
        Output output;
        Client *clients;
        unsigned n_clients;
        bool input_waits; /* the terminal accepts no more input now */
        bool hung_up;     /* no process has the slave open, and all of it has been read */
        /* CLOCK_MONOTONIC, in microseconds, after the end, for clients and an output that have not read
         * everything by then; 0 if there is none. */
        uint64_t deadline;
} Terminal;

/* Takes ownership of the descriptors. Returns a negative errno. */
int terminal_init(Terminal *t, int master_fd, int control_fd, int output_socket_fd, bool timestamps);

/* Returns 0 when the role has ended and everything has been shown, or a negative errno. */
int terminal_run(Terminal *t);
