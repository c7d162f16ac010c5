/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a child gets from the keeper that has cloned it. The keeper sets these values, and the child may
 * change them. The description of the role arrives later, through the gate (proto/launch-request.h). */

#include <errno.h>
#include <stdbool.h>
#include <signal.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "proto/keeper-protocol.h"

/* The descriptors of a pseudo-terminal in the child, or of the pipe by which its output goes to
 * architect-terminal; negative for a role without one. */
struct terminal_ends {
        int slave;   /* or the write end of the pipe */
        int control; /* receives a client that the child sends (xterm) */
        int output;  /* receives the descriptor of the role's output */
        bool is_pipe;
};
#define TERMINAL_ENDS_NONE ((struct terminal_ends){ -EBADF, -EBADF, -EBADF, false })

void terminal_ends_close(struct terminal_ends *ends);

/* The reserved ports of a child: first the sockets that are passed to the role, then the guards of those that
 * are released by its exec. */
struct child_sockets {
        size_t n;
        size_t n_handed;
        struct keeper_port ports[KEEPER_FORK_PORTS_MAX];
        int fds[KEEPER_FORK_PORTS_MAX]; /* copies, for this child only */
        /* Connected to the keeper, for keeper_handover; negative if no port is to be released. */
        int release_fd;
};

/* Closes the copies. No other child may inherit them, so this is called before the next clone. */
void child_sockets_close(struct child_sockets *sockets);

typedef struct ExecParameters {
        pid_t keeper_pid;
        /* RLIMIT_NOFILE of a role without a limit of its own. It is the value from before the keeper has
         * raised its own. */
        struct rlimit nofile;
        char *arguments; /* the command line that ps(1) shows, and its size */
        size_t arguments_size;
        const sigset_t *ignored; /* the signals that the keeper ignores, some by inheritance */
        const char *role;
        int gate_fd;
        /* Negative for /dev/null, or for the terminal if there is one. */
        int stdin_fd;
        /* The stream to the journal that has come with the launch request; negative without one. */
        int stream_fd;
        struct terminal_ends terminal;
        struct child_sockets *sockets;
        const char *notify_path; /* for $NOTIFY_SOCKET; NULL without one */
} ExecParameters;

static inline bool exec_has_terminal(const ExecParameters *p) {
        return p->terminal.slave >= 0 && !p->terminal.is_pipe;
}

static inline bool exec_has_output_pipe(const ExecParameters *p) {
        return p->terminal.slave >= 0 && p->terminal.is_pipe;
}

/* Makes the process die with its parent. Each change of credentials clears this, so it is called again after
 * it; the child of a role clears it before its exec. Returns -ESRCH if the parent has died already. */
int exec_die_with(pid_t parent);
