/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a child gets from the keeper that has cloned it, and from nobody else: the keeper fills it in, the child may change it. What
 * the role is to be comes later, through the gate (proto/launch-request.h). */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "proto/keeper-protocol.h"

/* The child's side of a pseudo-terminal; negative: a role without. */
struct terminal_ends {
        int slave;
        int control; /* takes a client that the child sends (xterm) */
        int output;  /* takes the descriptor of the role's output */
};
#define TERMINAL_ENDS_NONE ((struct terminal_ends){ -EBADF, -EBADF, -EBADF })

void terminal_ends_close(struct terminal_ends *ends);

/* The reserved ports of a child: first those that the role gets, then those that are released by its exec. */
struct child_sockets {
        size_t n;
        size_t n_handed;
        struct keeper_port ports[KEEPER_FORK_PORTS_MAX];
        int fds[KEEPER_FORK_PORTS_MAX]; /* copies, for this child alone */
        int release_fd;                 /* to the keeper, for keeper_handover; negative: nothing to release */
};

/* The copies. No other child may have them, not even for a moment: so before the next clone. */
void child_sockets_close(struct child_sockets *sockets);

typedef struct ExecParameters {
        pid_t keeper_pid;
        struct rlimit
                nofile; /* for a role without one of its own: as the keeper found it, which has raised its own */
        char *arguments; /* where ps(1) finds the command line, and its size */
        size_t arguments_size;
        const char *role;
        int gate_fd;
        int stdin_fd; /* negative: /dev/null, or the terminal if there is one */
        struct terminal_ends terminal;
        struct child_sockets *sockets;
} ExecParameters;

static inline bool exec_has_terminal(const ExecParameters *p) {
        return p->terminal.slave >= 0;
}

/* Until the exec a child dies with its keeper. Each change of credentials clears this: then it is called again.
 * -ESRCH: the keeper is gone already. */
int exec_die_with_keeper(const ExecParameters *p);
