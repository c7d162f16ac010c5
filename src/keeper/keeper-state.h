/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a keeper hands on to the next one: over a re-execution, where descriptors keep their numbers, and through systemd's
 * store of descriptors, where they come back by name and those in here mean only whether there was one.
 *
 * A header and sections, each a tag and items of one size, in native byte order. Versioned: what a reader does not know it
 * refuses, so that a keeper is asked first (--check) and the one that runs carries on. A section is never changed, only added
 * with the next version. libc only. */

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macro.h"
#include "proto/keeper-protocol.h"

#define KEEPER_STATE_VERSION 1U

#define KEEPER_STATE_SIZE_MAX (64U * 1024 * 1024)

struct keeper_state_self {
        int32_t pid;
        int32_t listen_fd;
        int32_t node_fd; /* negative: no node */
        int32_t asker_fd; /* who is to hear that the re-execution is done; it may be the node; negative: nobody */
        uint32_t node_version; /* agreed on; 0: no HELLO yet */
        uint32_t reserved;
        uint64_t nofile_current; /* RLIMIT_NOFILE as the first one found it; UINT64_MAX: infinity */
        uint64_t nofile_max;
        uint64_t generation; /* of the state in systemd's store */
};

#define KEEPER_STATE_CHILD_ORPHAN (UINT32_C(1) << 0) /* not our child */
#define KEEPER_STATE_CHILD_EXITED (UINT32_C(1) << 1) /* exit and execed are true */
#define KEEPER_STATE_CHILD_EXECED (UINT32_C(1) << 2)
#define KEEPER_STATE_CHILD_TELL_EXIT (UINT32_C(1) << 3) /* the node has not heard of it */

struct keeper_state_child {
        uint64_t id;
        uint64_t start_time;
        int32_t pid;
        uint32_t flags;
        int32_t pidfd;
        int32_t gate_fd; /* these three: negative: none */
        int32_t stdin_fd;
        int32_t release_fd;
        char role[ROLE_NAME_MAX + 1];
        char pad[7];
        struct keeper_exit_record exit;
};

#define KEEPER_STATE_TERMINAL_OVER (UINT32_C(1) << 0)   /* its child has ended */
#define KEEPER_STATE_TERMINAL_ORPHAN (UINT32_C(1) << 1) /* the process is not our child */

struct keeper_state_terminal {
        uint64_t child; /* 0: that has been reaped; it still shows what its role said last */
        uint64_t spawned_usec;
        int32_t pid; /* 0: none runs */
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
        int32_t fd; /* its hold.h */
        union {
                struct sockaddr_in in;
                struct sockaddr_in6 in6;
        } address;
        uint32_t reserved;
};

/* What systemd keeps for us. */
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
        struct keeper_state_stored *stored;
        size_t n_stored;
} KeeperState;

void keeper_state_clear(KeeperState *state);

/* Into a new sealed memfd; returns it. */
int keeper_state_write(const KeeperState *state);

/* -EBADMSG: malformed; -EPROTONOSUPPORT: of a version or with a section that is not known; ret_why says it in words, for a
 * person, and is never NULL then. */
int keeper_state_parse(const void *data, size_t size, KeeperState *ret, const char **ret_why);
int keeper_state_read(int fd, KeeperState *ret, const char **ret_why);
