/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A client shows the terminal and types into it. architect-terminal never waits for a client. Output that it
 * has not read before the ring overwrites it is lost to the client, and a mark reports the loss. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "terminal/ring.h"

typedef struct Client Client;

/* Identifies the object of an epoll event. */
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
        int events; /* the watched events; negative if not watched */
};

struct Client {
        Client *next;
        int fd;
        int size_fd; /* negative if there is none */
        struct terminal_watch watch;
        struct terminal_watch size_watch;

        uint64_t position; /* of the next byte to send */
        bool behind;       /* its socket is full */
        uint64_t lost;     /* number of bytes that the mark reports */
        char mark[64];     /* to be sent before the next byte; size 0 if there is none */
        size_t mark_sent, mark_size;

        char input[4096]; /* read, but not written to the terminal yet */
        size_t input_begin, input_end;
        bool input_closed; /* the client has closed its sending side */
};

/* Takes ownership of the descriptors, also on failure. Returns a negative errno. */
int client_new(int fd, int size_fd, uint64_t position, Client **ret);
Client *client_free(Client *client);

/* Sends until the socket of the client is full. Returns a negative errno if the client has gone. */
int client_send(Client *client, const Ring *ring);

/* Reads the input of the client, once the previous input has been written. Returns 0, also at its end, or a
 * negative errno if the client has gone. */
int client_read(Client *client);

/* Writes the input to the terminal. Returns -EAGAIN if the terminal is full. */
int client_write(Client *client, int master_fd);
