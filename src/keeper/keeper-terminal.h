/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The pseudo-terminal of a role, and the architect-terminal that reads it; or the pipe of its output, if that
 * gets times and there is no terminal. The keeper has everything that a terminal needs, so the death of an
 * architect-terminal ends the connections of its clients but does not affect the role. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "keeper/exec/exec-parameters.h"
#include "keeper/keeper-self.h"
#include "keeper/keeper-watch.h"

struct KeeperTerminal {
        Child *child;     /* NULL if it has been reaped */
        ListLink link;    /* in the list of terminals without a child */
        ListLink missing; /* in the list of terminals to be started again */
        ListLink ending;  /* in the list of terminals that are over, but not gone */
        char role[ROLE_NAME_MAX + 1];
        bool is_pipe;    /* master_fd is the read end of a pipe, and is not lent */
        bool timestamps; /* before the lines of the output */
        int master_fd;
        int control_fd; /* lent to the node; open until the child has ended */
        /* The other ends of control_fd and of the output socket, for the next architect-terminal. */
        int peer_fd;
        int output_fd;
        ListLink sockets; /* TerminalSocket.link, until the child has ended */

        pid_t pid; /* 0 if none runs */
        int pidfd;
        bool orphan;           /* the process is the child of a keeper that died */
        uint64_t spawned_usec; /* CLOCK_MONOTONIC */
        bool over;             /* the child has ended, so no other process is started */
        uint64_t looked_usec;  /* the process, since it is over; CLOCK_MONOTONIC */
        struct watch watch;
};

/* Initializes a terminal without descriptors, in no list. */
void keeper_terminal_init(KeeperTerminal *terminal, const char *role);

/* Opens the pseudo-terminal, or the pipe if the flags (KEEPER_FORK_*) are without KEEPER_FORK_TERMINAL; no
 * process reads it yet. Returns a negative errno. */
int keeper_terminal_new(
        const char *role, uint32_t flags, KeeperTerminal **ret, struct terminal_ends *ret_ends);
KeeperTerminal *keeper_terminal_free(KeeperTerminal *terminal);

/* Starts an architect-terminal. Returns after its exec has succeeded, or a negative errno. */
int keeper_terminal_spawn(const struct keeper_self *self, KeeperTerminal *terminal);

/* Kills an architect-terminal that was just started and is not watched yet. */
void keeper_terminal_kill(KeeperTerminal *terminal);

/* The main process of the role has ended. The architect-terminal shows the remaining output and exits. */
void keeper_terminal_end(KeeperTerminal *terminal);

/* The process is over, and belongs to the user of the role, who may stop it again and again, so that it would
 * never be gone. Kills it if it is stopped. Returns the milliseconds until it should be looked at again, 0 if
 * that was done now. */
int keeper_terminal_look(KeeperTerminal *terminal, uint64_t monotonic_usec);

/* Reaps an architect-terminal that has ended. Returns false if it is still running. Its pidfd stays open, to
 * be removed from an epoll. */
bool keeper_terminal_check_exit(KeeperTerminal *terminal);

/* Returns the milliseconds until another one may be started, 0 for now. A program that exits at once is
 * started once a second. */
int keeper_terminal_wait_msec(const KeeperTerminal *terminal, uint64_t monotonic_usec);
