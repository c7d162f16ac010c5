/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the keeper has: its children, their terminals and ports, and its connections. All files keeper-*.c work on this one
 * object; none is included here. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/id-map.h"
#include "base/list.h"
#include "keeper/child.h"
#include "keeper/keeper-self.h"
#include "keeper/keeper-store.h"
#include "keeper/keeper-terminal.h"
#include "keeper/keeper-watch.h"
#include "keeper/sockets.h"
#include "proto/keeper-protocol.h"

/* See keeper-reexec.h. */
typedef struct Reexec {
        bool asked;   /* from the first request on until it is answered */
        bool checked; /* the new program agrees; to be done as soon as nothing is half said */
        int asker_fd; /* who waits for the answer, on a connection of its own; negative: the node, or nobody any more */
        struct watch asker_watch;
        pid_t check_pid; /* 0: none runs */
        int check_pidfd;
        struct watch check_watch;
        uint64_t deadline_usec; /* CLOCK_MONOTONIC: until then the check has to be done */
} Reexec;

typedef struct Keeper {
        const struct keeper_self *self;
        ListLink children; /* Child.link, the newest first */
        IdMap children_by_id;
        ListLink to_announce;  /* Child.to_tell: with announce */
        ListLink to_tell_exit; /* Child.to_tell: with tell_exit */
        Sockets sockets;
        ListLink terminals;         /* KeeperTerminal.link: those that outlive their child */
        ListLink terminals_missing; /* KeeperTerminal.missing: to be started again, whose turn it is first */
        Store store;
        Reexec reexec;

        int epoll_fd;
        struct watch listener_watch;
        struct watch node_watch;
        struct watch refused_watch;
        struct watch signal_watch;
        int listen_fd;
        int node_fd; /* one node at a time */
        /* Who has connected, and not said yet what it wants; one more takes the place of the first. */
        struct {
                int fd;
                struct watch watch;
        } guests[4];
        size_t next_guest;
        int signal_fd;  /* SIGTERM */
        int refused_fd; /* the last one that was one too many: it has our answer and hangs up by itself */
        bool listener_paused; /* there was no descriptor for a connection */
        bool welcomed;        /* this node and we have agreed on a version */
        uint32_t version;     /* that one */

        /* At most one answer is under way: while it is, or a child is still to be told of, no request is read.
         * So a node that does not listen makes nothing grow. */
        union {
                struct keeper_welcome welcome;
                struct keeper_forked forked;
                struct keeper_done done;
                struct keeper_bound bound;
        } reply;
        size_t reply_size;          /* 0: none */
        Child *reply_child;         /* whose descriptors go with it */
        bool node_paused;           /* its requests are left where they are */
        bool node_waits_for_reexec; /* its KEEPER_REEXEC is not answered yet */
        size_t ports_left;          /* after its HELLO: so many ports are still to be told of */
        bool blocked;
} Keeper;

/* Takes over the listening socket. */
int keeper_init(Keeper *keeper, const struct keeper_self *self, int listen_fd);

/* operation: EPOLL_CTL_ADD or EPOLL_CTL_MOD. The watch is one of the keeper's or of something that it has. */
int keeper_watch(Keeper *keeper, int operation, int fd, uint32_t events, struct watch *watch);
void keeper_unwatch(Keeper *keeper, int fd);

Child *keeper_find_child(const Keeper *keeper, uint64_t id);
/* Takes it on success. -EEXIST, -ENOMEM. */
int keeper_add_child(Keeper *keeper, Child *child, ListLink *after);
void keeper_forget_child(Keeper *keeper, Child *child);

/* Puts a child that was made, or taken over, into the loop: by what it still has. */
int keeper_watch_child(Keeper *keeper, Child *child);

int keeper_watch_terminal(Keeper *keeper, KeeperTerminal *terminal);
/* One without an architect-terminal, for keeper_run() to start another when it is its turn. */
void keeper_queue_terminal(Keeper *keeper, KeeperTerminal *terminal);
