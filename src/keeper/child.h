/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A child of the keeper, from the clone and the wait at the gate to its zombie and the reaping. exec/
 * contains the code that runs in the child. */

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "base/list.h"
#include "keeper/exec/exec-parameters.h"
#include "keeper/keeper-self.h"
#include "keeper/keeper-watch.h"
#include "keeper/shelf.h"
#include "proto/keeper-protocol.h"

/* The descriptors of a child that systemd stores, see keeper-store.c. */
typedef enum ChildStored {
        CHILD_STORED_PIDFD,
        CHILD_STORED_STDIN,
        CHILD_STORED_MASTER,
        CHILD_STORED_CONTROL,
        CHILD_STORED_PEER,
        CHILD_STORED_OUTPUT,
        CHILD_STORED_TERMINAL,
        CHILD_STORED_NOTIFY,
        CHILD_STORED_NOTIFIED,
        _CHILD_STORED_MAX,
} ChildStored;

struct Child {
        ListLink link; /* in the list of all children */
        uint64_t id;
        char role[ROLE_NAME_MAX + 1];
        /* Belongs to this child until it is reaped; no other process can get the number before. */
        pid_t pid;
        uint64_t start_time;

        int pidfd;
        /* The copy that keeps the gate open over a restart of the node; open until the gate hangs up and the
         * node has read it, or the child is reaped. */
        int gate_fd;
        /* Open until KEEPER_CLOSE_STDIN or the end of the child. */
        int stdin_fd;
        KeeperTerminal *terminal; /* NULL if it has none */
        Notify *notify;           /* the same, until it is reaped */
        struct watch pidfd_watch;
        struct watch gate_watch;
        /* Open until the child has released its ports by its exec, or has given them back. */
        int release_fd;
        struct watch release_watch;
        ListLink sockets; /* the reserved ports that it has */
        /* The gate is closed once the reply that lends it has been sent. */
        bool gate_hung_up;

        bool orphan; /* a child of a previous keeper that died, so no child or zombie of this process */
        /* The child has ended, and the members below are valid. It is a zombie, unless it is an orphan. */
        bool exited;
        bool execed;
        struct keeper_exit_record exit;

        /* What the node has not received yet. These are flags instead of messages, so that memory does not
         * grow while the node does not read. */
        bool announce;    /* a KEEPER_CHILD after the HELLO of the node */
        bool tell_exit;   /* a KEEPER_EXITED */
        ListLink to_tell; /* in Keeper.to_announce or Keeper.to_tell_exit, according to these two flags */

        ShelfPlace on_shelf;
        /* Without shelves, the inode of each descriptor that systemd stores, 0 if it stores none. */
        uint64_t stored[_CHILD_STORED_MAX];
        ListLink to_store; /* in the list of the children whose stored descriptors may have changed */
};

/* Clones this process, as fork() does, without a copy of its parent's threads. Returns 0 in the clone, else
 * its pid and a pidfd, or a negative errno. */
pid_t child_clone(int *ret_pidfd);
/* Like waitid() with P_PIDFD, but returns a negative errno. si_pid is 0 if there is nothing to report. The
 * usage may be NULL. */
int pidfd_waitid(int pidfd, siginfo_t *ret_info, struct rusage *ret_usage, int options);
/* Clones a child, in this cgroup, or if that is NULL in that of the keeper. Takes ownership of the
 * descriptors of the sockets, also on failure, and of notify on success, which may be NULL. Returns a
 * negative errno. */
int child_new(const struct keeper_self *self, uint64_t id, const char *role, uint32_t flags,
        const char *cgroup, struct child_sockets *sockets, Notify *notify, Child **ret);
/* Initializes a child without descriptors, in no list. */
void child_init(Child *child, uint64_t id, const char *role);
Child *child_free(Child *child);

/* Returns whether the child has passed its exec, according to the kernel, or to its exit record. */
bool child_has_execed(const Child *child);

/* Reads the exit record of a child that has ended, without reaping the zombie. Returns 1 if it has ended, 0
 * if it has not, or a negative errno. The record of an orphan contains what the kernel still provides, which
 * may be nothing. */
int child_check_exit(Child *child);

/* Reaps the zombie. Returns a negative errno. */
int child_reap(Child *child);

/* Ends a clone that has not been announced yet: waits for its end, which follows at once, and reaps it. */
void child_kill(Child *child);

/* Stores the descriptors to be lent in the order of the protocol, and their mask. Returns their number. They
 * remain owned by the child. */
#define CHILD_FDS_MAX 5
size_t child_fds(const Child *child, int ret_fds[static CHILD_FDS_MAX], uint32_t *ret_mask);
