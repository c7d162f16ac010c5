/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The protocol of architect-terminal, the process that drains the pseudo-terminal of one role.
 *
 * AF_UNIX SOCK_SEQPACKET, one packet for each message, native byte order, descriptors by SCM_RIGHTS. There
 * are no replies. An architect-terminal lives as long as its role, so it may be older than the node that
 * sends the message. A message never changes. An unknown one is dropped with its descriptors, so its sender
 * receives end-of-file.
 *
 * There are three kinds of sockets.
 *
 * The keeper has both ends of the socket "control": if a terminal dies, its successor receives the messages
 * that it has not read. Node and child send TERMINAL_CLIENT. The keeper shuts it down when the main process
 * of the role has ended. Then the terminal shows the remaining output and exits.
 *
 * The child sends one TERMINAL_OUTPUT to the socket "output". The terminal reads it with MSG_PEEK, so that
 * its successor receives the descriptor, too.
 *
 * The socket "size" exists for each client that has passed one. It receives TERMINAL_RESIZE. */

#include <stdint.h>

#include "base/macro.h"

typedef enum TerminalMessageType {
        /* terminal_client, with the (stream) socket of the client, and its size socket if it has one. */
        TERMINAL_CLIENT = 1,
        TERMINAL_OUTPUT = 2, /* terminal_output, with the descriptor to which the output is copied */
        TERMINAL_RESIZE = 3, /* terminal_resize */
} TerminalMessageType;

#define TERMINAL_CLIENT_REPLAY (UINT32_C(1) << 0) /* sends the latest output first */

struct terminal_client {
        uint32_t type;
        uint32_t flags;
};

struct terminal_output {
        uint32_t type;
        int32_t pid; /* to which the journal attributes the lines */
        uint32_t uid;
        uint32_t gid;
};

struct terminal_resize {
        uint32_t type;
        uint16_t rows;
        uint16_t columns;
};

/* More is a new type, which an older architect-terminal drops. */
ASSERT_FIXED_SIZE(struct terminal_client, 8);
ASSERT_FIXED_SIZE(struct terminal_output, 16);
ASSERT_FIXED_SIZE(struct terminal_resize, 8);

#define TERMINAL_ROWS_DEFAULT 24
#define TERMINAL_COLUMNS_DEFAULT 80

#define TERMINAL_CLIENTS_MAX 64U /* at a time; another one receives an error line and end-of-file */
/* In bytes: the output that is replayed, and how far a client may fall behind its socket buffer. */
#define TERMINAL_RING_SIZE (64U * 1024U)
