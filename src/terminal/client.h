/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One who looks at the terminal and types into it. A client is never waited for: what it has not read when the ring comes round is
 * lost to it, and a mark says so. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "terminal/ring.h"

typedef struct Client Client;

/* What an epoll event belongs to. */
typedef enum TerminalWatchType {
        TERMINAL_WATCH_MASTER,
        TERMINAL_WATCH_CONTROL,
        TERMINAL_WATCH_OUTPUT_SOCKET,
        TERMINAL_WATCH_OUTPUT,
        TERMINAL_WATCH_CLIENT,
        TERMINAL_WATCH_SIZE,
} TerminalWatchType;

struct terminal_watch {
        TerminalWatchType type;
        Client *client;
        int events; /* asked for; negative: not watched */
};

struct Client {
        Client *next;
        int fd;
        int size_fd; /* negative: none */
        struct terminal_watch watch;
        struct terminal_watch size_watch;

        uint64_t position; /* of what it is sent next */
        bool behind;       /* its socket is full */
        uint64_t lost;     /* bytes, that the mark tells of */
        char mark[64];     /* to be sent before that; size 0: none */
        size_t mark_sent, mark_size;

        char input[4096]; /* read, but not written to the terminal yet */
        size_t input_begin, input_end;
        bool input_closed; /* it has said that it will write no more */
};

/* Takes the descriptors, on failure too. */
int client_new(int fd, int size_fd, uint64_t position, Client **ret);
Client *client_free(Client *client);

/* Sends what its socket takes. Negative errno: it is gone. */
int client_send(Client *client, const Ring *ring);

/* Reads what it has typed, once the last of it is written. 0 also at its end; negative errno: it is gone. */
int client_read(Client *client);

/* Writes to the terminal what it has typed. -EAGAIN: the terminal is full. */
int client_write(Client *client, int master_fd);
