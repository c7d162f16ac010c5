/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cgroup-util.h"
#include "base/fd-util.h"
#include "base/pidref.h"
#include "keeper/keeper-log.h"
#include "keeper/keeper-loop.h"
#include "keeper/terminal.h"
#include "keeper/keeper-private.h"

#define ACCEPT_RETRY_MSEC 1000

static struct watch watch_listener = { .type = WATCH_LISTENER };
static struct watch watch_node = { .type = WATCH_NODE };
static struct watch watch_refused = { .type = WATCH_REFUSED };
static struct watch watch_signal = { .type = WATCH_SIGNAL };
static struct watch watch_barrier = { .type = WATCH_BARRIER };

static Child *find_child(Keeper *k, uint64_t id) {
        for (Child *c = k->children; c; c = c->next)
                if (c->id == id)
                        return c;
        return NULL;
}

static void forget_child(Keeper *k, Child *child) {
        for (Child **c = &k->children; *c; c = &(*c)->next)
                if (*c == child) {
                        *c = child->next;
                        break;
                }

        if (child->gate_fd >= 0)
                unwatch(k, child->gate_fd);
        if (child->release_fd >= 0)
                unwatch(k, child->release_fd);
        unwatch(k, child->pidfd);
        /* It may still show what the role said last. */
        if (child->terminal && child->terminal->pid > 0) {
                child->terminal->next = k->terminals;
                k->terminals = child->terminal;
                child->terminal = NULL;
        }
        (void) child_free(child);
}

static void close_gate(Child *child) {
        child->gate_fd = fd_close(child->gate_fd);
        child->gate_hung_up = false;
}

static void close_node(Keeper *k) {
        unwatch(k, k->node_fd);
        k->node_fd = fd_close(k->node_fd);
        k->welcomed = k->blocked = k->node_paused = k->release_held = false;
        reexec_forget_node(k);
        k->reply_size = k->ports_left = 0;
        k->reply_child = NULL;

        for (Child *c = k->children; c; c = c->next) {
                c->announce = c->tell_exit = false;

                /* A child whose request is in the queue still reads it; one without reads EOF and exits. */
                if (c->gate_fd >= 0)
                        (void) shutdown(c->gate_fd, SHUT_WR);
                if (c->gate_hung_up)
                        close_gate(c);
        }
}

static void close_bad_node(Keeper *k, const char *why, int error) {
        log_warning("Closing the node's connection, %s: %s", why, strerror(-error));
        close_node(k);
}

/* Output */

/* 1: sent; 0: there is no room now, or no node any more. */
static int send_to_node(Keeper *k, const void *data, size_t size, const int *fds, size_t n_fds) {
        int r = socket_send(k->node_fd, data, size, fds, n_fds);

        if (r >= 0)
                return 1;
        if (r == -EAGAIN)
                k->blocked = true;
        else if (r == -EPIPE || r == -ECONNRESET)
                return 1; /* it has gone; what it asked for before that is still read, up to its end */
        else
                close_bad_node(k, "it cannot be sent to", r); /* it comes back and is told everything again */
        return 0;
}

static int send_reply(Keeper *k) {
        Child *child = k->reply_child;
        int fds[CHILD_FDS_MAX], r;
        size_t n_fds = 0;

        if (child)
                n_fds = child_fds(child, k->version, fds, &k->reply.forked.fds);

        r = send_to_node(k, &k->reply, k->reply_size, child ? fds : NULL, n_fds);
        if (r > 0) {
                k->reply_size = 0;
                k->reply_child = NULL;
                if (child && child->gate_hung_up)
                        close_gate(child);
        }
        return r;
}

static int send_ports(Keeper *k) {
        struct keeper_ports m;
        size_t n;
        int r;

        n = sockets_tell(&k->sockets, k->ports_left, &m);
        r = send_to_node(k, &m, keeper_ports_size(n), NULL, 0);
        if (r > 0)
                k->ports_left -= n;
        return r;
}

static int send_child(Keeper *k, Child *child) {
        struct keeper_child m = {
                .header = { .type = KEEPER_CHILD, .child = child->id },
                .pid = child->pid,
                .start_time = child->start_time,
                .execed = child->exited ? child->execed : child_has_execed(child),
                .exited = child->exited,
                .flags = child->orphan ? KEEPER_CHILD_ORPHAN : 0,
                .exit = child->exit,
        };
        int fds[CHILD_FDS_MAX], r;
        size_t n_fds;

        memcpy(m.role, child->role, sizeof(m.role));
        n_fds = child_fds(child, k->version, fds, &m.fds);
        r = send_to_node(k, &m, sizeof(m), fds, n_fds);
        if (r > 0)
                child->announce = false;
        return r;
}

static int send_exit(Keeper *k, Child *child) {
        struct keeper_exited m = {
                .header = { .type = KEEPER_EXITED, .child = child->id },
                .execed = child->execed,
                .exit = child->exit,
        };
        int r = send_to_node(k, &m, sizeof(m), NULL, 0);

        if (r > 0)
                child->tell_exit = false;
        return r;
}

/* Everything the node has to hear, in this order: the answer, ports and children after a HELLO, their ends. */
static void flush(Keeper *k) {
        k->blocked = false;

        if (k->reply_size > 0 && send_reply(k) == 0)
                return;
        while (k->ports_left > 0)
                if (send_ports(k) == 0)
                        return;
        for (Child *c = k->children; c; c = c->next)
                if (c->announce && send_child(k, c) == 0)
                        return;
        for (Child *c = k->children; c; c = c->next)
                if (c->tell_exit && send_exit(k, c) == 0)
                        return;
}

static void watch_node_again(Keeper *k) {
        (void) watch(k, EPOLL_CTL_MOD, k->node_fd,
                k->blocked       ? EPOLLOUT
                : k->node_paused ? 0
                                 : EPOLLIN,
                &watch_node);
}

static void flush_and_watch(Keeper *k) {
        bool was_blocked = k->blocked;

        if (k->node_fd < 0)
                return;

        flush(k);

        if (k->node_fd >= 0 && k->blocked != was_blocked)
                watch_node_again(k);
}

void keeper_pause_node(Keeper *k, bool pause) {
        k->node_paused = pause;
        watch_node_again(k);
}

bool keeper_is_quiet(const Keeper *k) {
        return !k->blocked && k->reply_size == 0 && !k->release_held && k->store.barrier_fd < 0;
}

/* Requests. Each returns 0, or -EBADMSG, which ends the connection. */

static int reply_done(Keeper *k, const struct keeper_header *request, int error) {
        k->reply.done = (struct keeper_done){
                .header = { .type = KEEPER_DONE, .child = request->child },
                .request = request->type,
                .error = error < 0 ? error : 0,
        };
        k->reply_size = sizeof(k->reply.done);
        return 0;
}

void keeper_reply_done(Keeper *k, const struct keeper_header *request, int error) {
        (void) reply_done(k, request, error);
        flush_and_watch(k);
}

static int on_hello(Keeper *k, const struct keeper_hello *m) {
        const uint32_t version_max = k->self->protocol_max;
        bool common = m->version_min <= version_max && m->version_max >= KEEPER_PROTOCOL_VERSION_MIN;
        uint32_t n = 0;

        k->welcomed = common;
        k->version = !common ? 0 : m->version_max < version_max ? m->version_max : version_max;
        for (Child *c = k->children; c && common; c = c->next)
                if (!c->orphan || k->version >= 2) {
                        c->announce = true; /* its end is a part of that */
                        n++;
                }
        k->ports_left = k->version >= 2 ? k->sockets.n : 0;
        k->reply.welcome = (struct keeper_welcome){
                .header = { .type = KEEPER_WELCOME },
                .version = k->version,
                .error = common ? 0 : -EPROTONOSUPPORT,
                .n_children = n,
                .n_ports = (uint32_t) k->ports_left,
        };
        k->reply_size = sizeof(k->reply.welcome);
        return 0;
}

int keeper_watch_terminal(Keeper *k, Terminal *terminal) {
        return watch(k, EPOLL_CTL_ADD, terminal->pidfd, EPOLLIN | EPOLLET, &terminal->watch);
}

int keeper_watch_child(Keeper *k, Child *child) {
        int r = 0;

        /* A pidfd by its edges: while a debugger holds a dead child it is readable, and yet not ours to wait for; the
         * edge comes again when the debugger lets go. A gate is watched for its hang-up only, which is always told. */
        if (!child->exited)
                r = watch(k, EPOLL_CTL_ADD, child->pidfd, EPOLLIN | EPOLLET, &child->pidfd_watch);
        if (r >= 0 && child->gate_fd >= 0)
                r = watch(k, EPOLL_CTL_ADD, child->gate_fd, 0, &child->gate_watch);
        if (r >= 0 && child->release_fd >= 0)
                r = watch(k, EPOLL_CTL_ADD, child->release_fd, EPOLLIN, &child->release_watch);
        if (r >= 0 && child->terminal && child->terminal->pid > 0)
                r = keeper_watch_terminal(k, child->terminal);
        return r;
}

/* What systemd keeps of these ports it is to close; until it has, they are not free. */
static bool take_back(Keeper *k, const struct keeper_port *ports, size_t n, bool released_only) {
        bool any = false;

        for (size_t i = 0; i < n; i++)
                if (!released_only || ports[i].release)
                        any |= store_remove_port(&k->store, &ports[i]);
        if (!any)
                return false;
        if (k->store.barrier_fd >= 0) {
                k->store.barrier_again = true; /* one of before, which says nothing of these */
                return true;
        }
        if (!store_begin_barrier(&k->store))
                return false;
        if (watch(k, EPOLL_CTL_ADD, k->store.barrier_fd, 0, &watch_barrier) >= 0)
                return true;
        store_end_barrier(&k->store);
        return false;
}

static int make_child(Keeper *k, const struct keeper_fork *m, const struct keeper_port *ports, size_t n_ports,
        Child **ret) {
        struct child_sockets sockets;
        Child *child;
        int r;

        if (find_child(k, m->header.child))
                return -EEXIST;
        if (m->flags & ~(KEEPER_FORK_STDIN_PIPE | (k->version >= 2 ? KEEPER_FORK_TERMINAL : 0)))
                return -EOPNOTSUPP;
        if ((m->flags & KEEPER_FORK_STDIN_PIPE) && (m->flags & KEEPER_FORK_TERMINAL))
                return -EINVAL;

        r = sockets_lend(&k->sockets, m->header.child, ports, n_ports, &sockets);
        if (r < 0)
                return r;
        take_back(k, ports, n_ports, true);
        store_touch(&k->store);
        r = child_new(k->self, m->header.child, m->role, m->flags, &sockets, &child);
        if (r < 0) {
                sockets_rest_child(&k->sockets, m->header.child, m->role);
                return r;
        }

        r = keeper_watch_child(k, child);
        if (r < 0) {
                child_kill(child);
                sockets_rest_child(&k->sockets, child->id, child->role);
                if (child->terminal)
                        terminal_kill(child->terminal);
                forget_child(k, child);
                return r;
        }

        child->next = k->children;
        k->children = child;
        *ret = child;
        return 0;
}

static int on_fork(Keeper *k, const struct keeper_fork *m, size_t size) {
        const struct keeper_port *ports = (const struct keeper_port *) (m + 1);
        const size_t n_ports = (size - sizeof(*m)) / sizeof(*ports);
        Child *child = NULL;
        int r;

        if (m->header.child == 0 || !memchr(m->role, '\0', sizeof(m->role)) || !role_name_is_valid(m->role) ||
                (size - sizeof(*m)) % sizeof(*ports) != 0 ||
                n_ports > (k->version >= 2 ? KEEPER_FORK_PORTS_MAX : 0))
                return -EBADMSG;
        /* They are numbered by descriptors from the first on. */
        for (size_t i = 1; i < n_ports; i++)
                if (ports[i - 1].release && !ports[i].release)
                        return -EBADMSG;

        r = make_child(k, m, ports, n_ports, &child);
        k->reply.forked = (struct keeper_forked){
                .header = { .type = KEEPER_FORKED, .child = m->header.child },
                .error = r < 0 ? r : 0,
                .pid = child ? child->pid : 0,
                .start_time = child ? child->start_time : 0,
        };
        k->reply_size = sizeof(k->reply.forked);
        k->reply_child = child;
        return 0;
}

static int on_signal(Keeper *k, const struct keeper_signal *m) {
        Child *child = find_child(k, m->header.child);

        /* A zombie would take any signal, as if somebody were there. */
        return reply_done(k, &m->header,
                !child          ? -ENOENT
                : child->exited ? -ESRCH
                                : pidfd_kill(child->pidfd, m->signo));
}

static int on_close_stdin(Keeper *k, const struct keeper_header *m) {
        Child *child = find_child(k, m->child);

        if (child) {
                child->stdin_fd = fd_close(child->stdin_fd);
                (void) store_remove(&k->store, STORE_STDIN, child->id);
        }
        return reply_done(k, m, child ? 0 : -ENOENT);
}

static int on_reap(Keeper *k, const struct keeper_header *m) {
        Child *child = find_child(k, m->child);
        int r;

        if (!child)
                return reply_done(k, m, -ENOENT);
        if (!child->exited && !child->orphan)
                return reply_done(k, m, -EBUSY);

        store_touch(&k->store);
        r = child_reap(child);
        if (r >= 0)
                forget_child(k, child);
        return reply_done(k, m, r);
}

static int on_kill_cgroup(Keeper *k, const struct keeper_kill_cgroup *m, size_t size) {
        if (!memchr(m->path, '\0', size - sizeof(m->header)))
                return -EBADMSG;

        return reply_done(k, &m->header, cgroup_kill(m->path));
}

/* Version 2. */
static int on_ports_request(Keeper *k, const void *data, size_t size) {
        const struct keeper_header *header = data;
        int r;

        if (header->type == KEEPER_BIND) {
                store_touch(&k->store);
                r = sockets_on_bind(&k->sockets, data, size, &k->reply.bound);
                if (r >= 0)
                        k->reply_size = keeper_bound_size(k->reply.bound.n);
                return r;
        }

        r = sockets_on_ports(&k->sockets, data, size);
        if (r >= 0 && header->type == KEEPER_RELEASE_PORTS &&
                take_back(k, ((const struct keeper_ports *) data)->ports,
                        (size - keeper_ports_size(0)) / sizeof(struct keeper_port), false)) {
                k->release_held = true;
                keeper_pause_node(k, true);
                return 0;
        }
        return r == -EOPNOTSUPP || r >= 0 ? reply_done(k, header, r) : r;
}

static int on_request(Keeper *k, const void *data, size_t size) {
        const struct keeper_header *header = data;

        if (size < sizeof(*header) || header->reserved != 0)
                return -EBADMSG;

        /* These two are for ever, and all that may come before an agreement on the rest. */
        switch (header->type) {
        case KEEPER_HELLO:
                return size == sizeof(struct keeper_hello) ? on_hello(k, data) : -EBADMSG;
        case KEEPER_REEXEC:
                if (size != sizeof(*header))
                        return -EBADMSG;
                reexec_ask(k, -EBADF);
                return 0;
        default:
                if (!k->welcomed)
                        return -EBADMSG;
        }

        switch (header->type) {
        case KEEPER_FORK:
                return size >= sizeof(struct keeper_fork) ? on_fork(k, data, size) : -EBADMSG;
        case KEEPER_SIGNAL:
                return size == sizeof(struct keeper_signal) ? on_signal(k, data) : -EBADMSG;
        case KEEPER_CLOSE_STDIN:
                return size == sizeof(*header) ? on_close_stdin(k, header) : -EBADMSG;
        case KEEPER_REAP:
                return size == sizeof(*header) ? on_reap(k, header) : -EBADMSG;
        case KEEPER_KILL_CGROUP:
                return size <= sizeof(struct keeper_kill_cgroup) ? on_kill_cgroup(k, data, size) : -EBADMSG;
        default:
                return k->version >= 2 ? on_ports_request(k, data, size) : reply_done(k, header, -EOPNOTSUPP);
        }
}

static void on_node(Keeper *k, uint32_t events) {
        union {
                struct keeper_header header;
                char room[KEEPER_PACKET_MAX];
        } packet;
        ssize_t n;
        int r;

        if (k->blocked) {
                if (events & (EPOLLHUP | EPOLLERR))
                        close_node(k);
                else
                        flush_and_watch(k);
                return;
        }

        if (k->node_paused && !(events & (EPOLLHUP | EPOLLERR)))
                return;

        n = socket_recv(k->node_fd, &packet, sizeof(packet), NULL, NULL);
        if (n == -EAGAIN)
                return;
        if (n == 0) {
                close_node(k);
                return;
        }
        if (n == -ECONNRESET)
                return; /* said once, and before what it has sent: that comes next */

        r = n < 0 ? (int) n : on_request(k, &packet, (size_t) n);
        if (r < 0)
                close_bad_node(k, "it does not speak the protocol", r);
        else
                flush_and_watch(k);
}

/* Connections */

static bool hung_up(int fd) {
        struct pollfd p = { .fd = fd };

        return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR));
}

static void close_refused(Keeper *k) {
        if (k->refused_fd >= 0)
                unwatch(k, k->refused_fd);
        k->refused_fd = fd_close(k->refused_fd);
}

static void refuse(Keeper *k, int fd) {
        struct keeper_welcome m = { .header = { .type = KEEPER_WELCOME }, .error = -EBUSY };

        /* Not closed at once: its HELLO would fail before it has read why. */
        close_refused(k);
        (void) socket_send(fd, &m, sizeof(m), NULL, 0);
        if (watch(k, EPOLL_CTL_ADD, fd, EPOLLRDHUP, &watch_refused) >= 0)
                k->refused_fd = fd;
        else
                (void) fd_close(fd);
}

static void become_node(Keeper *k, int fd, const struct keeper_hello *hello) {
        /* A node that was just restarted must not find the place taken by its predecessor's remains. */
        while (k->node_fd >= 0 && hung_up(k->node_fd))
                on_node(k, EPOLLHUP);
        if (k->node_fd >= 0) {
                refuse(k, fd);
                return;
        }
        if (watch(k, EPOLL_CTL_ADD, fd, EPOLLIN, &watch_node) < 0) {
                (void) fd_close(fd);
                return;
        }
        k->node_fd = fd;
        (void) on_hello(k, hello);
        flush_and_watch(k);
}

/* Its first packet says what it is here for. */
static void on_guest(Keeper *k, size_t i) {
        union {
                struct keeper_header header;
                struct keeper_hello hello;
                char room[KEEPER_PACKET_MAX];
        } packet;
        autofd fd = -EBADF;
        ssize_t n;

        n = socket_recv(k->guests[i].fd, &packet, sizeof(packet), NULL, NULL);
        if (n == -EAGAIN)
                return;

        unwatch(k, k->guests[i].fd);
        fd = fd_steal(&k->guests[i].fd);
        if (n == 0 || n == -ECONNRESET)
                return;
        if (n == sizeof(packet.hello) && packet.header.type == KEEPER_HELLO && packet.header.reserved == 0)
                become_node(k, fd_steal(&fd), &packet.hello);
        else if (n == sizeof(packet.header) && packet.header.type == KEEPER_REEXEC &&
                 packet.header.reserved == 0)
                reexec_ask(k, fd_steal(&fd));
        else
                log_warning("Closing a connection, it does not speak the protocol: %s",
                        strerror(n < 0 ? (int) -n : EBADMSG));
}

static void on_listener(Keeper *k) {
        struct ucred peer;
        socklen_t size = sizeof(peer);
        autofd fd = -EBADF;
        size_t i;

        fd = accept4(k->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
                if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                        log_error("Cannot accept a connection, trying again in a while: %s", strerror(errno));
                        k->listener_paused = watch(k, EPOLL_CTL_MOD, k->listen_fd, 0, &watch_listener) >= 0;
                }
                return;
        }

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.uid != geteuid()) {
                log_warning("Refused a connection that is not from our own user");
                return;
        }

        i = k->next_guest;
        k->next_guest = (i + 1) % ELEMENTSOF(k->guests);
        if (k->guests[i].fd >= 0)
                on_guest(k, i); /* perhaps it has said it */
        if (k->guests[i].fd >= 0) {
                unwatch(k, k->guests[i].fd);
                k->guests[i].fd = fd_close(k->guests[i].fd);
        }
        if (watch(k, EPOLL_CTL_ADD, fd, EPOLLIN, &k->guests[i].watch) >= 0)
                k->guests[i].fd = fd_steal(&fd);
}

/* Terminals */

static void start_terminal(Keeper *k, Terminal *terminal) {
        int r;

        if (terminal->pid > 0)
                return;

        store_touch(&k->store);
        r = terminal_spawn(k->self, terminal);
        if (r >= 0) {
                r = keeper_watch_terminal(k, terminal);
                if (r < 0)
                        terminal_kill(terminal);
        }
        if (r < 0)
                log_error("Cannot start %s for role %s: %s", k->self->terminal_program, terminal->role,
                        strerror(-r));
}

/* Starts those whose turn it is; milliseconds until the next one's, or -1. */
static int start_terminals(Keeper *k) {
        int next = -1;

        for (Child *c = k->children; c && k->terminals_missing; c = c->next) {
                int wait = c->terminal ? terminal_wait_msec(c->terminal) : -1;

                if (wait == 0) {
                        start_terminal(k, c->terminal);
                        wait = terminal_wait_msec(c->terminal);
                }
                if (wait >= 0 && (next < 0 || wait < next))
                        next = wait;
        }
        k->terminals_missing = next >= 0;
        return next;
}

static void on_terminal(Keeper *k, Terminal *terminal) {
        if (!terminal_check_exit(terminal))
                return;

        unwatch(k, terminal->pidfd);
        terminal->pidfd = fd_close(terminal->pidfd);
        k->terminals_missing = true;

        for (Terminal **t = &k->terminals; *t; t = &(*t)->next)
                if (*t == terminal) {
                        *t = terminal->next;
                        (void) terminal_free(terminal);
                        break;
                }
}

/* Children */

static void on_release(Keeper *k, Child *child) {
        int r;

        if (child->release_fd < 0)
                return;
        if (k->store.barrier_fd >= 0 && !child->exited) {
                /* Its ports are free only when systemd has closed them, too. */
                unwatch(k, child->release_fd);
                child->release_waits = true;
                return;
        }
        do
                r = sockets_on_handover(&k->sockets, child->id, child->release_fd);
        while (r > 0);
        if (r == 0 && !child->exited)
                return;

        unwatch(k, child->release_fd);
        child->release_fd = fd_close(child->release_fd);
        /* Otherwise it is dying, and takes a moment to let go of them: its end is told of next. */
        if (child_has_execed(child))
                sockets_released(&k->sockets, child->id);
}

static void on_pidfd(Keeper *k, Child *child) {
        int r = child_check_exit(child);

        if (r < 0)
                log_error("Cannot read how role %s ended: %s", child->role, strerror(-r));
        if (r <= 0)
                return;

        unwatch(k, child->pidfd);
        store_touch(&k->store);
        on_release(k, child); /* what it gave back comes before its end */
        sockets_rest_child(&k->sockets, child->id, child->role);
        if (child->terminal) {
                /* Somebody has to show what the role said last. */
                start_terminal(k, child->terminal);
                terminal_end(child->terminal);
        }
        if (k->welcomed && !child->announce && (!child->orphan || k->version >= 2))
                child->tell_exit = true;
        if (!k->blocked)
                flush_and_watch(k);
}

static void on_gate(Keeper *k, Child *child) {
        unwatch(k, child->gate_fd);
        if (k->reply_child == child)
                child->gate_hung_up = true; /* the answer that lends it is not out yet */
        else
                close_gate(child);
}

/* systemd has closed what it was to close. */
static void on_barrier(Keeper *k) {
        const struct keeper_header request = { .type = KEEPER_RELEASE_PORTS };

        unwatch(k, k->store.barrier_fd);
        store_end_barrier(&k->store);
        if (k->store.barrier_again) {
                k->store.barrier_again = false;
                if (store_begin_barrier(&k->store)) {
                        (void) watch(k, EPOLL_CTL_ADD, k->store.barrier_fd, 0, &watch_barrier);
                        return;
                }
        }

        for (Child *c = k->children; c; c = c->next)
                if (c->release_waits) {
                        c->release_waits = false;
                        if (c->release_fd >= 0)
                                (void) watch(k, EPOLL_CTL_ADD, c->release_fd, EPOLLIN, &c->release_watch);
                }
        if (k->release_held) {
                k->release_held = false;
                keeper_pause_node(k, false);
                keeper_reply_done(k, &request, 0);
        }
}

/* SIGTERM: what systemd has is brought up to date for who comes after us; then we die of it. */
static _noreturn_ void on_terminate(Keeper *k) {
        sigset_t none;

        for (int i = 0; i < 10 && store_sync(k) == -EAGAIN; i++)
                (void) poll(&(struct pollfd){ .fd = k->store.notify_fd, .events = POLLOUT }, 1, 100);
        sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
        (void) raise(SIGTERM);
        _exit(EXIT_FAILURE);
}

static int watch_sigterm(Keeper *k) {
        struct sigaction action;
        sigset_t mask;

        /* Who started us may have had it ignored. */
        if (sigaction(SIGTERM, NULL, &action) < 0 || action.sa_handler == SIG_IGN)
                return 0;
        sigemptyset(&mask);
        sigaddset(&mask, SIGTERM);
        k->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
        return k->signal_fd < 0 ? -errno : watch(k, EPOLL_CTL_ADD, k->signal_fd, EPOLLIN, &watch_signal);
}

int keeper_init(Keeper *k, const struct keeper_self *self, int listen_fd) {
        int r;

        *k = (Keeper){
                .self = self,
                .epoll_fd = -EBADF,
                .listen_fd = listen_fd,
                .node_fd = -EBADF,
                .refused_fd = -EBADF,
                .signal_fd = -EBADF,
                .reexec = { .asker_fd = -EBADF, .check_pidfd = -EBADF },
        };
        for (size_t i = 0; i < ELEMENTSOF(k->guests); i++) {
                k->guests[i].fd = -EBADF;
                k->guests[i].watch = (struct watch){ .type = WATCH_GUEST, .guest = i };
        }
        store_open(&k->store);

        r = fd_cloexec(listen_fd, true);
        if (r >= 0)
                r = fd_nonblock(listen_fd, true);
        if (r < 0)
                return r;

        k->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (k->epoll_fd < 0)
                return -errno;

        r = watch_sigterm(k);
        return r < 0 ? r : watch(k, EPOLL_CTL_ADD, listen_fd, EPOLLIN, &watch_listener);
}

int keeper_resume(Keeper *k, const struct keeper_self *self, const KeeperState *state) {
        int r;

        r = keeper_init(k, self, state->self.listen_fd);
        if (r < 0)
                return r;

        k->store.generation = state->self.generation;
        r = store_resume(&k->store, state->stored, state->n_stored);
        if (r >= 0)
                r = keeper_take_over(k, state);
        if (r >= 0 && state->self.node_fd >= 0) {
                k->node_fd = state->self.node_fd;
                k->version = state->self.node_version;
                k->welcomed = k->version > 0;
                r = watch(k, EPOLL_CTL_ADD, k->node_fd, EPOLLIN, &watch_node);
        }
        if (r < 0)
                return r;
        reexec_resume(k, state);
        flush_and_watch(k);
        return 0;
}

/* The shorter one of two times to wait; -1 is for ever. */
static int sooner(int a, int b) {
        return a < 0 || (b >= 0 && b < a) ? b : a;
}

int keeper_run(Keeper *k) {
        for (;;) {
                struct epoll_event event;
                struct watch *w;
                int n, timeout = start_terminals(k);

                /* The store last: what the others do may be to be stored. */
                timeout = sooner(timeout, reexec_run(k));
                timeout = sooner(timeout, store_run(k));
                if (k->listener_paused)
                        timeout = sooner(timeout, ACCEPT_RETRY_MSEC);
                /* One at a time: what is done for one may free what the next of a batch would point to. */
                n = epoll_wait(k->epoll_fd, &event, 1, timeout);
                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n == 0 && k->listener_paused)
                        k->listener_paused =
                                watch(k, EPOLL_CTL_MOD, k->listen_fd, EPOLLIN, &watch_listener) < 0;
                if (n <= 0)
                        continue;

                w = event.data.ptr;
                switch (w->type) {
                case WATCH_LISTENER:
                        on_listener(k);
                        break;
                case WATCH_NODE:
                        on_node(k, event.events);
                        break;
                case WATCH_REFUSED:
                        close_refused(k);
                        break;
                case WATCH_PIDFD:
                        on_pidfd(k, w->child);
                        break;
                case WATCH_GATE:
                        on_gate(k, w->child);
                        break;
                case WATCH_RELEASE:
                        on_release(k, w->child);
                        break;
                case WATCH_TERMINAL:
                        on_terminal(k, w->terminal);
                        break;
                case WATCH_GUEST:
                        on_guest(k, w->guest);
                        break;
                case WATCH_ASKER:
                        reexec_on_asker(k);
                        break;
                case WATCH_CHECK:
                        reexec_on_check(k);
                        break;
                case WATCH_SIGNAL:
                        on_terminate(k);
                case WATCH_BARRIER:
                        on_barrier(k);
                        break;
                }
        }
}
