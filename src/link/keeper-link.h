/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* This is the node's end of the connection to the keeper, with the requests and replies of
 * proto/keeper-protocol.h. It does not block, and reconnects whenever the connection is lost. It knows
 * numbers of children, but no roles. */

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "proto/keeper-protocol.h"

typedef struct KeeperLink KeeperLink;

/* The descriptors of a child; the handler takes them. They are negative if they do not exist. */
typedef struct KeeperFds {
        int pidfd;
        int gate;
        int stdin_fd; /* of a pipe, or the terminal's master */
        int terminal;
} KeeperFds;

typedef struct KeeperHandler {
        /* Called after a connection, once for each child. */
        void (*child)(void *userdata, const struct keeper_child *child, KeeperFds fds);
        /* Called before the children, possibly several times, with the reserved ports that the keeper has. */
        void (*ports)(void *userdata, const struct keeper_port *ports, size_t n);
        /* These ports are no longer reserved, because a process has kept a socket of them. */
        void (*ports_kept)(void *userdata, const struct keeper_port *ports, size_t n);
        void (*connected)(void *userdata); /* all children were listed */
        void (*lost)(void *userdata);      /* the connection, possibly before all children were listed */
        void (*forked)(void *userdata, const struct keeper_forked *forked, KeeperFds fds);
        void (*exited)(void *userdata, const struct keeper_exited *exited);
        /* What a role has sent. text is terminated. */
        void (*notified)(void *userdata, const struct keeper_notified *notified);
        /* The result of a look-up. Unless there is an error, its strings are terminated. */
        void (*looked_up)(void *userdata, const struct keeper_looked_up *looked_up);
} KeeperHandler;

/* The reply to a request: 0 or a negative errno. -ENOTCONN means that the connection was lost, and the result
 * is not known. */
typedef void (*KeeperDone)(void *userdata, int error);

/* The reply to a KEEPER_BIND or KEEPER_BIND_PORTS, with errors as above, and -EOPNOTSUPP if the keeper does
 * not know the request. With an error it may have the number that this is about. */
typedef void (*KeeperBound)(void *userdata, int error, const uint16_t *numbers, size_t n);

/* The reply to a KEEPER_MAKE_TERMINAL_SOCKET, with errors as above. */
typedef void (*KeeperSocketMade)(void *userdata, int error, const char *path);

/* The link copies path, but not handler. Returns -ENAMETOOLONG if path does not fit into an address. */
int keeper_link_new(
        sd_event *event, const char *path, const KeeperHandler *handler, void *userdata, KeeperLink **ret);
KeeperLink *keeper_link_free(KeeperLink *link);

/* Begins to connect. handler->connected() follows. */
void keeper_link_open(KeeperLink *link);
bool keeper_link_is_connected(const KeeperLink *link);
/* Returns whether the program of the keeper, and so that of its children, is known to be from before this
 * version of the protocol. */
bool keeper_link_is_older(const KeeperLink *link, uint32_t version);

/* All of them return -ENOTCONN without a connection. done may be NULL. */

/* Returns -E2BIG if there are more than KEEPER_FORK_PORTS_MAX ports. */
int keeper_link_fork(KeeperLink *link, uint64_t child, const char *role, uint32_t flags,
        const struct keeper_port *ports, size_t n_ports);
/* A child in this cgroup. Returns -EPROTONOSUPPORT if the keeper is too old for it. */
int keeper_link_fork_into(
        KeeperLink *link, uint64_t child, const char *role, uint32_t flags, const char *cgroup);
int keeper_link_signal(KeeperLink *link, uint64_t child, int signo, KeeperDone done, void *userdata);
int keeper_link_close_stdin(KeeperLink *link, uint64_t child, KeeperDone done, void *userdata);
int keeper_link_reap(KeeperLink *link, uint64_t child);
/* Must be the last call. Waits until the keeper has replied to the pending requests, but not longer than the
 * timeout. If the connection were closed earlier, the requests would be lost. A reservation of ports fails
 * with -ENOTCONN. Other reports of the keeper are ignored, because the next process receives them again. */
void keeper_link_finish(KeeperLink *link, uint64_t timeout_usec);
int keeper_link_kill_cgroup(KeeperLink *link, const char *path, KeeperDone done, void *userdata);

/* See the structs of the protocol. flags are KEEPER_CGROUP_*. Return -EPROTONOSUPPORT if the keeper is too
 * old for them. */
int keeper_link_signal_cgroup(KeeperLink *link, uint64_t child, const char *path, int signo, uint32_t flags,
        KeeperDone done, void *userdata);
int keeper_link_signal_process(KeeperLink *link, uint64_t child, pid_t pid, uint64_t start_time, int signo,
        KeeperDone done, void *userdata);

/* Returns -EPROTONOSUPPORT if the keeper is too old for it. */
int keeper_link_take_notified(
        KeeperLink *link, uint64_t child, uint64_t number, KeeperDone done, void *userdata);

/* Returns -EPROTONOSUPPORT if the keeper is too old for it. */
int keeper_link_make_terminal_socket(
        KeeperLink *link, uint64_t child, uid_t uid, uint32_t flags, KeeperSocketMade done, void *userdata);

/* done is called when it has begun; handler->looked_up() with this number follows unless that was an error.
 * Returns -EPROTONOSUPPORT if the keeper is too old for it, -ENAMETOOLONG if a name is longer than any name.
 */
int keeper_link_look_up(KeeperLink *link, uint64_t number, const char *user, const char *group,
        KeeperDone done, void *userdata);

/* Reserved ports. */
int keeper_link_bind(KeeperLink *link, const struct keeper_bind *bind, KeeperBound done, void *userdata);
int keeper_link_bind_ports(
        KeeperLink *link, const struct keeper_bind_ports *bind, KeeperBound done, void *userdata);
int keeper_link_release_ports(
        KeeperLink *link, const struct keeper_port *ports, size_t n, KeeperDone done, void *userdata);
int keeper_link_rest_ports(KeeperLink *link, const struct keeper_port *ports, size_t n);
/* Returns -EPROTONOSUPPORT if the keeper is too old for it. */
int keeper_link_release_all_ports(KeeperLink *link);
