/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A role's pseudo-terminal, and the architect-terminal that drains it. Everything a terminal needs is kept here, so that the death
 * of an architect-terminal costs its clients their connection and the role nothing. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "keeper/child.h"

/* What the child of a role with a terminal gets; negative: a role without. */
struct terminal_ends {
        int slave;
        int control; /* it brings in a client of its own (xterm) */
        int output;  /* it says where its output goes */
};
#define TERMINAL_ENDS_NONE ((struct terminal_ends){ -EBADF, -EBADF, -EBADF })

struct Terminal {
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
void terminal_init(Terminal *terminal, const char *role);

/* Makes the pseudo-terminal; nobody drains it yet. */
int terminal_new(const char *role, Terminal **ret, struct terminal_ends *ret_ends);
void terminal_ends_close(struct terminal_ends *ends);
Terminal *terminal_free(Terminal *terminal);

/* Starts an architect-terminal. The exec has succeeded when this does. */
int terminal_spawn(const struct keeper_self *self, Terminal *terminal);

/* Takes back one that was just started and that nobody watches. */
void terminal_kill(Terminal *terminal);

/* Its role's main process has ended: it shows what is left, and leaves. */
void terminal_end(Terminal *terminal);

/* Reaps an architect-terminal that has ended; false: it has not. Its pidfd stays, to be taken out of an epoll. */
bool terminal_check_exit(Terminal *terminal);

/* Milliseconds from then on until another may be started, 0: now. One that dies at once dies once a second. */
int terminal_wait_msec(const Terminal *terminal, uint64_t monotonic_usec);

static inline Terminal *terminal_of_missing(ListLink *missing) {
        return (Terminal *) (void *) ((char *) missing - offsetof(Terminal, missing));
}
