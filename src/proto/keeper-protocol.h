/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What architect-node and architect-keeper say to each other.
 *
 * AF_UNIX SOCK_SEQPACKET, one packet a message, native byte order (both ends are on one machine), descriptors by
 * SCM_RIGHTS. Every message begins with a keeper_header; its size is the packet's. The node asks, the keeper answers each request in
 * order, and sends KEEPER_EXITED unasked. One node at a time: a second KEEPER_HELLO is refused with -EBUSY while the first
 * lives. Who connects only to ask for KEEPER_REEXEC may do so at any time.
 *
 * The node speaks this version and the one before. KEEPER_HELLO and KEEPER_REEXEC never change: by them an upgrade
 * finds its way whatever else does. An unknown request is answered with KEEPER_DONE and -EOPNOTSUPP; a malformed one ends
 * the connection.
 *
 * A child is known by a number that the node chooses (never 0, never twice in the life of a keeper's children). */

#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include "base/unit-name.h"
#include "proto/keeper-limits.h"

/* 1: KEEPER_FORK to KEEPER_KILL_CGROUP.
 * 2: reserved ports, terminals, re-execution. A keeper that has agreed on 1 sends nothing of it, and a node that has agreed
 *    on 1 does without. */
#define KEEPER_PROTOCOL_VERSION 2U
#define KEEPER_PROTOCOL_VERSION_MIN 1U

#define KEEPER_PACKET_MAX 8192U /* no message is longer */

typedef enum KeeperMessageType {
        /* Node to keeper. */
        KEEPER_HELLO = 1, /* keeper_hello → KEEPER_WELCOME, then one KEEPER_CHILD a child */
        KEEPER_REEXEC =
                2, /* re-execute in place → KEEPER_DONE, by the new program, or by the old if it goes on */
        KEEPER_FORK = 16,        /* keeper_fork → KEEPER_FORKED */
        KEEPER_SIGNAL = 17,      /* keeper_signal: to the main process, by pidfd → KEEPER_DONE */
        KEEPER_CLOSE_STDIN = 18, /* forget the write end of its stdin → KEEPER_DONE */
        KEEPER_REAP = 19,        /* the exit record is saved: reap and forget the child → KEEPER_DONE */
        KEEPER_KILL_CGROUP = 20, /* keeper_kill_cgroup: write cgroup.kill → KEEPER_DONE */

        /* Version 2. */
        KEEPER_BIND = 24,          /* keeper_bind: reserve ports, all or none → KEEPER_BOUND */
        KEEPER_RELEASE_PORTS = 25, /* keeper_ports: close those it has of them → KEEPER_DONE */
        KEEPER_REST_PORTS = 26,    /* keeper_ports: nobody listens on them any more → KEEPER_DONE */

        /* Keeper to node. */
        KEEPER_WELCOME = 64, /* keeper_welcome */
        KEEPER_CHILD = 65,   /* keeper_child + descriptors, after KEEPER_WELCOME */
        KEEPER_FORKED = 66,  /* keeper_forked + descriptors */
        KEEPER_EXITED =
                67, /* keeper_exited, unasked; again after each HELLO (in keeper_child) until KEEPER_REAP */
        KEEPER_DONE = 68, /* keeper_done */

        /* Version 2. */
        KEEPER_BOUND = 72, /* keeper_bound */
        KEEPER_PORTS = 73, /* keeper_ports, after KEEPER_WELCOME: as many as that says, perhaps in several */
} KeeperMessageType;

struct keeper_header {
        uint32_t type;     /* KeeperMessageType */
        uint32_t reserved; /* 0 */
        uint64_t child;    /* 0 where no child is meant */
};

struct keeper_hello {
        struct keeper_header header;
        uint32_t version_min; /* what the node can speak */
        uint32_t version_max;
};

struct keeper_welcome {
        struct keeper_header header;
        uint32_t
                version; /* the one to be spoken; 0 with error set: none in common (-EPROTONOSUPPORT), or -EBUSY */
        int32_t error;
        uint32_t n_children; /* so many KEEPER_CHILD follow */
        uint32_t n_ports;    /* version 2: before them so many ports, in KEEPER_PORTS; else 0 */
};

/* Version 2: the process was the child of a keeper that has died; nobody is its parent who would tell. */
#define KEEPER_EXIT_NO_USAGE (UINT32_C(1) << 0) /* CPU time and memory are not known */
#define KEEPER_EXIT_UNKNOWN (UINT32_C(1) << 1)  /* nor is the wait status */

/* What waitid(2) and the kernel's struct rusage say of an ended child, taken with WNOWAIT: the zombie stays until
 * KEEPER_REAP. */
struct keeper_exit_record {
        int32_t wait_status;    /* as wait(2) gives it */
        uint32_t flags;         /* KEEPER_EXIT_*; version 1: 0 */
        uint64_t realtime_usec; /* when the keeper saw it */
        uint64_t monotonic_usec;
        uint64_t cpu_user_usec;
        uint64_t cpu_system_usec;
        uint64_t maxrss_bytes;
};

#define KEEPER_FORK_STDIN_PIPE (UINT32_C(1) << 0) /* make a pipe for its stdin, keep and lend the write end */
/* Since 2, and not together with a pipe: a pseudo-terminal and an architect-terminal that drains it, until the child has ended
 * and nobody holds the terminal any more. */
#define KEEPER_FORK_TERMINAL (UINT32_C(1) << 1)

struct keeper_fork {
        struct keeper_header header;
        uint32_t flags;               /* KEEPER_FORK_* */
        char role[ROLE_NAME_MAX + 1]; /* for KEEPER_CHILD, the process title and messages */
        char pad[3];
        /* Version 2: any number of keeper_port follow, up to KEEPER_FORK_PORTS_MAX, those to be handed over first. */
};

#define KEEPER_PORTS_PACKET 1024U /* ports in one keeper_ports */

typedef enum KeeperPortProtocol {
        KEEPER_TCP,
        KEEPER_UDP,
} KeeperPortProtocol;

struct keeper_port {
        uint16_t number;  /* 0: none, to be skipped */
        uint8_t protocol; /* KeeperPortProtocol */
        uint8_t release;  /* with KEEPER_FORK: 1: no longer reserved from the exec on; 0: handed over, open */
};

struct keeper_bind {
        struct keeper_header header;
        uint16_t n;
        uint8_t protocol;    /* KeeperPortProtocol */
        uint8_t ip_version;  /* 4, 6, or 0: every address of both, or of IPv4 where there is no IPv6 */
        uint8_t address[16]; /* in network order, as many of them as the version has */
        uint32_t reserved;
};

struct keeper_bound {
        struct keeper_header header;
        int32_t error; /* 0, or negative errno: none was reserved */
        uint32_t n;
        uint16_t numbers[KEEPER_BIND_MAX]; /* only n of them are sent */
};

struct keeper_ports {
        struct keeper_header header;
        struct keeper_port ports[KEEPER_PORTS_PACKET]; /* as many as the packet has room for */
};

static inline size_t keeper_bound_size(size_t n) {
        return offsetof(struct keeper_bound, numbers) + n * sizeof(uint16_t);
}

static inline size_t keeper_ports_size(size_t n) {
        return offsetof(struct keeper_ports, ports) + n * sizeof(struct keeper_port);
}

/* Between a child that has ports to be released at its exec and the keeper, on a socket of their own (SOCK_SEQPACKET). The
 * child holds them too, and closes them by its exec; so it says when it is about to, and gives them back when that fails. */
struct keeper_handover {
        struct keeper_port
                port; /* number 0: the keeper closes its own, and answers the same; else: taken back, with its
                                  * descriptor */
};

struct keeper_forked {
        struct keeper_header header;
        int32_t error; /* 0, or negative errno: nothing was made (-EEXIST: the number is taken) */
        int32_t pid;
        uint64_t start_time; /* field 22 of /proc/PID/stat */
        uint32_t fds;        /* KEEPER_FD_* in this order */
        uint32_t reserved;
};

/* Which descriptors come with a message, always in this order. */
#define KEEPER_FD_PIDFD (UINT32_C(1) << 0)
#define KEEPER_FD_GATE \
        (UINT32_C(1) << 1) /* SOCK_SEQPACKET: the launch request goes in, gate_report comes out */
#define KEEPER_FD_STDIN (UINT32_C(1) << 2) /* write end, O_NONBLOCK */
/* Since 2; to a node that speaks 1 they are not lent. */
#define KEEPER_FD_TERMINAL \
        (UINT32_C(1) \
                << 3) /* requests to architect-terminal: terminal-protocol.h; O_NONBLOCK; until the child has ended */
#define KEEPER_FD_MASTER (UINT32_C(1) << 4) /* the terminal's master, O_NONBLOCK */

/* Version 2: the child of a keeper that has died. It may be reaped (that is, forgotten) at any time. To a node that speaks 1
 * they are not told. */
#define KEEPER_CHILD_ORPHAN (UINT32_C(1) << 0)

struct keeper_child {
        struct keeper_header header;
        char role[ROLE_NAME_MAX + 1];
        char pad[3];
        int32_t pid;
        uint64_t start_time;
        uint32_t fds;    /* KEEPER_FD_*: the gate only while it is open */
        uint32_t execed; /* 1: it has passed exec (asked of the kernel just now) */
        uint32_t exited; /* 1: exit below is true */
        uint32_t flags;  /* KEEPER_CHILD_*; version 1: 0 */
        struct keeper_exit_record exit;
};

struct keeper_exited {
        struct keeper_header header;
        uint32_t execed; /* 1: it had passed exec; 0: it died in its set-up */
        uint32_t reserved;
        struct keeper_exit_record exit;
};

struct keeper_signal {
        struct keeper_header header;
        int32_t signo;
        uint32_t reserved;
};

struct keeper_kill_cgroup {
        struct keeper_header header;
        char path[4096]; /* below the hierarchy's root, NUL-terminated; only up to the NUL need be sent */
};

struct keeper_done {
        struct keeper_header header;
        uint32_t request; /* the KeeperMessageType that is done */
        int32_t error;    /* 0 or negative errno; -ENOENT: no such child */
};
