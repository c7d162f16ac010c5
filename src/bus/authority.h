/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* This file identifies the caller of a method and checks its rights. Only root may call a method that changes
 * something. The node requests the credentials from the bus once for each connection, since unique names are
 * never reused. The request is asynchronous, so a call whose sender is not known yet is parked and later
 * returns to its handler. If the bus does not reply, or the service ends first, the caller gets an error. */

#include <systemd/sd-bus.h>

#include "model/world.h"

typedef struct Authority Authority;

int authority_new(sd_bus *bus, Authority **ret);
/* Makes this the service of a user, with the user's own systemd. The user then has the rights that otherwise
 * only root has. */
void authority_set_user(Authority *authority, uid_t uid);
/* Replies to the calls that are still parked, with the error ShuttingDown. Returns NULL. */
Authority *authority_free(Authority *authority);

/* Returns 0 and the caller, which is valid until the handler returns. Returns 1 if the call was parked, and a
 * negative errno if *error is set. Then the handler must not have changed anything and must return the same
 * immediately; for sd-bus, 1 means that the handler replies later. */
int authority_identify(Authority *authority, sd_bus_message *m, const Caller **ret, sd_bus_error *error);

/* Works like authority_identify(), but fails with AccessDenied (-EACCES) if the caller has no right to do
 * this. action describes it for the message, like "start roles". ret may be NULL. */
int authority_check(
        Authority *authority, sd_bus_message *m, const char *action, const Caller **ret, sd_bus_error *error);
