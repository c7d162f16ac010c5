/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The keeper object has the children, their terminals and ports, the store, and the connections. These do not
 * know it. The other files keeper-*.c work on it; none of those is included here. See README.md. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/id-map.h"
#include "base/list.h"
#include "base/trim.h"
#include "keeper/child.h"
#include "keeper/keeper-self.h"
#include "keeper/keeper-store.h"
#include "keeper/keeper-terminal.h"
#include "keeper/keeper-watch.h"
#include "keeper/lookup.h"
#include "keeper/notify.h"
#include "keeper/sockets.h"
#include "keeper/terminal-socket.h"
#include "proto/keeper-protocol.h"

/* See keeper-reexec.h. */
typedef struct Reexec {
        bool asked; /* from the first request until the reply */
        /* The new program has accepted the state; the exec follows once nothing is incomplete. */
        bool checked;
        /* A connection that waits for the reply; negative if the node waits or the process has gone. */
        int asker_fd;
        struct watch asker_watch;
        pid_t check_pid; /* 0 if none runs */
        int check_pidfd;
        struct watch check_watch;
        uint64_t deadline_usec; /* of the check, CLOCK_MONOTONIC */
} Reexec;

typedef struct Keeper {
        const struct keeper_self *self;
        ListLink children; /* Child.link, the newest first */
        IdMap children_by_id;
        ListLink to_announce;  /* Child.to_tell, with announce */
        ListLink to_tell_exit; /* Child.to_tell, with tell_exit */
        Sockets sockets;
        ListLink terminals; /* KeeperTerminal.link, of terminals that outlive their child */
        /* KeeperTerminal.missing, of terminals to be started again, sorted by time */
        ListLink terminals_missing;
        ListLink terminals_ending; /* KeeperTerminal.ending, the one that is looked at next is the first */
        ListLink lookups;          /* Lookup.link, the oldest first */
        ListLink lookups_to_tell;  /* Lookup.to_tell */
        ListLink notified;         /* Notify.to_tell */
        ListLink notify_paused;    /* Notify.paused, the one that is resumed next is the first */
        ListLink drops;            /* Notify.drop, the one with the first deadline is the first */
        size_t n_dropping;         /* of these, those with a child */
        size_t n_shut;             /* of these, those without a role */
        uint64_t drops_retry_usec; /* no process could be cloned */
        Store store;
        Reexec reexec;
        Trim trim;

        int epoll_fd;
        struct watch listener_watch;
        struct watch node_watch;
        struct watch refused_watch;
        struct watch signal_watch;
        int listen_fd;
        int node_fd; /* one node at a time */
        /* Connections without a first packet. If there are too many, a new one replaces the first. */
        struct {
                int fd;
                struct watch watch;
        } guests[4];
        size_t next_guest;
        int signal_fd; /* SIGTERM */
        /* The last connection that was refused; it has received the reply and hangs up itself. */
        int refused_fd;
        bool listener_paused;         /* no descriptor was left for a connection */
        bool terminal_sockets_paused; /* the same for some of the terminal sockets */
        bool welcomed;                /* this node and the keeper have agreed on a version */
        uint32_t version;             /* the version that was agreed on */

        /* At most one reply is pending. While it is pending, or a child is still to be reported, no request
         * is read. So memory does not grow if the node does not read. */
        union {
                struct keeper_welcome welcome;
                struct keeper_forked forked;
                struct keeper_done done;
                struct keeper_bound bound;
                struct keeper_terminal_socket_made terminal_socket_made;
                struct keeper_ports kept;
        } reply;
        size_t reply_size;          /* 0 if none is pending */
        Child *reply_child;         /* the reply lends its descriptors */
        bool node_paused;           /* its requests are not read */
        bool node_waits_for_reexec; /* the reply to its KEEPER_REEXEC is pending */
        size_t ports_left;          /* after its HELLO, the number of ports that are still to be reported */
        bool blocked;
} Keeper;

/* Takes ownership of the listening socket. Returns a negative errno. */
int keeper_init(Keeper *keeper, const struct keeper_self *self, int listen_fd);

/* operation is EPOLL_CTL_ADD or EPOLL_CTL_MOD. The watch is owned by the keeper or by one of its objects.
 * Returns a negative errno. */
int keeper_watch(Keeper *keeper, int operation, int fd, uint32_t events, struct watch *watch);
void keeper_unwatch(Keeper *keeper, int fd);

Child *keeper_find_child(const Keeper *keeper, uint64_t id);
/* Takes ownership of the child on success. Returns -EEXIST or -ENOMEM. */
int keeper_add_child(Keeper *keeper, Child *child, ListLink *after);
void keeper_forget_child(Keeper *keeper, Child *child);

/* Adds a child that was created or taken over to the loop, according to its state. Returns a negative
 * errno. */
int keeper_watch_child(Keeper *keeper, Child *child);

/* Makes the socket of a child that is about to be created. Returns a negative errno. */
int keeper_make_notify(Keeper *keeper, uint64_t id, uint32_t flags, Notify **ret);
/* Watches the socket, unless it is not read now. */
void keeper_watch_notify(Keeper *keeper, Notify *notify);
/* The next message has descriptors. keeper_run_drops() lets a child take it. */
void keeper_add_drop(Keeper *keeper, Notify *notify);
/* Closes the socket of a child that is gone, or lets a child take what is in it first. */
void keeper_close_notify(Keeper *keeper, Notify *notify);

int keeper_watch_terminal(Keeper *keeper, KeeperTerminal *terminal);
/* Returns the socket of this user for the terminal, which is made if there is none, or a negative errno. */
int keeper_make_terminal_socket(
        Keeper *keeper, KeeperTerminal *terminal, uid_t uid, uint32_t flags, TerminalSocket **ret);
/* Adds a socket that the previous program has left (fd >= 0), or makes that of a keeper that has died. */
int keeper_take_terminal_socket(
        Keeper *keeper, KeeperTerminal *terminal, uid_t uid, uint32_t flags, int fd, TerminalSocket **ret);
void keeper_end_terminal_sockets(Keeper *keeper, KeeperTerminal *terminal);
/* Queues a terminal without an architect-terminal. keeper_run() starts one when it is due. */
void keeper_queue_terminal(Keeper *keeper, KeeperTerminal *terminal);
