/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One child of the keeper: from the clone, through its wait at the gate, to its zombie and the reaping of it. What runs in
 * the child is exec/. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "keeper/exec/exec-parameters.h"
#include "keeper/keeper-self.h"
#include "keeper/keeper-watch.h"
#include "proto/keeper-protocol.h"

#define CHILD_STORED_MAX 7 /* see store.c */

struct Child {
        ListLink link; /* in the list of all */
        uint64_t id;
        char role[ROLE_NAME_MAX + 1];
        pid_t pid; /* ours until it is reaped: nobody else can get it */
        uint64_t start_time;

        int pidfd;
        int gate_fd;  /* the copy that keeps a gate open over a restart of the node; until it hangs up */
        int stdin_fd; /* until KEEPER_CLOSE_STDIN or the end of the child */
        KeeperTerminal *terminal; /* NULL: none */
        struct watch pidfd_watch;
        struct watch gate_watch;
        int release_fd; /* until it has released its ports by its exec, or has given them back */
        struct watch release_watch;
        ListLink sockets;  /* the reserved ports that it has */
        bool gate_hung_up; /* to be closed once the reply that lends it is out */

        bool orphan; /* of a keeper that died: not our child, and nobody's zombie of ours */
        bool exited; /* then it is a zombie, and what follows is true */
        bool execed;
        struct keeper_exit_record exit;

        /* What the node has still to hear of it: flags, not messages, so that nothing grows while it does not listen. */
        bool announce;    /* a KEEPER_CHILD after its HELLO */
        bool tell_exit;   /* a KEEPER_EXITED */
        ListLink to_tell; /* in Keeper.to_announce or Keeper.to_tell_exit, as these two say */

        /* The inode of each descriptor that systemd keeps for us; 0: it has none. */
        uint64_t stored[CHILD_STORED_MAX];
        ListLink to_store; /* in the list of those of which that may not be true any more */
};

/* Takes the descriptors of the sockets, also on failure. */
int child_new(const struct keeper_self *self, uint64_t id, const char *role, uint32_t flags,
        struct child_sockets *sockets, Child **ret);
/* What a child begins with: no descriptors, in no list. */
void child_init(Child *child, uint64_t id, const char *role);
Child *child_free(Child *child);

/* Whether it has passed exec, asked of the kernel. */
bool child_has_execed(const Child *child);

/* Takes the record of a child that has ended and leaves its zombie. 1: it has ended; 0: not yet. Of an orphan: what the kernel
 * still tells, or that nobody knows. */
int child_check_exit(Child *child);

/* Reaps the zombie. */
int child_reap(Child *child);

/* Takes back a clone that nobody has heard of yet: waits for its end, which is at hand, and reaps it. */
void child_kill(Child *child);

/* The descriptors to be lent, in the order of the protocol; not those that came after this version of it. Returns their number. */
#define CHILD_FDS_MAX 5
size_t child_fds(const Child *child, uint32_t version, int ret_fds[static CHILD_FDS_MAX], uint32_t *ret_mask);
