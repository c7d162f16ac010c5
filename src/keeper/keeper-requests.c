/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The requests of the node. Each handler returns 0, or -EBADMSG, which ends the connection. */

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/cgroup-util.h"
#include "base/fd-util.h"
#include "base/pidref.h"
#include "keeper/cgroup-signal.h"
#include "keeper/keeper-node.h"
#include "keeper/keeper-notify.h"
#include "keeper/keeper-reexec.h"
#include "keeper/keeper-requests.h"
#include "proto/terminal-protocol.h"

int keeper_on_hello(Keeper *k, const struct keeper_hello *m) {
        const uint32_t version_max = k->self->protocol_max;
        bool common = m->version_min <= version_max && m->version_max >= KEEPER_PROTOCOL_VERSION_MIN;
        uint32_t n = 0;

        k->welcomed = common;
        k->version = !common ? 0 : m->version_max < version_max ? m->version_max : version_max;
        LIST_FOREACH (Child, link, c, &k->children)
                if (common) {
                        keeper_announce(k, c);
                        n++;
                }
        k->ports_left = common ? k->sockets.n : 0;
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

static int keeper_make_child(Keeper *k, const struct keeper_fork *m, const char *cgroup,
        const struct keeper_port *ports, size_t n_ports, Child **ret) {
        struct child_sockets sockets;
        Notify *notify = NULL;
        ListLink lent;
        Child *child;
        int r;

        if (keeper_find_child(k, m->header.child))
                return -EEXIST;
        if (m->flags & ~(KEEPER_FORK_STDIN_PIPE | KEEPER_FORK_TERMINAL | KEEPER_FORK_NOTIFY |
                               KEEPER_FORK_NOTIFY_ALL | KEEPER_FORK_TIMESTAMPS))
                return -EOPNOTSUPP;
        if ((m->flags & KEEPER_FORK_NOTIFY_ALL) && !(m->flags & KEEPER_FORK_NOTIFY))
                return -EINVAL;
        if ((m->flags & KEEPER_FORK_STDIN_PIPE) && (m->flags & KEEPER_FORK_TERMINAL))
                return -EINVAL;

        if (m->flags & KEEPER_FORK_NOTIFY) {
                r = keeper_make_notify(k, m->header.child, m->flags, &notify);
                if (r < 0)
                        return r;
        }
        list_init(&lent);
        r = sockets_lend(&k->sockets, m->header.child, &lent, ports, n_ports, &sockets);
        if (r < 0) {
                (void) notify_free(notify);
                return r;
        }
        store_touch(&k->store);
        r = child_new(k->self, m->header.child, m->role, m->flags, cgroup, &sockets, notify, &child);
        if (r < 0) {
                (void) notify_free(notify);
                sockets_rest_child(&k->sockets, &lent, m->role);
                return r;
        }

        list_splice(&child->sockets, &lent);
        r = keeper_watch_child(k, child);
        if (r >= 0)
                r = keeper_add_child(k, child, &k->children);
        if (r < 0) {
                child_kill(child);
                sockets_rest_child(&k->sockets, &child->sockets, child->role);
                if (child->terminal)
                        keeper_terminal_kill(child->terminal);
                keeper_forget_child(k, child);
                return r;
        }

        store_touch_child(&k->store, child);
        *ret = child;
        return 0;
}

static int keeper_reply_forked(Keeper *k, const struct keeper_fork *m, Child *child, int error) {
        k->reply.forked = (struct keeper_forked){
                .header = { .type = KEEPER_FORKED, .child = m->header.child },
                .error = error < 0 ? error : 0,
                .pid = child ? child->pid : 0,
                .start_time = child ? child->start_time : 0,
        };
        k->reply_size = sizeof(k->reply.forked);
        k->reply_child = child;
        return 0;
}

static bool keeper_fork_is_valid(const struct keeper_fork *m) {
        return m->header.child != 0 && memchr(m->role, '\0', sizeof(m->role)) && role_name_is_valid(m->role);
}

static int keeper_on_fork(Keeper *k, const struct keeper_fork *m, size_t size) {
        const struct keeper_port *ports = (const struct keeper_port *) (m + 1);
        const size_t n_ports = (size - sizeof(*m)) / sizeof(*ports);
        Child *child = NULL;
        int r;

        if (!keeper_fork_is_valid(m) || (size - sizeof(*m)) % sizeof(*ports) != 0 ||
                n_ports > KEEPER_FORK_PORTS_MAX)
                return -EBADMSG;
        /* The ports are numbered by consecutive descriptors. */
        for (size_t i = 1; i < n_ports; i++)
                if (ports[i - 1].release && !ports[i].release)
                        return -EBADMSG;

        r = keeper_make_child(k, m, NULL, ports, n_ports, &child);
        return keeper_reply_forked(k, m, child, r);
}

static int keeper_on_fork_into(Keeper *k, const struct keeper_fork_into *m, size_t size) {
        Child *child = NULL;
        int r;

        if (!keeper_fork_is_valid(&m->fork) ||
                !memchr(m->path, '\0', size - offsetof(struct keeper_fork_into, path)))
                return -EBADMSG;
        if (k->version < 5)
                return keeper_reply_done(k, &m->fork.header, -EOPNOTSUPP);
        r = m->fork.flags & ~KEEPER_FORK_TIMESTAMPS ? -EOPNOTSUPP
            : !cgroup_is_of_role(m->path, k->self->instance)
                    ? -EPERM
                    : keeper_make_child(k, &m->fork, m->path, NULL, 0, &child);
        return keeper_reply_forked(k, &m->fork, child, r);
}

static int keeper_on_signal(Keeper *k, const struct keeper_signal *m) {
        Child *child = keeper_find_child(k, m->header.child);

        /* A zombie would accept any signal, as if the process were alive. */
        return keeper_reply_done(k, &m->header,
                !child          ? -ENOENT
                : child->exited ? -ESRCH
                                : pidfd_kill(child->pidfd, m->signo));
}

static int keeper_on_close_stdin(Keeper *k, const struct keeper_header *m) {
        Child *child = keeper_find_child(k, m->child);

        if (child) {
                child->stdin_fd = fd_close(child->stdin_fd);
                store_close_stdin(&k->store, child);
        }
        return keeper_reply_done(k, m, child ? 0 : -ENOENT);
}

static int keeper_on_reap(Keeper *k, const struct keeper_header *m) {
        Child *child = keeper_find_child(k, m->child);
        int r;

        if (!child)
                return keeper_reply_done(k, m, -ENOENT);
        if (!child->exited && !child->orphan)
                return keeper_reply_done(k, m, -EBUSY);

        r = child_reap(child);
        if (r >= 0)
                keeper_forget_child(k, child);
        return keeper_reply_done(k, m, r);
}

static int keeper_on_kill_cgroup(Keeper *k, const struct keeper_kill_cgroup *m, size_t size) {
        if (!memchr(m->path, '\0', size - sizeof(m->header)))
                return -EBADMSG;

        return keeper_reply_done(
                k, &m->header, cgroup_is_of_role(m->path, k->self->instance) ? cgroup_kill(m->path) : -EPERM);
}

static int keeper_signal_cgroup(Keeper *k, const struct keeper_signal_cgroup *m) {
        const Child *child;

        if (m->flags & ~(KEEPER_CGROUP_STRAY | KEEPER_CGROUP_EACH | KEEPER_CGROUP_CONTINUE))
                return -EOPNOTSUPP;
        if (!(m->flags & KEEPER_CGROUP_STRAY))
                return cgroup_is_of_role(m->path, k->self->instance)
                               ? cgroup_signal(m->path, m->signo, m->flags, 0)
                               : -EPERM;

        child = keeper_find_child(k, m->header.child);
        if (!child)
                return -ENOENT;
        return cgroup_may_be_stray(m->path) ? cgroup_signal(m->path, m->signo, m->flags, child->start_time)
                                            : -EPERM;
}

static int keeper_on_signal_cgroup(Keeper *k, const struct keeper_signal_cgroup *m, size_t size) {
        if (!memchr(m->path, '\0', size - offsetof(struct keeper_signal_cgroup, path)))
                return -EBADMSG;

        return keeper_reply_done(k, &m->header, keeper_signal_cgroup(k, m));
}

static int keeper_on_signal_process(Keeper *k, const struct keeper_signal_process *m) {
        const Child *child = keeper_find_child(k, m->header.child);

        return keeper_reply_done(k, &m->header,
                !child                              ? -ENOENT
                : m->start_time < child->start_time ? -EPERM
                                                    : process_signal(m->pid, m->start_time, m->signo));
}

static int keeper_on_make_terminal_socket(Keeper *k, const struct keeper_terminal_socket *m) {
        Child *child = keeper_find_child(k, m->header.child);
        TerminalSocket *socket = NULL;
        int r;

        if (m->flags & ~TERMINAL_CLIENT_REPLAY)
                r = -EOPNOTSUPP;
        else if (m->uid == UINT32_MAX)
                r = -EINVAL; /* nobody's number; for chown(2) it means "no change" */
        else if (!child)
                r = -ENOENT;
        else if (child->exited)
                r = -ESRCH;
        else if (!child->terminal || child->terminal->is_pipe)
                r = -ENOTTY;
        else
                r = keeper_make_terminal_socket(k, child->terminal, m->uid, m->flags, &socket);
        k->reply.terminal_socket_made = (struct keeper_terminal_socket_made){
                .header = { .type = KEEPER_TERMINAL_SOCKET_MADE, .child = m->header.child },
                .error = r < 0 ? r : 0,
        };
        if (socket)
                memcpy(k->reply.terminal_socket_made.path, socket->path, sizeof(socket->path));
        k->reply_size = sizeof(k->reply.terminal_socket_made);
        return 0;
}

static int keeper_on_release_all(Keeper *k, const struct keeper_header *header) {
        store_touch(&k->store);
        sockets_release_all(&k->sockets);
        return keeper_reply_done(k, header, 0);
}

static size_t keeper_count_lookups(const Keeper *k) {
        size_t n = 0;

        LIST_FOREACH (Lookup, link, l, &k->lookups)
                n++;
        return n;
}

static int keeper_begin_lookup(Keeper *k, const struct keeper_lookup *m) {
        Lookup *lookup;
        int r;

        /* The next program would have children that it does not know. */
        if (k->reexec.checked)
                return -EAGAIN;
        if (keeper_count_lookups(k) >= KEEPER_LOOKUPS_MAX)
                return -EBUSY;
        r = lookup_new(k->self, m, &lookup);
        if (r < 0)
                return r;
        r = keeper_watch(k, EPOLL_CTL_ADD, lookup->pidfd, EPOLLIN | EPOLLET, &lookup->watch);
        if (r < 0)
                (void) lookup_abandon(lookup);
        else
                list_append(&k->lookups, &lookup->link);
        return r;
}

static int keeper_on_lookup(Keeper *k, const struct keeper_lookup *m) {
        if (!m->user[0] || !memchr(m->user, '\0', sizeof(m->user)) ||
                !memchr(m->group, '\0', sizeof(m->group)))
                return -EBADMSG;
        return keeper_reply_done(k, &m->header, keeper_begin_lookup(k, m));
}

/* A role that floods its socket does not delay this for ever: then the node learns the rest later. */
#define NOTIFY_READ_MAX 1024U

static int keeper_on_take_notified(Keeper *k, const struct keeper_take_notified *m) {
        Child *child = keeper_find_child(k, m->header.child);

        if (k->version < 5)
                return keeper_reply_done(k, &m->header, -EOPNOTSUPP);
        if (!child || !child->notify)
                return keeper_reply_done(k, &m->header, child ? -ENOTSOCK : -ENOENT);
        if (m->number > 0) {
                notify_saved(child->notify, m->number);
                return keeper_reply_done(k, &m->header, 0);
        }
        keeper_read_notify(k, child->notify, NOTIFY_READ_MAX);
        return keeper_reply_done(k, &m->header,
                list_is_linked(&child->notify->drop) && !child->notify->drop_late ? -EAGAIN : 0);
}

/* The requests of version 3. */
static int keeper_on_request_3(Keeper *k, const void *data, size_t size) {
        const struct keeper_header *header = data;

        if (k->version < 3)
                return keeper_reply_done(k, header, -EOPNOTSUPP);
        if (header->type == KEEPER_SIGNAL_PROCESS)
                return size == sizeof(struct keeper_signal_process) ? keeper_on_signal_process(k, data)
                                                                    : -EBADMSG;
        if (header->type == KEEPER_MAKE_TERMINAL_SOCKET)
                return size == sizeof(struct keeper_terminal_socket) ? keeper_on_make_terminal_socket(k, data)
                                                                     : -EBADMSG;
        if (header->type == KEEPER_RELEASE_ALL_PORTS)
                return size == sizeof(*header) ? keeper_on_release_all(k, header) : -EBADMSG;
        if (header->type == KEEPER_LOOKUP)
                return size == sizeof(struct keeper_lookup) ? keeper_on_lookup(k, data) : -EBADMSG;
        return size >= offsetof(struct keeper_signal_cgroup, path) &&
                               size <= sizeof(struct keeper_signal_cgroup)
                       ? keeper_on_signal_cgroup(k, data, size)
                       : -EBADMSG;
}

static int keeper_on_ports_request(Keeper *k, const void *data, size_t size) {
        const struct keeper_header *header = data;
        int r;

        store_touch(&k->store);
        if (header->type == KEEPER_BIND || header->type == KEEPER_BIND_PORTS) {
                r = header->type == KEEPER_BIND
                            ? sockets_on_bind(&k->sockets, data, size, &k->reply.bound)
                            : sockets_on_bind_ports(&k->sockets, data, size, &k->reply.bound);
                if (r >= 0)
                        k->reply_size = keeper_bound_size(k->reply.bound.n);
                return r;
        }

        r = sockets_on_ports(&k->sockets, data, size, &k->reply.kept);
        if (r > 0 && k->version >= 3) {
                k->reply_size = keeper_ports_size((size_t) r);
                return 0;
        }
        return r == -EOPNOTSUPP || r >= 0 ? keeper_reply_done(k, header, r < 0 ? r : 0) : r;
}

int keeper_on_request(Keeper *k, const void *data, size_t size) {
        const struct keeper_header *header = data;

        if (size < sizeof(*header) || header->reserved != 0)
                return -EBADMSG;

        /* These two never change. Only they may arrive before both sides have agreed on a version. */
        switch (header->type) {
        case KEEPER_HELLO:
                return size == sizeof(struct keeper_hello) ? keeper_on_hello(k, data) : -EBADMSG;
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
                return size >= sizeof(struct keeper_fork) ? keeper_on_fork(k, data, size) : -EBADMSG;
        case KEEPER_FORK_INTO:
                return size > offsetof(struct keeper_fork_into, path) &&
                                       size <= sizeof(struct keeper_fork_into)
                               ? keeper_on_fork_into(k, data, size)
                               : -EBADMSG;
        case KEEPER_SIGNAL:
                return size == sizeof(struct keeper_signal) ? keeper_on_signal(k, data) : -EBADMSG;
        case KEEPER_CLOSE_STDIN:
                return size == sizeof(*header) ? keeper_on_close_stdin(k, header) : -EBADMSG;
        case KEEPER_REAP:
                return size == sizeof(*header) ? keeper_on_reap(k, header) : -EBADMSG;
        case KEEPER_KILL_CGROUP:
                return size <= sizeof(struct keeper_kill_cgroup) ? keeper_on_kill_cgroup(k, data, size)
                                                                 : -EBADMSG;
        case KEEPER_SIGNAL_CGROUP:
        case KEEPER_SIGNAL_PROCESS:
        case KEEPER_MAKE_TERMINAL_SOCKET:
        case KEEPER_RELEASE_ALL_PORTS:
        case KEEPER_LOOKUP:
                return keeper_on_request_3(k, data, size);
        case KEEPER_TAKE_NOTIFIED:
                return size == sizeof(struct keeper_take_notified) ? keeper_on_take_notified(k, data)
                                                                   : -EBADMSG;
        default:
                return keeper_on_ports_request(k, data, size);
        }
}

void keeper_on_node(Keeper *k, uint32_t events) {
        union {
                struct keeper_header header;
                char room[KEEPER_PACKET_MAX];
        } packet;
        ssize_t n;
        int r;

        if (k->blocked) {
                if (events & (EPOLLHUP | EPOLLERR))
                        keeper_close_node(k);
                else
                        keeper_flush(k);
                return;
        }

        if (k->node_paused && !(events & (EPOLLHUP | EPOLLERR)))
                return;

        n = socket_recv(k->node_fd, &packet, sizeof(packet), NULL, NULL);
        if (n == -EAGAIN)
                return;
        if (n == 0) {
                keeper_close_node(k);
                return;
        }
        if (n == -ECONNRESET)
                /* This is reported once, before the packets that were sent earlier, which follow. */
                return;

        r = n < 0 ? (int) n : keeper_on_request(k, &packet, (size_t) n);
        if (r < 0)
                keeper_close_bad_node(k, "it does not speak the protocol", r);
        else
                keeper_flush(k);
}
