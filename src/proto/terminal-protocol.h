/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What is said to architect-terminal, the process that drains one role's pseudo-terminal.
 *
 * AF_UNIX SOCK_SEQPACKET, one packet a message, native byte order, descriptors by SCM_RIGHTS; nothing is answered. An
 * architect-terminal lives as long as its role, and so may be older than the node that speaks to it: a message never changes, and
 * one that is not known is dropped with its descriptors, so that who sent them reads end-of-file.
 *
 * Three kinds of sockets:
 *
 *   control  The keeper has both ends: a terminal that has died finds in its successor's what it had not read yet. Node and
 *            child write TERMINAL_CLIENT. The keeper shuts it when the role's main process has ended; then the terminal shows
 *            what is left and leaves.
 *   output   The child writes one TERMINAL_OUTPUT. The terminal looks at it without taking it (MSG_PEEK): so the descriptor in
 *            it is there for the next one too.
 *   size     One a client that has it: TERMINAL_RESIZE. */

#include <stdint.h>

typedef enum TerminalMessageType {
        TERMINAL_CLIENT =
                1, /* terminal_client + the client's socket (stream), and its size socket if it has one */
        TERMINAL_OUTPUT = 2, /* terminal_output + where the output goes besides */
        TERMINAL_RESIZE = 3, /* terminal_resize */
} TerminalMessageType;

#define TERMINAL_CLIENT_REPLAY (UINT32_C(1) << 0) /* what was shown last comes first */

struct terminal_client {
        uint32_t type;
        uint32_t flags;
};

struct terminal_output {
        uint32_t type;
        int32_t pid; /* whom the journal is to take the lines for */
        uint32_t uid;
        uint32_t gid;
};

struct terminal_resize {
        uint32_t type;
        uint16_t rows;
        uint16_t columns;
};

#define TERMINAL_ROWS_DEFAULT 24
#define TERMINAL_COLUMNS_DEFAULT 80

#define TERMINAL_CLIENTS_MAX 64U /* at a time; one more reads a line that says so, and end-of-file */
#define TERMINAL_RING_SIZE \
        (64U * 1024U) /* what is replayed, and how far a client may lag behind what its socket holds */
