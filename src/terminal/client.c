/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "terminal/client.h"

/* Enough for a burst that a client reads a moment later. */
#define CLIENT_SNDBUF (512 * 1024)

int client_new(int fd, int size_fd, uint64_t position, Client **ret) {
        const int size = CLIENT_SNDBUF;
        Client *client = calloc(1, sizeof(*client));

        if (!client) {
                (void) fd_close(fd);
                (void) fd_close(size_fd);
                return -ENOMEM;
        }

        *client = (Client){
                .fd = fd,
                .size_fd = size_fd,
                .watch = { .type = TERMINAL_WATCH_CLIENT, .client = client, .events = -1 },
                .size_watch = { .type = TERMINAL_WATCH_SIZE, .client = client, .events = -1 },
                .position = position,
        };
        /* The kernel makes it smaller, if net.core.wmem_max is. */
        (void) setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));

        *ret = client;
        return 0;
}

Client *client_free(Client *client) {
        char rest[4096];

        if (!client)
                return NULL;

        /* Input that was typed but not read would turn the end-of-file of the client into an error. */
        while (recv(client->fd, rest, sizeof(rest), MSG_DONTWAIT) > 0)
                ;
        (void) fd_close(client->fd);
        (void) fd_close(client->size_fd);
        free(client);
        return NULL;
}

/* Returns the number of bytes sent, or 0 if there is no room. */
static ssize_t client_send_some(Client *client, const char *data, size_t size) {
        ssize_t n;

        do
                n = send(client->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);

        if (n < 0 && errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM)
                return -errno;
        client->behind = n < (ssize_t) size;
        return n > 0 ? n : 0;
}

int client_send(Client *client, const Ring *ring) {
        for (;;) {
                const char *data;
                ssize_t n;
                size_t size;

                /* A mark that was begun is sent completely, because half of a line would not be readable. */
                if (client->mark_sent == 0 && client->position < ring_begin(ring)) {
                        client->lost += ring_begin(ring) - client->position;
                        client->position = ring_begin(ring);
                        client->mark_size = (size_t) snprintf(client->mark, sizeof(client->mark),
                                "\r\n[%" PRIu64 " bytes lost]\r\n", client->lost);
                }
                if (client->mark_size > 0) {
                        n = client_send_some(client, client->mark + client->mark_sent,
                                client->mark_size - client->mark_sent);
                        if (n <= 0)
                                return (int) n;
                        client->mark_sent += (size_t) n;
                        if (client->mark_sent == client->mark_size)
                                client->mark_sent = client->mark_size = client->lost = 0;
                        continue;
                }

                size = ring_peek(ring, client->position, &data);
                if (size == 0) {
                        client->behind = false;
                        return 0;
                }
                n = client_send_some(client, data, size);
                if (n <= 0)
                        return (int) n;
                client->position += (uint64_t) n;
        }
}

int client_read(Client *client) {
        ssize_t n;

        if (client->input_closed || client->input_end > client->input_begin)
                return 0;

        do
                n = recv(client->fd, client->input, sizeof(client->input), MSG_DONTWAIT);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return errno == EAGAIN ? 0 : -errno;

        client->input_closed = n == 0;
        client->input_begin = 0;
        client->input_end = (size_t) n;
        return 0;
}

int client_write(Client *client, int master_fd) {
        while (client->input_begin < client->input_end) {
                ssize_t n = write(master_fd, client->input + client->input_begin,
                        client->input_end - client->input_begin);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        return -EAGAIN;
                if (n < 0) {
                        /* The terminal is not read any more. */
                        client->input_begin = client->input_end;
                        return -errno;
                }
                client->input_begin += (size_t) n;
        }
        return 0;
}
