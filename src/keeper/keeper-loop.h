/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The keeper's one loop: who listens, who asks, whose end is waited for. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/id-map.h"
#include "base/list.h"
#include "keeper/child.h"
#include "keeper/keeper-reexec.h"
#include "keeper/keeper-store.h"
#include "keeper/sockets.h"

typedef struct Keeper {
        const struct keeper_self *self;
        ListLink children; /* Child.link, the newest first */
        IdMap children_by_id;
        ListLink to_announce;  /* Child.to_tell: with announce */
        ListLink to_tell_exit; /* Child.to_tell: with tell_exit */
        Sockets sockets;
        ListLink terminals;         /* KeeperTerminal.link: those that outlive their child */
        ListLink terminals_missing; /* KeeperTerminal.missing: to be started again, the next one first */
        Store store;
        Reexec reexec;

        int epoll_fd;
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
        size_t reply_size;  /* 0: none */
        Child *reply_child; /* whose descriptors go with it */
        bool node_paused;   /* its requests are left where they are */
        size_t ports_left;  /* after its HELLO: so many ports are still to be told of */
        bool blocked;
} Keeper;

/* Takes over the listening socket. */
int keeper_init(Keeper *keeper, const struct keeper_self *self, int listen_fd);

/* Instead of a listening socket: all that the program before us had. */
int keeper_resume(Keeper *keeper, const struct keeper_self *self, const KeeperState *state);

/* Returns only when it cannot go on. */
int keeper_run(Keeper *keeper);
