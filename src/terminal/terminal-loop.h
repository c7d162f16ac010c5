/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The one loop of architect-terminal. */

#include <stdint.h>

#include "terminal/client.h"
#include "terminal/output.h"
#include "terminal/ring.h"

typedef struct Terminal {
        int master_fd;
        int slave_fd; /* ours, so that a role that closes its own has not ended; until the keeper says that it has */
        int control_fd;       /* negative: the role has ended */
        int output_socket_fd; /* negative: the output is known, or there is none */
        int epoll_fd;

        struct terminal_watch master_watch;
        struct terminal_watch control_watch;
        struct terminal_watch output_socket_watch;
        struct terminal_watch output_watch;

        Ring ring;
        Output output;
        Client *clients;
        unsigned n_clients;
        bool input_waits; /* the terminal takes no more input now */
        bool hung_up;     /* nobody holds the slave any more, and all of it is read */
        uint64_t
                deadline; /* CLOCK_MONOTONIC usec, after the end: for those who have not taken it all then; 0: none */
} Terminal;

/* Takes the descriptors. */
int terminal_init(Terminal *t, int master_fd, int control_fd, int output_socket_fd);

/* 0: the role has ended, and all has been shown. */
int terminal_run(Terminal *t);
