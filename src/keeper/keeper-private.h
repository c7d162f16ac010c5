/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of the loop share. */

#include <errno.h>
#include <sys/epoll.h>

#include "keeper/keeper-loop.h"

static inline int watch(Keeper *k, int operation, int fd, uint32_t events, struct watch *w) {
        struct epoll_event event = { .events = events, .data.ptr = w };

        return epoll_ctl(k->epoll_fd, operation, fd, &event) < 0 ? -errno : 0;
}

static inline void unwatch(Keeper *k, int fd) {
        /* By hand, since the node or a child may hold the same open file, which then stays in the epoll. */
        (void) epoll_ctl(k->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

/* Puts a child that was made, or taken over, into the loop: by what it still has. */
int keeper_watch_child(Keeper *keeper, Child *child);

int keeper_watch_terminal(Keeper *keeper, KeeperTerminal *terminal);

/* Answers the node's request, now or when it listens again. */
void keeper_reply_done(Keeper *keeper, const struct keeper_header *request, int error);

/* Whether nothing is half said or half done. */
bool keeper_is_quiet(const Keeper *keeper);

/* Reads the node's requests, or leaves them where they are. */
void keeper_pause_node(Keeper *keeper, bool pause);

/* What an event belongs to, of those that there is one of. */
extern struct watch keeper_watch_listener, keeper_watch_node, keeper_watch_refused;

/* keeper-loop.c: the children. */
Child *keeper_find_child(const Keeper *keeper, uint64_t id);
int keeper_add_child(
        Keeper *keeper, Child *child, ListLink *after); /* takes it on success; -EEXIST, -ENOMEM */
void keeper_forget_child(Keeper *keeper, Child *child);

/* keeper-node.c: the connection to the node. */
void keeper_announce(Keeper *keeper, Child *child);  /* is sent by the next keeper_flush(), as KEEPER_CHILD */
void keeper_tell_exit(Keeper *keeper, Child *child); /* as KEEPER_EXITED; not of a child that is announced */
void keeper_close_gate(Child *child);
void keeper_close_node(Keeper *keeper);
void keeper_close_bad_node(Keeper *keeper, const char *why, int error);
void keeper_flush(Keeper *keeper); /* tells it what it has still to hear, as far as it takes that */
void keeper_on_node(Keeper *keeper, uint32_t events);

/* keeper-requests.c: 0, or -EBADMSG, which ends the connection. */
int keeper_on_request(Keeper *keeper, const void *data, size_t size);
int keeper_on_hello(Keeper *keeper, const struct keeper_hello *m);

/* keeper-guests.c: who connects. */
void keeper_on_listener(Keeper *keeper);
void keeper_on_guest(Keeper *keeper, size_t i);
void keeper_close_refused(Keeper *keeper);
