/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reserved ports: which there are, whose they are, and which role has them. The sockets are the keeper's. What was promised to
 * a caller survives a restart of the service in the file "ports" of the runtime directory; what exists is what the keeper
 * says after each connection. Which role has a port is said by the roles alone: each in its options. */

#include <glib.h>
#include <sys/types.h>

#include "model/fault.h"
#include "model/model-forward.h"
#include "model/port.h"
#include "model/world.h"
#include "proto/keeper-limits.h"

#define PORTS_PER_CALL_MAX KEEPER_BIND_MAX
#define PORTS_MAX KEEPER_PORTS_MAX

/* dir_fd: where it is saved; -1: nowhere (tests). A file that cannot be read is set aside with an error. */
int ports_open(Node *node, int dir_fd, Ports **ret);
Ports *ports_close(Ports *ports);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Ports, ports_close)

/* Who waits for ports: told once, perhaps after the node is gone. fault NULL: these are reserved. */
typedef struct PortsWaiter {
        void (*done)(void *userdata, const uint16_t *numbers, size_t n, const Fault *fault);
        void *userdata;
} PortsWaiter;

int ports_check_count(PortProtocol protocol, uint32_t n, Fault *fault);

/* All or none. On failure nobody is told. */
int ports_bind(Ports *ports, PortProtocol protocol, uint32_t n, const Caller *caller, PortsWaiter waiter,
        Fault *fault);
void ports_on_bound(PortsRequest *request, int error, const uint16_t *numbers, size_t n);

/* All or none, of the caller's; the waiter hears when they are free. On failure nobody is told. */
int ports_check_list(PortProtocol protocol, const uint16_t *numbers, size_t n, Fault *fault);
int ports_release(Ports *ports, PortProtocol protocol, const uint16_t *numbers, size_t n,
        const Caller *caller, Waiter waiter, Fault *fault);

/* Whether a role of this name may have what its options say: reserved, the caller's, and no other role's. */
int ports_check_start(
        Ports *ports, const char *role, const RoleSpec *spec, const Caller *caller, Fault *fault);
/* Whether it is still there: its keeper may have died meanwhile. */
int ports_check_reserved(Ports *ports, const Role *role, Fault *fault);

/* What goes to its child. */
GArray *ports_of_role(Ports *ports, const Role *role); /* of PortLoan */

void ports_role_added(Ports *ports, const Role *role);   /* it may have ports */
void ports_role_gone(Ports *ports, const Role *role);    /* it is being freed */
void ports_role_running(Ports *ports, const Role *role); /* its exec has released its release-ports */
void ports_role_swept(Ports *ports, const Role *role);   /* no process of it is left */

/* What the keeper holds, after each connection. */
void ports_on_keeper(Ports *ports, const PortLoan *held, size_t n);

typedef struct PortListed {
        Port port;
        const char *role; /* that has it, or ""; its own */
} PortListed;

GArray *ports_list(Ports *ports); /* of PortListed, sorted */

/* After a clean end: they are free, and the next service begins without any. */
void ports_forget(Ports *ports);
