/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The connection to the node. This file decides which packets are sent, and in which order. */

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/stderr-log.h"
#include "keeper/keeper-node.h"

void keeper_close_gate(Child *child) {
        char byte;
        ssize_t n;

        /* A node that dies before it has read the last report of a child leaves it to the next one. The copy
         * of the node is of the same open file, so what it has read is not there any more. */
        child->gate_hung_up = false;
        do
                n = socket_peek(child->gate_fd, &byte, sizeof(byte), NULL, NULL);
        while (n == -ECONNRESET); /* reported once, before what is in the queue */
        if (n <= 0 && n != -EMSGSIZE)
                child->gate_fd = fd_close(child->gate_fd);
}

void keeper_announce(Keeper *k, Child *child) {
        child->announce = true;
        child->tell_exit = false; /* the announcement contains it */
        list_remove(&child->to_tell);
        list_append(&k->to_announce, &child->to_tell);
        if (child->notify) {
                child->notify->told = 0;
                keeper_tell_notified(k, child->notify);
        }
}

void keeper_tell_exit(Keeper *k, Child *child) {
        child->tell_exit = true;
        list_append(&k->to_tell_exit, &child->to_tell);
}

void keeper_tell_notified(Keeper *k, Notify *notify) {
        if (k->welcomed && k->version >= 5 && notify_next(notify) && !list_is_linked(&notify->to_tell))
                list_append(&k->notified, &notify->to_tell);
}

static void lookup_free_if_told(Lookup *lookup) {
        if (lookup->ended && !list_is_linked(&lookup->to_tell))
                (void) lookup_free(lookup);
}

void keeper_tell_lookup(Keeper *k, Lookup *lookup) {
        if (k->welcomed && !lookup->told && !list_is_linked(&lookup->to_tell))
                list_append(&k->lookups_to_tell, &lookup->to_tell);
        lookup->told = true;
        lookup_free_if_told(lookup);
}

void keeper_fail_lookups(Keeper *k, int error) {
        LIST_FOREACH_SAFE (Lookup, link, l, &k->lookups)
                if (!l->over) {
                        lookup_fail(l, error);
                        keeper_tell_lookup(k, l);
                }
}

/* Nobody waits for them. */
static void keeper_drop_lookups(Keeper *k) {
        LIST_FOREACH_SAFE (Lookup, link, l, &k->lookups) {
                list_remove(&l->to_tell);
                l->told = true;
                lookup_fail(l, -ECANCELED);
                lookup_free_if_told(l);
        }
}

/* Nothing remains to be sent about this child. */
static void child_told(Child *child) {
        child->announce = child->tell_exit = false;
        list_remove(&child->to_tell);
}

void keeper_close_node(Keeper *k) {
        keeper_unwatch(k, k->node_fd);
        /* A child that is stopped before it has closed its copy would keep the connection open. */
        (void) shutdown(k->node_fd, SHUT_RDWR);
        k->node_fd = fd_close(k->node_fd);
        k->welcomed = k->blocked = k->node_paused = k->node_waits_for_reexec = false;
        k->reply_size = k->ports_left = 0;
        k->reply_child = NULL;
        keeper_drop_lookups(k);

        LIST_FOREACH (Child, link, c, &k->children) {
                child_told(c);
                if (c->notify)
                        list_remove(&c->notify->to_tell);

                /* A child whose request is in the queue still reads it. A child without a request reads EOF
                 * and exits. */
                if (c->gate_fd >= 0)
                        (void) shutdown(c->gate_fd, SHUT_WR);
                if (c->gate_hung_up)
                        keeper_close_gate(c);
        }
}

void keeper_close_bad_node(Keeper *k, const char *why, int error) {
        log_warning("Closing the node's connection, %s: %s", why, strerror(-error));
        keeper_close_node(k);
}

int keeper_reply_done(Keeper *k, const struct keeper_header *request, int error) {
        k->reply.done = (struct keeper_done){
                .header = { .type = KEEPER_DONE, .child = request->child },
                .request = request->type,
                .error = error < 0 ? error : 0,
        };
        k->reply_size = sizeof(k->reply.done);
        return 0;
}

/* Returns 1 if the packet was sent, 0 if there is no room now or the node has gone. */
static int node_send(Keeper *k, const void *data, size_t size, const int *fds, size_t n_fds) {
        int r = socket_send(k->node_fd, data, size, fds, n_fds);

        if (r >= 0)
                return 1;
        if (r == -EAGAIN)
                k->blocked = true;
        else if (r == -EPIPE || r == -ECONNRESET)
                return 1; /* the node has gone; its earlier requests are still read, until EOF */
        else
                keeper_close_bad_node(
                        /* The node connects again and receives everything again. */
                        k, "it cannot be written to", r);
        return 0;
}

static int node_send_reply(Keeper *k) {
        Child *child = k->reply_child;
        int fds[CHILD_FDS_MAX], r;
        size_t n_fds = 0;

        if (child)
                n_fds = child_fds(child, fds, &k->reply.forked.fds);

        r = node_send(k, &k->reply, k->reply_size, child ? fds : NULL, n_fds);
        if (r > 0) {
                k->reply_size = 0;
                k->reply_child = NULL;
                if (child && child->gate_hung_up)
                        keeper_close_gate(child);
        }
        return r;
}

static int node_send_ports(Keeper *k) {
        struct keeper_ports m;
        size_t n;
        int r;

        n = sockets_tell(&k->sockets, k->ports_left, &m);
        r = node_send(k, &m, keeper_ports_size(n), NULL, 0);
        if (r > 0)
                k->ports_left -= n;
        return r;
}

static int node_send_child(Keeper *k, Child *child) {
        /* The node learns what a role has sent before it learns its end. */
        const bool end_waits = child->exited && child->notify && child->notify->end_waits;
        const bool end_follows =
                end_waits || (child->exited && child->notify && list_is_linked(&child->notify->to_tell));
        struct keeper_child m = {
                .header = { .type = KEEPER_CHILD, .child = child->id },
                .pid = child->pid,
                .start_time = child->start_time,
                .execed = child_has_execed(child),
                .exited = child->exited && !end_follows,
                .flags = child->orphan ? KEEPER_CHILD_ORPHAN : 0,
        };
        int fds[CHILD_FDS_MAX], r;
        size_t n_fds;

        if (m.exited)
                m.exit = child->exit;
        memcpy(m.role, child->role, sizeof(m.role));
        n_fds = child_fds(child, fds, &m.fds);
        r = node_send(k, &m, sizeof(m), fds, n_fds);
        if (r > 0)
                child_told(child);
        if (r > 0 && end_follows && !end_waits)
                keeper_tell_exit(k, child);
        return r;
}

static int node_send_notified(Keeper *k, Notify *notify) {
        const struct notify_item *item;

        while ((item = notify_next(notify))) {
                struct keeper_notified m = {
                        .header = { .type = KEEPER_NOTIFIED, .child = notify->child->id },
                        .number = item->number,
                        .monotonic_usec = item->monotonic_usec,
                        .value = item->value,
                        .pid = item->pid,
                        .kind = item->kind,
                };
                size_t size = offsetof(struct keeper_notified, text) + 1;

                if (item->kind == NOTIFY_STATUS) {
                        memcpy(m.text, notify->status, sizeof(m.text));
                        size += strlen(m.text);
                }
                if (node_send(k, &m, size, NULL, 0) == 0)
                        return 0;
                notify->told = item->number;
        }
        list_remove(&notify->to_tell);
        return 1;
}

static int node_send_all_notified(Keeper *k) {
        Notify *n;

        while ((n = LIST_FIRST(Notify, to_tell, &k->notified)))
                if (node_send_notified(k, n) == 0)
                        return 0;
        return 1;
}

static int node_send_exit(Keeper *k, Child *child) {
        struct keeper_exited m = {
                .header = { .type = KEEPER_EXITED, .child = child->id },
                .execed = child->execed,
                .exit = child->exit,
        };
        int r = node_send(k, &m, sizeof(m), NULL, 0);

        if (r > 0)
                child_told(child);
        return r;
}

static int node_send_lookup(Keeper *k, Lookup *lookup) {
        int r = node_send(k, &lookup->result,
                keeper_looked_up_size(lookup->result.error < 0 ? 0 : lookup->result.n_groups), NULL, 0);

        if (r > 0) {
                list_remove(&lookup->to_tell);
                lookup_free_if_told(lookup);
        }
        return r;
}

/* Sends what the node has not received yet, in this order: the reply, ports and children after a HELLO, what
 * roles have sent, exits of children, results of look-ups. Once the children are listed, a reply follows what
 * roles have sent before. */
static void node_flush(Keeper *k) {
        Lookup *l;
        Child *c;

        k->blocked = false;

        if (k->ports_left == 0 && !list_is_linked(&k->to_announce) && node_send_all_notified(k) == 0)
                return;
        if (k->reply_size > 0 && node_send_reply(k) == 0)
                return;
        while (k->ports_left > 0)
                if (node_send_ports(k) == 0)
                        return;
        while ((c = LIST_FIRST(Child, to_tell, &k->to_announce)))
                if (node_send_child(k, c) == 0)
                        return;
        if (node_send_all_notified(k) == 0)
                return;
        while ((c = LIST_FIRST(Child, to_tell, &k->to_tell_exit)))
                if (node_send_exit(k, c) == 0)
                        return;
        while ((l = LIST_FIRST(Lookup, to_tell, &k->lookups_to_tell)))
                if (node_send_lookup(k, l) == 0)
                        return;
}

static void node_watch_again(Keeper *k) {
        (void) keeper_watch(k, EPOLL_CTL_MOD, k->node_fd,
                k->blocked       ? EPOLLOUT
                : k->node_paused ? 0
                                 : EPOLLIN,
                &k->node_watch);
}

void keeper_flush(Keeper *k) {
        bool was_blocked = k->blocked;

        if (k->node_fd < 0)
                return;

        node_flush(k);

        if (k->node_fd >= 0 && k->blocked != was_blocked)
                node_watch_again(k);
}

void keeper_pause_node(Keeper *k, bool pause) {
        k->node_paused = pause;
        node_watch_again(k);
}

bool keeper_is_quiet(const Keeper *k) {
        LIST_FOREACH (Notify, drop, n, &k->drops)
                if (n->end_waits || (n->drop_pidfd >= 0 && !n->drop_late))
                        return false;
        return !k->blocked && k->reply_size == 0 && !list_is_linked(&k->lookups);
}
