/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* This file determines which role has which reserved port, and which role may have it. Only the options of a
 * role determine that. */

#include "model/ports.h"

/* Checks that a role of this name may have the ports of its options. Each must be reserved, owned by the
 * caller, and used by no other role. Fails with NoSuchPort, AccessDenied or PortsUnavailable. */
int ports_check_start(
        Ports *ports, const char *role, const RoleSpec *spec, const Caller *caller, Fault *fault);
/* Checks that the ports are still reserved, because the keeper may have died meanwhile. */
int ports_check_reserved(Ports *ports, const Role *role, Fault *fault);

/* The ports that the child of the role receives. */
GArray *ports_of_role(Ports *ports, const Role *role); /* of PortLoan; the caller frees it */

void ports_role_added(Ports *ports, const Role *role); /* it may have ports */
void ports_role_gone(Ports *ports, const Role *role);  /* it is being freed */
/* Removes those of the release-ports that are not reserved any more, because an earlier run has released
 * them. */
void ports_forget_released(Ports *ports, RoleSpec *spec);
void ports_role_running(Ports *ports, const Role *role); /* its exec has released its release-ports */
void ports_role_swept(Ports *ports, const Role *role);   /* no process of it is left */
/* The keeper has not lent its ports, because a process has a socket of one of them. */
void ports_role_refused(Ports *ports, const Role *role);
