/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A role's pseudo-terminal, and the architect-terminal that drains it. Everything a terminal needs is kept here, so that the death
 * of an architect-terminal costs its clients their connection and the role nothing. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "keeper/exec/exec-parameters.h"
#include "keeper/keeper-self.h"
#include "keeper/keeper-watch.h"

struct KeeperTerminal {
        Child *child;     /* NULL: it has been reaped */
        ListLink link;    /* of those without a child */
        ListLink missing; /* of those to be started again */
        char role[ROLE_NAME_MAX + 1];
        int master_fd;
        int control_fd; /* lent; until the child has ended */
        int peer_fd;    /* the other ends of it and of the output socket: for the next architect-terminal */
        int output_fd;

        pid_t pid; /* 0: none runs */
        int pidfd;
        bool orphan;           /* that process is the child of a keeper that died */
        uint64_t spawned_usec; /* CLOCK_MONOTONIC */
        bool over;             /* the child has ended: no other is started */
        struct watch watch;
};

/* What a terminal begins with: no descriptors, in no list. */
void keeper_terminal_init(KeeperTerminal *terminal, const char *role);

/* Makes the pseudo-terminal; nobody drains it yet. */
int keeper_terminal_new(const char *role, KeeperTerminal **ret, struct terminal_ends *ret_ends);
KeeperTerminal *keeper_terminal_free(KeeperTerminal *terminal);

/* Starts an architect-terminal. The exec has succeeded when this does. */
int keeper_terminal_spawn(const struct keeper_self *self, KeeperTerminal *terminal);

/* Takes back one that was just started and that nobody watches. */
void keeper_terminal_kill(KeeperTerminal *terminal);

/* Its role's main process has ended: it shows what is left, and leaves. */
void keeper_terminal_end(KeeperTerminal *terminal);

/* Reaps an architect-terminal that has ended; false: it has not. Its pidfd stays, to be taken out of an epoll. */
bool keeper_terminal_check_exit(KeeperTerminal *terminal);

/* Milliseconds from then on until another may be started, 0: now. One that dies at once dies once a second. */
int keeper_terminal_wait_msec(const KeeperTerminal *terminal, uint64_t monotonic_usec);

static inline KeeperTerminal *keeper_terminal_of_missing(ListLink *missing) {
        return (KeeperTerminal *) (void *) ((char *) missing - offsetof(KeeperTerminal, missing));
}
