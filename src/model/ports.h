/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* This file knows which ports are reserved, which user owns them, and which role has them. The keeper owns
 * the sockets. The ports that callers have reserved survive a restart of the service in the file "ports" of
 * the runtime directory; the keeper reports after each connection which ones exist. Only the options of a
 * role determine which ports it has. */

#include <glib.h>
#include <sys/types.h>

#include "model/fault.h"
#include "model/model-forward.h"
#include "model/port.h"
#include "model/world.h"
#include "proto/keeper-limits.h"

#define PORTS_PER_CALL_MAX KEEPER_BIND_MAX
#define PORTS_MAX KEEPER_PORTS_MAX
#define PORTS_RANGE_MAX KEEPER_BIND_RANGE_MAX
#define PORTS_OF_ROOT 1024U /* lower numbers are reserved for root, or the user whose service this is */

/* dir_fd is the directory of the saved file, which the caller keeps open; -1 saves nothing (for tests). A
 * file that cannot be read is renamed and logged as an error. Returns a negative errno. */
int ports_open(Node *node, int dir_fd, Ports **ret);
Ports *ports_close(Ports *ports);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Ports, ports_close)

/* Check what a caller wants, with InvalidArgs. */
int ports_check_count(PortProtocol protocol, uint32_t n, Fault *fault);
int ports_check_wanted(const PortsWanted *wanted, Fault *fault);

/* Reserves all ports or none. ret_numbers has room for n numbers and must exist until the waiter is called.
 * It is filled before that, and not changed if the waiter receives a fault. If the call fails, it fills the
 * fault and does not call the waiter. */
int ports_bind(Ports *ports, const PortsWanted *wanted, const Caller *caller, Waiter waiter,
        uint16_t *ret_numbers, Fault *fault);
/* The reply to LinkOps.ports_bind. The numbers are valid during the call only; with an error there may be
 * one, which that is about. Frees the request. */
void ports_on_bound(PortsRequest *request, int error, const uint16_t *numbers, size_t n);

/* Releases all ports or none. The caller must own them. The waiter is called when they are free. If the call
 * fails, it fills the fault and does not call the waiter. */
int ports_check_list(PortProtocol protocol, const uint16_t *numbers, size_t n, Fault *fault);
int ports_release(Ports *ports, PortProtocol protocol, const uint16_t *numbers, size_t n,
        const Caller *caller, Waiter waiter, Fault *fault);

/* Called after each connection, with the ports that the keeper has. */
void ports_on_keeper(Ports *ports, const PortLoan *held, size_t n);
/* The keeper has given up these ports, because a process has kept the socket that a role had. */
void ports_on_kept(Ports *ports, const PortLoan *kept, size_t n);

typedef struct PortListed {
        Port port;
        const char *role; /* the role that has it, or ""; owned */
} PortListed;

GArray *ports_list(Ports *ports); /* of PortListed, sorted; the caller frees it */

/* Removes all reservations at a clean end. The ports are free, and the next service begins without any. */
void ports_forget(Ports *ports);
