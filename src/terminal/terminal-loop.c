/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/macro.h"
#include "base/stderr-log.h"
#include "base/time-util.h"
#include "terminal/confine.h"
#include "terminal/terminal-loop.h"

/* The time after the end for clients that have not read everything, and for an output that accepts
 * nothing. */
#define LINGER_USEC (5 * USEC_PER_SEC)

/* The number of reads of the terminal before other events are handled. */
#define READS_MAX 16

/* With events 0 hang-ups are still reported; a negative value removes the watch. */
static int terminal_watch_set(Terminal *t, struct terminal_watch *w, int fd, int events) {
        struct epoll_event event = { .events = (uint32_t) events, .data.ptr = w };
        int operation;

        if (w->events == events || (w->events < 0 && events < 0))
                return 0;
        operation = w->events < 0 ? EPOLL_CTL_ADD : events < 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
        w->events = events;
        return epoll_ctl(t->epoll_fd, operation, fd, &event) < 0 ? -errno : 0;
}

static void terminal_drop_client(Terminal *t, Client *client) {
        for (Client **c = &t->clients; *c; c = &(*c)->next)
                if (*c == client) {
                        *c = client->next;
                        break;
                }

        (void) terminal_watch_set(t, &client->watch, client->fd, -1);
        if (client->size_fd >= 0)
                (void) terminal_watch_set(t, &client->size_watch, client->size_fd, -1);
        (void) client_free(client);
        t->n_clients--;
}

static void terminal_send_to_clients(Terminal *t) {
        for (Client *c = t->clients, *next; c; c = next) {
                next = c->next;
                if (client_send(c, &t->ring) < 0)
                        terminal_drop_client(t, c);
        }
}

static void terminal_add_client(Terminal *t, const struct terminal_client *m, const int *fds, size_t n_fds) {
        static const char refusal[] = "[too many clients are attached to this terminal]\r\n";
        Client *client;

        if (t->n_clients >= TERMINAL_CLIENTS_MAX) {
                (void) send(fds[0], refusal, strlen(refusal), MSG_DONTWAIT | MSG_NOSIGNAL);
                for (size_t i = 0; i < n_fds; i++)
                        (void) fd_close(fds[i]);
                return;
        }

        if (client_new(fds[0], n_fds > 1 ? fds[1] : -EBADF,
                    m->flags & TERMINAL_CLIENT_REPLAY ? ring_begin(&t->ring) : t->ring.end, &client) < 0)
                return;

        client->next = t->clients;
        t->clients = client;
        t->n_clients++;
        if (client_send(client, &t->ring) < 0)
                terminal_drop_client(t, client);
}

static void terminal_on_control(Terminal *t) {
        for (;;) {
                struct terminal_client m;
                int fds[2];
                size_t n_fds = ELEMENTSOF(fds);
                ssize_t n = socket_recv(t->control_fd, &m, sizeof(m), fds, &n_fds);

                if (n == -EAGAIN)
                        return;
                if (n == 0 || (n < 0 && n != -EMSGSIZE)) {
                        /* The role has ended. Processes that still have its terminal open are those that it
                         * has left behind. */
                        (void) terminal_watch_set(t, &t->control_watch, t->control_fd, -1);
                        t->control_fd = fd_close(t->control_fd);
                        t->slave_fd = fd_close(t->slave_fd);
                        return;
                }
                if (n == sizeof(m) && m.type == TERMINAL_CLIENT && n_fds > 0)
                        terminal_add_client(t, &m, fds, n_fds);
                else if (n > 0) /* from a newer node; -EMSGSIZE has closed them already */
                        for (size_t i = 0; i < n_fds; i++)
                                (void) fd_close(fds[i]);
        }
}

/* Nothing of the role was read before this, and no client. Without the message the child has ended before it
 * was the role. */
static int terminal_on_output_socket(Terminal *t) {
        struct terminal_output m;
        uid_t uid = geteuid();
        gid_t gid = getegid();
        size_t n_fds = 1;
        int fd, r;
        ssize_t n = socket_peek(t->output_socket_fd, &m, sizeof(m), &fd, &n_fds);

        if (n == -EAGAIN)
                return 0;
        if (n == sizeof(m) && m.type == TERMINAL_OUTPUT && n_fds == 1) {
                output_set(&t->output, fd, &(struct ucred){ .pid = m.pid, .uid = m.uid, .gid = m.gid });
                uid = m.uid;
                gid = m.gid;
        } else if (n > 0 && n_fds == 1)
                (void) fd_close(fd);

        (void) terminal_watch_set(t, &t->output_socket_watch, t->output_socket_fd, -1);
        t->output_socket_fd = fd_close(t->output_socket_fd);
        r = terminal_confine(uid, gid, t->output.is_socket);
        if (r < 0) {
                log_error(
                        "Cannot become user %u, group %u: %s", (unsigned) uid, (unsigned) gid, strerror(-r));
                return r;
        }
        return terminal_watch_set(t, &t->control_watch, t->control_fd, EPOLLIN);
}

static void terminal_on_size(Terminal *t, Client *client) {
        struct terminal_resize m;
        ssize_t n = socket_recv(client->size_fd, &m, sizeof(m), NULL, NULL);

        if (n == sizeof(m) && m.type == TERMINAL_RESIZE) {
                const struct winsize size = { .ws_row = m.rows, .ws_col = m.columns };

                (void) ioctl(t->master_fd, TIOCSWINSZ, &size);
        } else if (n != -EAGAIN && n <= 0) {
                (void) terminal_watch_set(t, &client->size_watch, client->size_fd, -1);
                client->size_fd = fd_close(client->size_fd);
        }
}

static void terminal_write_input(Terminal *t) {
        t->input_waits = false;
        for (Client *c = t->clients; c && !t->input_waits; c = c->next)
                t->input_waits = client_write(c, t->master_fd) == -EAGAIN;
}

static void terminal_on_client(Terminal *t, Client *client, uint32_t events) {
        int r = 0;

        if (events & EPOLLOUT)
                r = client_send(client, &t->ring);
        if (r >= 0 && (events & EPOLLIN))
                r = client_read(client);
        /* The client has gone. If it has only closed its sending side, its input is still read. Input for
         * which the terminal has no room is dropped with it. */
        if (r >= 0 && (events & (EPOLLHUP | EPOLLERR)) && !(events & EPOLLIN))
                r = -EPIPE;
        terminal_write_input(t);
        if (r < 0)
                terminal_drop_client(t, client);
}

static void terminal_read_master(Terminal *t) {
        char data[4096];
        const size_t room = output_chunk_max(&t->output), most = room < sizeof(data) ? room : sizeof(data);

        for (int i = 0; i < READS_MAX && !output_is_pending(&t->output); i++) {
                ssize_t n = read(t->master_fd, data, most);

                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        break;
                if (n <= 0) {
                        /* EIO means that the last slave is closed, and that everything written to it has been
                         * read; so does the end of a pipe. */
                        t->hung_up = true;
                        t->deadline = 0;
                        (void) terminal_watch_set(t, &t->master_watch, t->master_fd, -1);
                        output_finish(&t->output);
                        break;
                }
                ring_write(&t->ring, data, (size_t) n);
                output_add(&t->output, data, (size_t) n);
                output_flush(&t->output);
        }

        output_flush(&t->output);
        terminal_send_to_clients(t);
}

static bool terminal_all_shown(const Terminal *t) {
        if (output_is_pending(&t->output))
                return false;
        for (const Client *c = t->clients; c; c = c->next)
                if (c->behind)
                        return false;
        return true;
}

/* Updates the events to wait for, according to the current state. */
static int terminal_update_watches(Terminal *t) {
        bool full = output_is_pending(&t->output), reads = t->output_socket_fd < 0 && !full && !t->hung_up;
        int r = 0;

        /* While the terminal is not read, it is not even watched for its hang-up, which would be reported for
         * ever. Its input has a buffer of its own, so typing waits for that buffer and not for the output. */
        r = terminal_watch_set(t, &t->master_watch, t->master_fd,
                !reads ? (t->input_waits && t->slave_fd >= 0 ? (int) EPOLLOUT : -1)
                       : (int) (EPOLLIN | (t->input_waits ? EPOLLOUT : 0)));
        if (r >= 0 && t->output.fd >= 0)
                r = terminal_watch_set(t, &t->output_watch, t->output.fd, full ? (int) EPOLLOUT : -1);
        for (Client *c = t->clients; c && r >= 0; c = c->next) {
                bool takes = !c->input_closed && c->input_begin == c->input_end && !t->hung_up;

                r = terminal_watch_set(
                        t, &c->watch, c->fd, (takes ? EPOLLIN : 0) | (c->behind ? EPOLLOUT : 0));
                if (r >= 0 && c->size_fd >= 0)
                        r = terminal_watch_set(t, &c->size_watch, c->size_fd, EPOLLIN);
        }
        return r;
}

/* Returns the timeout for epoll_wait(). While the role runs there is no limit. */
static int terminal_time_left(Terminal *t) {
        uint64_t now;

        if (!t->hung_up && (t->control_fd >= 0 || !output_is_pending(&t->output))) {
                t->deadline = 0;
                return -1;
        }

        now = now_usec(CLOCK_MONOTONIC);
        if (t->deadline == 0)
                t->deadline = now + LINGER_USEC;
        return timeout_until(t->deadline, now);
}

/* By its name, because a pipe has no other way to its write end. */
static int terminal_open_slave(int master_fd, bool is_pipe) {
        char path[sizeof("/proc/self/fd/") + 10];
        int fd;

        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", master_fd);
        fd = is_pipe ? open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK)
                     : ioctl(master_fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

int terminal_init(Terminal *t, int master_fd, int control_fd, int output_socket_fd, bool timestamps) {
        struct stat st;
        bool is_pipe;

        *t = (Terminal){
                .master_fd = master_fd,
                .slave_fd = -EBADF,
                .control_fd = control_fd,
                .output_socket_fd = output_socket_fd,
                .epoll_fd = -EBADF,
                .master_watch = { .type = TERMINAL_WATCH_MASTER, .events = -1 },
                .control_watch = { .type = TERMINAL_WATCH_CONTROL, .events = -1 },
                .output_socket_watch = { .type = TERMINAL_WATCH_OUTPUT_SOCKET, .events = -1 },
                .output_watch = { .type = TERMINAL_WATCH_OUTPUT, .events = -1 },
        };

        if (fstat(master_fd, &st) < 0)
                return -errno;
        is_pipe = S_ISFIFO(st.st_mode);
        output_init(&t->output, !is_pipe, timestamps);
        t->slave_fd = terminal_open_slave(master_fd, is_pipe);
        if (t->slave_fd < 0)
                return t->slave_fd;
        t->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (t->epoll_fd < 0)
                return -errno;
        return terminal_watch_set(t, &t->output_socket_watch, output_socket_fd, EPOLLIN);
}

int terminal_run(Terminal *t) {
        while (!t->hung_up || !terminal_all_shown(t)) {
                struct epoll_event event;
                struct terminal_watch *w;
                int timeout, n, r;

                r = terminal_update_watches(t);
                if (r < 0)
                        return r;
                timeout = terminal_time_left(t);
                if (timeout == 0 && t->hung_up)
                        break;
                if (timeout == 0)
                        output_drop(&t->output);

                /* Handles one event at a time, because a handler may free the object of the next event of a
                 * batch. */
                n = epoll_wait(t->epoll_fd, &event, 1, timeout);
                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n <= 0)
                        continue;

                w = event.data.ptr;
                switch (w->type) {
                case TERMINAL_WATCH_MASTER:
                        if (event.events & EPOLLOUT)
                                terminal_write_input(t);
                        if (event.events & ~(uint32_t) EPOLLOUT)
                                terminal_read_master(t);
                        break;
                case TERMINAL_WATCH_CONTROL:
                        terminal_on_control(t);
                        break;
                case TERMINAL_WATCH_OUTPUT_SOCKET:
                        r = terminal_on_output_socket(t);
                        if (r < 0)
                                return r;
                        break;
                case TERMINAL_WATCH_OUTPUT:
                        output_flush(&t->output);
                        break;
                case TERMINAL_WATCH_CLIENT:
                        terminal_on_client(t, w->client, event.events);
                        break;
                case TERMINAL_WATCH_SIZE:
                        terminal_on_size(t, w->client);
                        break;
                }
        }

        while (t->clients)
                terminal_drop_client(t, t->clients);
        return 0;
}
