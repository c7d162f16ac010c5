/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a keeper passes to the next one. Over a re-execution descriptors keep their numbers. Through the
 * descriptor store of systemd they come back by name, and the numbers in the state only mean whether there
 * was one.
 *
 * The state consists of a header and sections. Each section is a tag and items of one size, in native byte
 * order. The state has a version. A reader refuses what it does not know, so the new keeper is run with
 * --check first, and if it refuses, the running one continues. A section never changes; a new version only
 * adds sections. The file uses libc only. */

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/keeper-protocol.h"

/* Version 2 adds the sockets of terminals, and a node with version 3 of the protocol, whose requests an older
 * program would not know. A state without both is written as version 1, which an older program reads. Version
 * 3 adds the sockets of notifications, and is written for a node with version 5 of the protocol, or with such
 * a socket. Version 4 adds flags of terminals, and is written for a node with version 6. */
#define KEEPER_STATE_VERSION 4U

#define KEEPER_STATE_SIZE_MAX (64U * 1024 * 1024)

struct keeper_state_self {
        int32_t pid;
        int32_t listen_fd;
        int32_t node_fd; /* negative if no node is connected */
        /* The connection that receives the reply to the re-execution. It may be the node; negative if there
         * is none. */
        int32_t asker_fd;
        uint32_t node_version; /* agreed on; 0 before the HELLO */
        uint32_t reserved;
        /* The inherited RLIMIT_NOFILE of the first keeper; UINT64_MAX for infinity. */
        uint64_t nofile_current;
        uint64_t nofile_max;
        uint64_t generation; /* of the state in the store of systemd */
};

#define KEEPER_STATE_CHILD_ORPHAN (UINT32_C(1) << 0) /* not a child of this process */
#define KEEPER_STATE_CHILD_EXITED (UINT32_C(1) << 1) /* exit and execed are valid */
#define KEEPER_STATE_CHILD_EXECED (UINT32_C(1) << 2)
#define KEEPER_STATE_CHILD_TELL_EXIT (UINT32_C(1) << 3) /* the node has not received it */

struct keeper_state_child {
        uint64_t id;
        uint64_t start_time;
        int32_t pid;
        uint32_t flags;
        int32_t pidfd;
        int32_t gate_fd; /* the three descriptors are negative if absent */
        int32_t stdin_fd;
        int32_t release_fd;
        char role[ROLE_NAME_MAX + 1];
        char pad[7];
        struct keeper_exit_record exit;
};

#define KEEPER_STATE_TERMINAL_OVER (UINT32_C(1) << 0)   /* its child has ended */
#define KEEPER_STATE_TERMINAL_ORPHAN (UINT32_C(1) << 1) /* the process is not a child of this keeper */
/* Since version 4. */
#define KEEPER_STATE_TERMINAL_PIPE (UINT32_C(1) << 2)       /* master_fd is the read end of a pipe */
#define KEEPER_STATE_TERMINAL_TIMESTAMPS (UINT32_C(1) << 3) /* before the lines of the output */

struct keeper_state_terminal {
        uint64_t child; /* 0 if the child has been reaped; the terminal still shows its last output */
        uint64_t spawned_usec;
        int32_t pid; /* 0 if none runs */
        int32_t pidfd;
        int32_t master_fd;
        int32_t control_fd;
        int32_t peer_fd;
        int32_t output_fd;
        uint32_t flags;
        uint32_t reserved;
        char role[ROLE_NAME_MAX + 1];
        char pad[7];
};

struct keeper_state_port {
        uint64_t child;
        struct keeper_port port;
        int32_t fd; /* a hold, see hold.h */
        union {
                struct sockaddr_in in;
                struct sockaddr_in6 in6;
        } address;
        uint32_t reserved;
};

/* Since version 2, of a terminal whose child has not ended. */
struct keeper_state_terminal_socket {
        uint64_t child;
        int32_t fd;
        uint32_t uid;
        uint32_t flags; /* TERMINAL_CLIENT_* */
        uint32_t reserved;
};

#define KEEPER_STATE_NOTIFY_ALL (UINT32_C(1) << 0) /* from all processes of the scope */

/* Since version 3, of a child. */
struct keeper_state_notify {
        uint64_t child;
        int32_t fd;
        int32_t hold_fd; /* what has come, see notify.h */
        uint32_t flags;
        uint32_t reserved;
};

/* The descriptors that systemd stores. */
struct keeper_state_stored {
        uint64_t id;
        uint64_t inode;
        uint32_t kind; /* StoreKind */
        uint32_t reserved;
};

typedef struct KeeperState {
        struct keeper_state_self self;
        struct keeper_state_child *children;
        size_t n_children;
        struct keeper_state_port *ports;
        size_t n_ports;
        struct keeper_state_terminal *terminals;
        size_t n_terminals;
        struct keeper_state_terminal_socket *terminal_sockets;
        size_t n_terminal_sockets;
        struct keeper_state_notify *notify;
        size_t n_notify;
        struct keeper_state_stored *stored;
        size_t n_stored;
} KeeperState;

void keeper_state_clear(KeeperState *state);

/* Writes the state into a new sealed memfd. Returns the memfd or a negative errno. */
int keeper_state_write(const KeeperState *state);

/* Returns -EBADMSG if the data is malformed, -EPROTONOSUPPORT if it is of a version or contains a section
 * that is not known. ret_why then describes the error for a message, and is never NULL. */
int keeper_state_parse(const void *data, size_t size, KeeperState *ret, const char **ret_why);
int keeper_state_read(int fd, KeeperState *ret, const char **ret_why);
