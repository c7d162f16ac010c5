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

/* dir_fd is the directory of the saved file, -1 saves nothing (for tests). A file that cannot be read is
 * renamed and logged as an error. Returns a negative errno. */
int ports_open(Node *node, int dir_fd, Ports **ret);
Ports *ports_close(Ports *ports);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Ports, ports_close)

/* A caller that waits for ports. done is called once, possibly after the node is freed. If fault is NULL,
 * these ports are reserved. numbers is valid during the call only. */
typedef struct PortsWaiter {
        void (*done)(void *userdata, const uint16_t *numbers, size_t n, const Fault *fault);
        void *userdata;
} PortsWaiter;

int ports_check_count(PortProtocol protocol, uint32_t n, Fault *fault);

/* Reserves all ports or none. If it fails, it fills the fault and does not call the waiter. */
int ports_bind(Ports *ports, PortProtocol protocol, uint32_t n, const Caller *caller, PortsWaiter waiter,
        Fault *fault);
void ports_on_bound(PortsRequest *request, int error, const uint16_t *numbers, size_t n);

/* Releases all ports or none. The caller must own them. The waiter is called when they are free. If the call
 * fails, it fills the fault and does not call the waiter. */
int ports_check_list(PortProtocol protocol, const uint16_t *numbers, size_t n, Fault *fault);
int ports_release(Ports *ports, PortProtocol protocol, const uint16_t *numbers, size_t n,
        const Caller *caller, Waiter waiter, Fault *fault);

/* Checks that a role of this name may have the ports of its options. Each must be reserved, owned by the
 * caller, and used by no other role. Fails with NoSuchPort, AccessDenied or PortsUnavailable. */
int ports_check_start(
        Ports *ports, const char *role, const RoleSpec *spec, const Caller *caller, Fault *fault);
/* Checks that the ports are still reserved, because the keeper may have died meanwhile. */
int ports_check_reserved(Ports *ports, const Role *role, Fault *fault);

/* The ports that the child of the role receives. */
GArray *ports_of_role(Ports *ports, const Role *role); /* of PortLoan; the caller frees it */

void ports_role_added(Ports *ports, const Role *role);   /* it may have ports */
void ports_role_gone(Ports *ports, const Role *role);    /* it is being freed */
void ports_role_running(Ports *ports, const Role *role); /* its exec has released its release-ports */
void ports_role_swept(Ports *ports, const Role *role);   /* no process of it is left */

/* Called after each connection, with the ports that the keeper has. */
void ports_on_keeper(Ports *ports, const PortLoan *held, size_t n);

typedef struct PortListed {
        Port port;
        const char *role; /* the role that has it, or ""; owned */
} PortListed;

GArray *ports_list(Ports *ports); /* of PortListed, sorted; the caller frees it */

/* Removes all reservations at a clean end. The ports are free, and the next service begins without any. */
void ports_forget(Ports *ports);
