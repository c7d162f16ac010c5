/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd-util.h"
#include "base/stderr-log.h"
#include "keeper/keeper-node.h"
#include "keeper/keeper-serialize.h"

static void keeper_collect_terminal(const KeeperTerminal *from, uint64_t child, KeeperState *s) {
        struct keeper_state_terminal *to = &s->terminals[s->n_terminals++];

        *to = (struct keeper_state_terminal){
                .child = child,
                .spawned_usec = from->spawned_usec,
                .pid = from->pid,
                .pidfd = from->pidfd,
                .master_fd = from->master_fd,
                .control_fd = from->control_fd,
                .peer_fd = from->peer_fd,
                .output_fd = from->output_fd,
                .flags = (from->over ? KEEPER_STATE_TERMINAL_OVER : 0) |
                         (from->orphan ? KEEPER_STATE_TERMINAL_ORPHAN : 0) |
                         (from->is_pipe ? KEEPER_STATE_TERMINAL_PIPE : 0) |
                         (from->timestamps ? KEEPER_STATE_TERMINAL_TIMESTAMPS : 0),
        };
        memcpy(to->role, from->role, sizeof(to->role));
}

static size_t keeper_count_terminal_sockets(const Keeper *k) {
        size_t n = 0;

        LIST_FOREACH (const Child, link, c, &k->children)
                if (c->terminal)
                        LIST_FOREACH (const TerminalSocket, link, s, &c->terminal->sockets)
                                n++;
        return n;
}

static void keeper_collect_terminal_sockets(const KeeperTerminal *from, KeeperState *s) {
        LIST_FOREACH (const TerminalSocket, link, socket, &from->sockets)
                s->terminal_sockets[s->n_terminal_sockets++] = (struct keeper_state_terminal_socket){
                        .child = from->child->id,
                        .fd = socket->fd,
                        .uid = socket->uid,
                        .flags = socket->flags,
                };
}

int keeper_collect(const Keeper *k, KeeperState *ret) {
        const size_t n = k->children_by_id.n;
        _cleanup_(keeper_state_clear) KeeperState s = { 0 };
        size_t n_terminals = 0;
        int r;

        LIST_FOREACH (KeeperTerminal, link, t, &k->terminals)
                n_terminals++;
        s.children = calloc(n + 1, sizeof(s.children[0]));
        s.ports = calloc(k->sockets.n + 1, sizeof(s.ports[0]));
        s.terminals = calloc(n + n_terminals + 1, sizeof(s.terminals[0]));
        s.terminal_sockets = calloc(keeper_count_terminal_sockets(k) + 1, sizeof(s.terminal_sockets[0]));
        s.notify = calloc(n + 1, sizeof(s.notify[0]));
        if (!s.children || !s.ports || !s.terminals || !s.terminal_sockets || !s.notify)
                return -ENOMEM;
        r = store_collect(&k->store, &k->children, &k->sockets, &s.stored, &s.n_stored);
        if (r < 0)
                return r;

        s.self = (struct keeper_state_self){
                .pid = k->self->pid,
                .listen_fd = k->listen_fd,
                .node_fd = k->node_fd,
                .asker_fd = k->node_waits_for_reexec ? k->node_fd : k->reexec.asker_fd,
                .node_version = k->welcomed ? k->version : 0,
                .nofile_current = k->self->nofile.rlim_cur,
                .nofile_max = k->self->nofile.rlim_max,
                .generation = k->store.generation,
        };
        LIST_FOREACH (const Child, link, c, &k->children) {
                struct keeper_state_child *to = &s.children[s.n_children++];

                *to = (struct keeper_state_child){
                        .id = c->id,
                        .start_time = c->start_time,
                        .pid = c->pid,
                        .flags = (c->orphan ? KEEPER_STATE_CHILD_ORPHAN : 0) |
                                 (c->exited ? KEEPER_STATE_CHILD_EXITED : 0) |
                                 (c->execed ? KEEPER_STATE_CHILD_EXECED : 0) |
                                 (c->tell_exit ? KEEPER_STATE_CHILD_TELL_EXIT : 0),
                        .pidfd = c->pidfd,
                        .gate_fd = c->gate_fd,
                        .stdin_fd = c->stdin_fd,
                        .release_fd = c->release_fd,
                        .exit = c->exit,
                };
                memcpy(to->role, c->role, sizeof(to->role));
                if (c->notify)
                        s.notify[s.n_notify++] = (struct keeper_state_notify){
                                .child = c->id,
                                .fd = c->notify->fd,
                                .hold_fd = c->notify->hold_fd,
                                .flags = c->notify->all ? KEEPER_STATE_NOTIFY_ALL : 0,
                        };
                if (c->terminal) {
                        keeper_collect_terminal(c->terminal, c->id, &s);
                        keeper_collect_terminal_sockets(c->terminal, &s);
                }
        }
        LIST_FOREACH (const KeeperTerminal, link, t, &k->terminals)
                keeper_collect_terminal(t, 0, &s);
        for (size_t i = 0; i < k->sockets.n; i++) {
                const struct reserved_socket *from = k->sockets.all[i];
                struct keeper_state_port *to = &s.ports[s.n_ports++];

                *to = (struct keeper_state_port){
                        .child = from->child, .port = from->port, .fd = from->hold_fd
                };
                memcpy(&to->address, &from->address, sizeof(to->address));
        }

        *ret = s;
        s = (KeeperState){ 0 };
        return 0;
}

static int keeper_take_terminal(const struct keeper_state_terminal *from, KeeperTerminal **ret) {
        KeeperTerminal *terminal = calloc(1, sizeof(*terminal));

        if (!terminal)
                return -ENOMEM;
        keeper_terminal_init(terminal, from->role);
        terminal->master_fd = from->master_fd;
        terminal->control_fd = from->control_fd;
        terminal->peer_fd = from->peer_fd;
        terminal->output_fd = from->output_fd;
        terminal->pid = from->pid;
        terminal->pidfd = from->pidfd;
        terminal->spawned_usec = from->spawned_usec;
        terminal->over = from->flags & KEEPER_STATE_TERMINAL_OVER;
        terminal->orphan = from->flags & KEEPER_STATE_TERMINAL_ORPHAN;
        terminal->is_pipe = from->flags & KEEPER_STATE_TERMINAL_PIPE;
        terminal->timestamps = from->flags & KEEPER_STATE_TERMINAL_TIMESTAMPS;
        *ret = terminal;
        return 0;
}

static int keeper_take_child(Keeper *k, const struct keeper_state_child *from) {
        Child *child = calloc(1, sizeof(*child));
        int r;

        if (!child)
                return -ENOMEM;
        child_init(child, from->id, from->role);
        child->start_time = from->start_time;
        child->pid = from->pid;
        child->pidfd = from->pidfd;
        child->gate_fd = from->gate_fd;
        child->stdin_fd = from->stdin_fd;
        child->release_fd = from->release_fd;
        child->orphan = from->flags & KEEPER_STATE_CHILD_ORPHAN;
        child->exited = from->flags & KEEPER_STATE_CHILD_EXITED;
        child->execed = from->flags & KEEPER_STATE_CHILD_EXECED;
        child->exit = from->exit;

        r = keeper_add_child(k, child, k->children.prev);
        if (r < 0) {
                (void) child_free(child);
                return r;
        }
        if (from->flags & KEEPER_STATE_CHILD_TELL_EXIT)
                keeper_tell_exit(k, child);
        return 0;
}

static int keeper_take_terminal_of(Keeper *k, const struct keeper_state_terminal *from) {
        Child *child = keeper_find_child(k, from->child);
        KeeperTerminal *terminal;
        int r;

        if (from->child != 0 && (!child || child->terminal))
                return 0; /* it belongs to no child */
        r = keeper_take_terminal(from, &terminal);
        if (r < 0)
                return r;
        terminal->child = child;
        if (child) {
                child->terminal = terminal;
                return 0;
        }
        list_append(&k->terminals, &terminal->link);
        return keeper_watch_terminal(k, terminal);
}

/* Without its socket a terminal works as before, and the next call makes another one. */
static void keeper_take_terminal_socket_of(Keeper *k, const struct keeper_state_terminal_socket *from) {
        Child *child = keeper_find_child(k, from->child);
        TerminalSocket *socket;
        int r;

        if (!child || !child->terminal || child->terminal->over) {
                (void) fd_close(from->fd);
                return;
        }
        r = keeper_take_terminal_socket(k, child->terminal, from->uid, from->flags, from->fd, &socket);
        if (r < 0)
                log_warning("Cannot take over a socket of the terminal of role %s: %s", child->role,
                        strerror(-r));
}

/* Without it the messages of the role are lost, and the node knows that it has no socket. */
static void keeper_take_notify_of(Keeper *k, const struct keeper_state_notify *from) {
        Child *child = keeper_find_child(k, from->child);
        int r;

        if (!child || child->notify) {
                (void) fd_close(from->fd);
                (void) fd_close(from->hold_fd);
                return;
        }
        r = notify_take(from->fd, from->hold_fd, from->flags & KEEPER_STATE_NOTIFY_ALL, &child->notify);
        /* A dead keeper that has emptied the hold has forgotten the child. */
        if (r < 0 && r != -EAGAIN)
                log_error("Cannot take over the notifications of role %s, which are lost: %s", child->role,
                        strerror(-r));
        if (r < 0)
                return;
        child->notify->child = child;
}

int keeper_take_over(Keeper *k, const KeeperState *s) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < s->n_children; i++)
                r = keeper_take_child(k, &s->children[i]);
        for (size_t i = 0; r >= 0 && i < s->n_terminals; i++)
                r = keeper_take_terminal_of(k, &s->terminals[i]);
        for (size_t i = 0; r >= 0 && i < s->n_notify; i++)
                keeper_take_notify_of(k, &s->notify[i]);
        if (r >= 0)
                LIST_FOREACH (Child, link, c, &k->children)
                        if (r >= 0)
                                r = keeper_watch_child(k, c);
        for (size_t i = 0; r >= 0 && i < s->n_terminal_sockets; i++)
                keeper_take_terminal_socket_of(k, &s->terminal_sockets[i]);
        for (size_t i = 0; r >= 0 && i < s->n_ports; i++) {
                struct reserved_socket socket = {
                        .port = s->ports[i].port, .hold_fd = s->ports[i].fd, .child = s->ports[i].child
                };
                Child *child;

                memcpy(&socket.address, &s->ports[i].address, sizeof(s->ports[i].address));
                child = keeper_find_child(k, socket.child);
                r = sockets_take_over(&k->sockets, &socket, child ? &child->sockets : NULL);
        }
        return r;
}

int keeper_write_state(const void *keeper) {
        _cleanup_(keeper_state_clear) KeeperState state = { 0 };
        int r;

        r = keeper_collect(keeper, &state);
        if (r < 0)
                return r;
        state.self.node_fd = -EBADF;
        state.self.node_version = 0;
        return keeper_state_write(&state);
}
