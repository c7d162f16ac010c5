/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The protocol between architect-node and architect-keeper.
 *
 * AF_UNIX SOCK_SEQPACKET, one packet for each message, native byte order (both ends are on one machine),
 * descriptors by SCM_RIGHTS. Each message begins with a keeper_header; its size is that of the packet. The
 * node sends requests. The keeper replies to each of them, in order, and sends KEEPER_EXITED without a
 * request. It accepts one node at a time: a second KEEPER_HELLO is refused with -EBUSY while the first
 * connection exists. A process that only requests KEEPER_REEXEC may connect at any time.
 *
 * The node supports this version and the previous one. KEEPER_HELLO and KEEPER_REEXEC never change, so an
 * upgrade is always possible. The reply to an unknown request is KEEPER_DONE with -EOPNOTSUPP; a malformed
 * one ends the connection.
 *
 * A number identifies a child. The node chooses it. It is never 0 and never used for a second child of the
 * same keeper. */

#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include "base/macro.h"
#include "base/unit-name.h"
#include "proto/keeper-limits.h"
#include "proto/notify-message.h"

/* Version 2 has KEEPER_FORK to KEEPER_REST_PORTS. Version 3 adds signals to all processes of a cgroup and to
 * any process of a role, sockets of terminals, ports that were kept, and users that are looked up, which
 * neither side uses on a connection with version 2. Version 4 says that the children of the keeper know
 * streams that several roles share (launch-request.h). Version 5 adds sockets for sd_notify(3), and the
 * commands beside that of a role. Version 6 adds times before the lines of the output. */
#define KEEPER_PROTOCOL_VERSION 6U
#define KEEPER_PROTOCOL_VERSION_MIN 2U

#define KEEPER_PACKET_MAX 8192U /* no message is longer */

typedef enum KeeperMessageType {
        /* Node to keeper. */
        KEEPER_HELLO = 1, /* keeper_hello → KEEPER_WELCOME, then one KEEPER_CHILD for each child */
        /* Re-executes in place → KEEPER_DONE, from the new program, or from the old one if it continues. */
        KEEPER_REEXEC = 2,
        KEEPER_FORK = 16,        /* keeper_fork → KEEPER_FORKED */
        KEEPER_SIGNAL = 17,      /* keeper_signal, sent to the main process by its pidfd → KEEPER_DONE */
        KEEPER_CLOSE_STDIN = 18, /* closes the write end of its stdin → KEEPER_DONE */
        KEEPER_REAP = 19,        /* the exit record is saved, so reap and forget the child → KEEPER_DONE */
        /* keeper_kill_cgroup, writes cgroup.kill → KEEPER_DONE. Version 3 has KEEPER_SIGNAL_CGROUP instead.
         */
        KEEPER_KILL_CGROUP = 20,
        KEEPER_BIND = 24,          /* keeper_bind, reserves all ports or none → KEEPER_BOUND */
        KEEPER_RELEASE_PORTS = 25, /* keeper_ports, closes those of them that it has → KEEPER_DONE */
        /* keeper_ports, no process of their roles is left → KEEPER_DONE; since version 3 KEEPER_PORTS_KEPT if
         * one has kept a socket */
        KEEPER_REST_PORTS = 26,
        /* keeper_bind_ports, reserves ports by their numbers, all or none → KEEPER_BOUND. A keeper that does
         * not know it has the version of one that does, and replies as to each unknown request. */
        KEEPER_BIND_PORTS = 27,

        /* Version 3. */
        KEEPER_SIGNAL_CGROUP = 32,  /* keeper_signal_cgroup, to all of its processes → KEEPER_DONE */
        KEEPER_SIGNAL_PROCESS = 33, /* keeper_signal_process, to one process by a pidfd → KEEPER_DONE */
        /* keeper_terminal_socket, makes it if the user has none for this terminal →
         * KEEPER_TERMINAL_SOCKET_MADE */
        KEEPER_MAKE_TERMINAL_SOCKET = 34,
        /* Closes all reserved ports, also those of a KEEPER_BIND whose reply the node has not read →
         * KEEPER_DONE */
        KEEPER_RELEASE_ALL_PORTS = 35,
        /* keeper_lookup, begins to look up a user → KEEPER_DONE, and unless that has an error, later
         * KEEPER_LOOKED_UP. A process of its own does that, so nothing else waits for it. */
        KEEPER_LOOKUP = 36,

        /* Version 5. */
        /* keeper_take_notified: what the role has sent up to this number is saved, and need not be sent
         * again. With number 0 the keeper reads the socket of the role, so what was sent before this request
         * came is in KEEPER_NOTIFIED before the reply. → KEEPER_DONE, with -EAGAIN if the socket cannot be
         * read to the end at this moment, which lasts for a second at most. */
        KEEPER_TAKE_NOTIFIED = 40,
        /* keeper_fork_into, a child in the cgroup of a role, beside its main process → KEEPER_FORKED */
        KEEPER_FORK_INTO = 41,

        /* Keeper to node. */
        KEEPER_WELCOME = 64, /* keeper_welcome */
        KEEPER_CHILD = 65,   /* keeper_child with descriptors, after KEEPER_WELCOME */
        KEEPER_FORKED = 66,  /* keeper_forked with descriptors */
        /* keeper_exited, without a request; sent again after each HELLO (in keeper_child) until KEEPER_REAP.
         */
        KEEPER_EXITED = 67,
        KEEPER_DONE = 68,  /* keeper_done */
        KEEPER_BOUND = 72, /* keeper_bound */
        /* keeper_ports, after KEEPER_WELCOME: as many ports as that contains, possibly in several
         * messages. */
        KEEPER_PORTS = 73,

        /* Version 3. */
        KEEPER_TERMINAL_SOCKET_MADE = 80, /* keeper_terminal_socket_made */
        /* keeper_ports, instead of KEEPER_DONE: these are no longer reserved, because a process that is not
         * the role's has kept a socket */
        KEEPER_PORTS_KEPT = 81,
        /* keeper_looked_up, the result of a KEEPER_LOOKUP, in any order, at most KEEPER_LOOKUP_TIMEOUT_USEC
         * after its KEEPER_DONE */
        KEEPER_LOOKED_UP = 82,

        /* Version 5. */
        /* keeper_notified, what a role has sent, in its order; without a request, and after each HELLO again
         * until KEEPER_TAKE_NOTIFIED, but the last NOTIFY_WATCHDOG always. Before the KEEPER_EXITED of the
         * child; one that has ended is listed as running if it has sent something before. */
        KEEPER_NOTIFIED = 88,
} KeeperMessageType;

struct keeper_header {
        uint32_t type;     /* KeeperMessageType */
        uint32_t reserved; /* 0 */
        uint64_t child;    /* 0 if the message has no child */
};

struct keeper_hello {
        struct keeper_header header;
        uint32_t version_min; /* the versions that the node supports */
        uint32_t version_max;
};

struct keeper_welcome {
        struct keeper_header header;
        /* The version of the connection; 0 if error is set, because there is no common version
         * (-EPROTONOSUPPORT) or another node is connected (-EBUSY). */
        uint32_t version;
        int32_t error;
        uint32_t n_children; /* the number of KEEPER_CHILD that follow */
        uint32_t n_ports;    /* the number of ports in KEEPER_PORTS before them */
};

/* The process was the child of a keeper that has died, so it has no parent that reports its
 * exit. */
#define KEEPER_EXIT_NO_USAGE (UINT32_C(1) << 0) /* CPU time and memory are not known */
#define KEEPER_EXIT_UNKNOWN (UINT32_C(1) << 1)  /* the wait status is not known either */

/* The exit of a child according to waitid(2) and the kernel's struct rusage. It is read with WNOWAIT, so the
 * zombie stays until KEEPER_REAP. */
struct keeper_exit_record {
        int32_t wait_status;    /* as returned by wait(2) */
        uint32_t flags;         /* KEEPER_EXIT_* */
        uint64_t realtime_usec; /* when the keeper noticed the exit */
        uint64_t monotonic_usec;
        uint64_t cpu_user_usec;
        uint64_t cpu_system_usec;
        uint64_t maxrss_bytes;
};

/* Creates a pipe for its stdin. The keeper keeps the write end and lends it. */
#define KEEPER_FORK_STDIN_PIPE (UINT32_C(1) << 0)
/* Not together with a pipe: creates a pseudo-terminal and an architect-terminal that drains it. They exist
 * until the child has ended and no process has the terminal open. */
#define KEEPER_FORK_TERMINAL (UINT32_C(1) << 1)

/* Version 5: makes a socket for messages of sd_notify(3), whose path the child finds in $NOTIFY_SOCKET, and
 * accepts those of its process. */
#define KEEPER_FORK_NOTIFY (UINT32_C(1) << 2)
/* Only with KEEPER_FORK_NOTIFY: accepts those of all processes of its scope. */
#define KEEPER_FORK_NOTIFY_ALL (UINT32_C(1) << 3)

/* Version 6: an architect-terminal writes the output, each line with the time at which it has begun. Without
 * KEEPER_FORK_TERMINAL the output comes to it through a pipe, which nobody but it reads or is told of; it
 * exists until the child has ended and no process has the pipe open. */
#define KEEPER_FORK_TIMESTAMPS (UINT32_C(1) << 4)

struct keeper_fork {
        struct keeper_header header;
        uint32_t flags;               /* KEEPER_FORK_* */
        char role[ROLE_NAME_MAX + 1]; /* for KEEPER_CHILD, the process title and messages */
        char pad[3];
        /* Up to KEEPER_FORK_PORTS_MAX keeper_port follow, first those that are passed to the
         * child. */
};

/* KEEPER_FORK_INTO. The path is that of a scope of a role, as in KEEPER_SIGNAL_CGROUP. The child is in there,
 * also in the hierarchies of v1, before it reads from its gate; or in the cgroup .control below it, if it has
 * others below, so that v2 permits no process in it. Further errors are -EPERM if the cgroup is no role's,
 * -ENOENT or -ENODEV if it does not exist any more. */
struct keeper_fork_into {
        struct keeper_fork fork; /* without ports, and without flags but KEEPER_FORK_TIMESTAMPS */
        char path[4096];         /* as in keeper_kill_cgroup */
};

#define KEEPER_PORTS_PACKET 1024U /* ports in one keeper_ports */

typedef enum KeeperPortProtocol {
        KEEPER_TCP,
        KEEPER_UDP,
} KeeperPortProtocol;

struct keeper_port {
        uint16_t number;  /* 0 for none, which is skipped */
        uint8_t protocol; /* KeeperPortProtocol */
        uint8_t release;  /* with KEEPER_FORK: 1 releases the port at the exec, 0 passes a socket of it */
};

struct keeper_bind {
        struct keeper_header header;
        uint16_t n;
        uint8_t protocol;    /* KeeperPortProtocol */
        uint8_t ip_version;  /* 4, 6, or 0 for every address of both, or of IPv4 if there is no IPv6 */
        uint8_t address[16]; /* in network order, as many bytes as the version has */
        uint32_t reserved;
};

/* The first members are those of keeper_bind. */
struct keeper_bind_ports {
        struct keeper_header header;
        uint16_t n;
        uint8_t protocol;
        uint8_t ip_version;
        uint8_t address[16];
        uint16_t first; /* n of the ports from the first to the last one; both 0: these numbers */
        uint16_t last;
        uint16_t numbers[KEEPER_BIND_MAX]; /* n of them, the others are 0 */
};

struct keeper_bound {
        struct keeper_header header;
        int32_t error; /* 0, or a negative errno if no port was reserved */
        uint32_t n;    /* with an error 0, or 1 if it is about one number, which follows */
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

/* Between the keeper and a child with ports that are released at its exec, on a separate socket
 * (SOCK_SEQPACKET). The child has the sockets of the ports, too, and closes them by its exec. It announces
 * the exec, and gives the ports back if the exec fails. */
struct keeper_handover {
        /* With number 0 the child announces its exec: the keeper closes its sockets and replies the same.
         * Otherwise the child gives the port back, with its descriptor. */
        struct keeper_port port;
};

struct keeper_forked {
        struct keeper_header header;
        /* 0, or a negative errno if nothing was created: -EEXIST if the number is in use, -EADDRNOTAVAIL if a
         * port is not reserved, -EBUSY if another child has it, -EADDRINUSE if a process has kept its
         * socket. */
        int32_t error;
        int32_t pid;
        uint64_t start_time; /* field 22 of /proc/PID/stat */
        uint32_t fds;        /* KEEPER_FD_*, in this order */
        uint32_t reserved;
};

/* The descriptors of a message, always in this order. */
#define KEEPER_FD_PIDFD (UINT32_C(1) << 0)
/* SOCK_SEQPACKET. The node sends the launch request and receives gate_report. */
#define KEEPER_FD_GATE (UINT32_C(1) << 1)
#define KEEPER_FD_STDIN (UINT32_C(1) << 2) /* write end, O_NONBLOCK */
/* For requests to architect-terminal (terminal-protocol.h), O_NONBLOCK; exists until the child has ended. */
#define KEEPER_FD_TERMINAL (UINT32_C(1) << 3)
#define KEEPER_FD_MASTER (UINT32_C(1) << 4) /* the terminal's master, O_NONBLOCK */

/* The child of a keeper that has died. KEEPER_REAP may be sent for it at any time, and makes the keeper
 * forget it. */
#define KEEPER_CHILD_ORPHAN (UINT32_C(1) << 0)

struct keeper_child {
        struct keeper_header header;
        char role[ROLE_NAME_MAX + 1];
        char pad[3];
        int32_t pid;
        uint64_t start_time;
        uint32_t fds;    /* KEEPER_FD_*; the gate only while it is open */
        uint32_t execed; /* 1 if it has executed its command, according to the kernel at this moment */
        uint32_t exited; /* 1 if exit below is valid */
        uint32_t flags;  /* KEEPER_CHILD_* */
        struct keeper_exit_record exit;
};

struct keeper_exited {
        struct keeper_header header;
        uint32_t execed; /* 1 if it had executed its command, 0 if it died in its set-up */
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
        /* Below the root of the hierarchy, terminated by NUL. Only the bytes up to the NUL need be sent. */
        char path[4096];
};

/* The cgroup is not the scope of a role, but one that its processes were moved to. See
 * KEEPER_SIGNAL_CGROUP. */
#define KEEPER_CGROUP_STRAY (UINT32_C(1) << 0)
/* SIGKILL is sent to each process, too, because cgroup.kill does not end a process whose main thread has
 * ended. */
#define KEEPER_CGROUP_EACH (UINT32_C(1) << 1)
/* SIGCONT follows the signal, because a stopped process acts on SIGKILL only. */
#define KEEPER_CGROUP_CONTINUE (UINT32_C(1) << 2)

/* KEEPER_SIGNAL_CGROUP. The keeper does not trust the node with processes that are not the role's. The last
 * component of the path must be architect-<instance>-<role>.scope. With KEEPER_CGROUP_STRAY it must be any
 * other scope but init.scope; header.child must be a child that the keeper has, which it has until
 * KEEPER_REAP; and no process of the cgroup may be older than that child's main process.
 *
 * Processes in cgroups below are signalled, too, and those that are forked meanwhile. SIGKILL is atomic
 * without KEEPER_CGROUP_EACH, where the kernel has cgroup.kill.
 *
 * The errors are -ENOENT if there is no such cgroup or child, -ESRCH if no process received the signal,
 * -EPERM if the cgroup must not be signalled, -E2BIG if it has too many cgroups below it to read them all, or
 * the first error of a process; in these two cases the others have the signal. With KEEPER_CGROUP_STRAY and
 * -E2BIG none has it, because not all could be checked. */
struct keeper_signal_cgroup {
        struct keeper_header header;
        int32_t signo;
        uint32_t flags;  /* KEEPER_CGROUP_* */
        char path[4096]; /* as in keeper_kill_cgroup */
};

/* KEEPER_SIGNAL_PROCESS, for a process of the role that is in a cgroup of others. The errors are -ENOENT if
 * there is no such child, -ESRCH if there is no such process, -EPERM if it is older than the child's main
 * process. */
struct keeper_signal_process {
        struct keeper_header header;
        int32_t signo;
        int32_t pid;
        uint64_t start_time; /* field 22 of /proc/PID/stat */
};

struct keeper_terminal_socket {
        struct keeper_header header;
        uint32_t uid;   /* the only user that may connect */
        uint32_t flags; /* TERMINAL_CLIENT_* of the clients that connect from now on */
};

/* -ENOENT if there is no such child, -ESRCH if it has ended, -ENOTTY if it has no terminal. */
struct keeper_terminal_socket_made {
        struct keeper_header header;
        int32_t error;
        char path[108]; /* as sun_path of struct sockaddr_un, terminated by NUL; empty if error is set */
};

#define KEEPER_ACCOUNT_NAME_MAX 256U /* bytes of the name of a user or a group */
#define KEEPER_ACCOUNT_PATH_MAX 1023U
#define KEEPER_ACCOUNT_GROUPS_MAX 1024U /* groups of one user */

/* KEEPER_LOOKUP. header.child is a number that the node chooses, to know the result by; it is not that of a
 * child. The keeper replies -EBUSY if KEEPER_LOOKUPS_MAX users are being looked up, and -EAGAIN if it is
 * about to be replaced. */
struct keeper_lookup {
        struct keeper_header header;
        /* Names or numbers, terminated by NUL. An empty group stands for the group of the user. */
        char user[KEEPER_ACCOUNT_NAME_MAX + 4];
        char group[KEEPER_ACCOUNT_NAME_MAX + 4];
};

/* The account has expired, or its password for so long that it may not be changed any more (shadow(5)). */
#define KEEPER_ACCOUNT_EXPIRED (UINT32_C(1) << 0)
#define KEEPER_ACCOUNT_NO_SHELL (UINT32_C(1) << 1) /* its shell refuses logins, like nologin(8) */

struct keeper_looked_up {
        struct keeper_header header;
        /* 0; -ESRCH if there is no such user, -ENOENT if there is no such group; -ETIMEDOUT if the databases
         * have not answered in time; -E2BIG if the user has more groups than fit; -ECANCELED if the keeper is
         * replaced; or another errno. Then the rest is not valid. */
        int32_t error;
        uint32_t flags; /* KEEPER_ACCOUNT_* */
        uint32_t uid;
        uint32_t gid; /* of the group that was requested, or of the user */
        uint32_t n_groups;
        uint32_t reserved;
        char name[KEEPER_ACCOUNT_NAME_MAX + 4]; /* of the user */
        char group[KEEPER_ACCOUNT_NAME_MAX + 4];
        char home[KEEPER_ACCOUNT_PATH_MAX + 1];
        char shell[KEEPER_ACCOUNT_PATH_MAX + 1];
        uint32_t groups[KEEPER_ACCOUNT_GROUPS_MAX]; /* all of the user; only n_groups of them are sent */
};

static inline size_t keeper_looked_up_size(size_t n) {
        return offsetof(struct keeper_looked_up, groups) + n * sizeof(uint32_t);
}

/* -ENOENT if there is no such child, -ENOTSOCK if it has no such socket. */
struct keeper_take_notified {
        struct keeper_header header;
        uint64_t number; /* 0 for nothing */
};

struct keeper_notified {
        struct keeper_header header;
        uint64_t number;         /* ascending, from 1 on; some are missing */
        uint64_t monotonic_usec; /* when the keeper has received it */
        uint64_t value;
        int32_t pid;   /* of the sender */
        uint32_t kind; /* NotifyKind */
        /* Of NOTIFY_STATUS, terminated by NUL; its bytes are those of the sender. Only the bytes up to the
         * NUL are sent. */
        char text[NOTIFY_TEXT_MAX + 1];
};

struct keeper_done {
        struct keeper_header header;
        uint32_t request; /* the KeeperMessageType of the request */
        int32_t error;    /* 0 or a negative errno; -ENOENT if there is no such child */
};

/* A message that needs more gets a new type, and the protocol a new version. */
ASSERT_FIXED_SIZE(struct keeper_header, 16);
ASSERT_FIXED_SIZE(struct keeper_hello, 24);
ASSERT_FIXED_SIZE(struct keeper_welcome, 32);
ASSERT_FIXED_SIZE(struct keeper_exit_record, 48);
ASSERT_FIXED_SIZE(struct keeper_fork, 88);
ASSERT_FIXED_SIZE(struct keeper_fork_into, 4184);
ASSERT_FIXED_SIZE(struct keeper_port, 4);
ASSERT_FIXED_SIZE(struct keeper_bind, 40);
ASSERT_FIXED_SIZE(struct keeper_bind_ports, 552);
ASSERT_FIXED_SIZE(struct keeper_bound, 536);
ASSERT_FIXED_SIZE(struct keeper_ports, 4112);
ASSERT_FIXED_SIZE(struct keeper_handover, 4);
ASSERT_FIXED_SIZE(struct keeper_forked, 40);
ASSERT_FIXED_SIZE(struct keeper_child, 160);
ASSERT_FIXED_SIZE(struct keeper_exited, 72);
ASSERT_FIXED_SIZE(struct keeper_signal, 24);
ASSERT_FIXED_SIZE(struct keeper_kill_cgroup, 4112);
ASSERT_FIXED_SIZE(struct keeper_signal_cgroup, 4120);
ASSERT_FIXED_SIZE(struct keeper_signal_process, 32);
ASSERT_FIXED_SIZE(struct keeper_terminal_socket, 24);
ASSERT_FIXED_SIZE(struct keeper_terminal_socket_made, 128);
ASSERT_FIXED_SIZE(struct keeper_lookup, 536);
ASSERT_FIXED_SIZE(struct keeper_looked_up, 6704);
ASSERT_FIXED_SIZE(struct keeper_take_notified, 24);
ASSERT_FIXED_SIZE(struct keeper_notified, 1072);
ASSERT_FIXED_SIZE(struct keeper_done, 24);
