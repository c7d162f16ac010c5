/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The node's end of the connection to the keeper: requests and answers of proto/keeper-protocol.h, never blocking; a lost
 * connection is made again for ever. Knows children by number, not roles. */

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "proto/keeper-protocol.h"

typedef struct KeeperLink KeeperLink;

/* Descriptors that come with a child; taken by the handler. Negative: not there. */
typedef struct KeeperFds {
        int pidfd;
        int gate;
        int stdin_fd; /* of a pipe, or the terminal's master */
        int terminal;
} KeeperFds;

typedef struct KeeperHandler {
        void (*child)(void *userdata, const struct keeper_child *child,
                KeeperFds fds); /* after a connection, one each */
        /* Before the children, as many as there are, perhaps in several: what it holds of reserved ports. */
        void (*ports)(void *userdata, const struct keeper_port *ports, size_t n);
        void (*connected)(void *userdata); /* all children are told */
        void (*lost)(void *userdata);
        void (*forked)(void *userdata, const struct keeper_forked *forked, KeeperFds fds);
        void (*exited)(void *userdata, const struct keeper_exited *exited);
} KeeperHandler;

/* The answer to a request: 0 or negative errno; -ENOTCONN: the connection was lost, and nobody knows. */
typedef void (*KeeperDone)(void *userdata, int error);

/* The answer to a KEEPER_BIND; error as above. */
typedef void (*KeeperBound)(void *userdata, int error, const uint16_t *numbers, size_t n);

int keeper_link_new(
        sd_event *event, const char *path, const KeeperHandler *handler, void *userdata, KeeperLink **ret);
KeeperLink *keeper_link_free(KeeperLink *link);

/* Begins to connect; handler->connected() follows. */
void keeper_link_open(KeeperLink *link);
bool keeper_link_is_connected(const KeeperLink *link);
/* The version that is spoken; 0 while there is no connection. What came later than this one is not to be asked for. */
uint32_t keeper_link_version(const KeeperLink *link);

/* All of them: -ENOTCONN while there is no connection. done may be NULL. */
int keeper_link_fork(KeeperLink *link, uint64_t child, const char *role, uint32_t flags,
        const struct keeper_port *ports, size_t n_ports);
int keeper_link_signal(KeeperLink *link, uint64_t child, int signo, KeeperDone done, void *userdata);
int keeper_link_close_stdin(KeeperLink *link, uint64_t child, KeeperDone done, void *userdata);
int keeper_link_reap(KeeperLink *link, uint64_t child);
/* The last thing before we leave: waits until the keeper has answered what it was asked, but not for longer than this. A connection
 * that is closed before takes the questions with it. What the keeper tells besides, it tells our successor again. */
void keeper_link_finish(KeeperLink *link, uint64_t timeout_usec);
int keeper_link_kill_cgroup(KeeperLink *link, const char *path, KeeperDone done, void *userdata);

/* Reserved ports; -EPROTONOSUPPORT: the keeper is older than that. */
int keeper_link_bind(KeeperLink *link, const struct keeper_bind *bind, KeeperBound done, void *userdata);
int keeper_link_release_ports(
        KeeperLink *link, const struct keeper_port *ports, size_t n, KeeperDone done, void *userdata);
int keeper_link_rest_ports(KeeperLink *link, const struct keeper_port *ports, size_t n);
