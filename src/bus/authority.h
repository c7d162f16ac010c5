/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* This file identifies the caller of a method and decides whether it may be called. The node requests the
 * credentials from the bus once for each connection, since unique names are never reused. Root, or the user
 * whose service this is, may call everything. In the service of the system polkit decides about all others,
 * each time anew.
 *
 * Both requests are asynchronous. A call whose sender is not known yet, or about which polkit was asked, is
 * parked and later returns to its handler. If there is no reply, or the service ends first, the caller gets
 * an error. */

#include <systemd/sd-bus.h>

#include "bus/authority-details.h"
#include "bus/polkit.h"
#include "model/model-forward.h"
#include "model/world.h"

typedef struct Allowance Allowance;
typedef struct Authority Authority;

/* The allowance must live longer. polkit is asked on a connection of its own, or on the same one. */
int authority_new(sd_bus *bus, sd_bus *polkit_bus, Node *node, Allowance *allowance, Authority **ret);
/* Makes this the service of a user, with the user's own systemd. The user then has the rights that otherwise
 * only root has, and polkit is not asked. */
void authority_set_user(Authority *authority, uid_t uid);
/* The caller of all messages that come from a connection without a bus, with uid and pid. The rest is found
 * out. It must live until it is removed. */
void authority_add_peer(Authority *authority, sd_bus *peer, Caller *caller);
void authority_remove_peer(Authority *authority, sd_bus *peer);
/* Replies to the calls that are still parked, with the error ShuttingDown. Returns NULL. */
Authority *authority_free(Authority *authority);

/* Returns 0 and the caller, which is valid until the handler returns. Returns 1 if the call was parked, and a
 * negative errno if *error is set. Then the handler must not have changed anything and must return the same
 * immediately; for sd-bus, 1 means that the handler replies later. */
int authority_identify(Authority *authority, sd_bus_message *m, const Caller **ret, sd_bus_error *error);

/* Works like authority_identify(), but fails with AccessDenied (-EACCES) or InteractiveAuthorizationRequired
 * if the caller has no right to do this. What polkit was asked is what it has permitted: if the roles are no
 * longer the same runs with the same owners when its answer arrives, it is asked again. ret may be NULL. */
int authority_check(Authority *authority, sd_bus_message *m, const AuthorityRequest *request,
        const Caller **ret, sd_bus_error *error);

/* Looks up the user as whom this caller, who has to be asked about, is about to start something. Works like
 * authority_check(). The account is valid until authority_check() parks the call, which then keeps it, so
 * that what polkit was asked about is what is started. */
int authority_look_up(Authority *authority, sd_bus_message *m, const Caller *caller, const char *user,
        const char *group, const Account **ret, sd_bus_error *error);

/* Whether the caller may do everything without a question. */
bool authority_is_master(const Authority *authority, const Caller *caller);
/* NULL in the service of a user, where nobody else may do anything. */
Polkit *authority_polkit(const Authority *authority);
