/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Who calls, and whether they may. The bus is asked once a connection (unique names are never reused), asynchronously:
 * a call whose sender is not known yet is parked and comes back to its handler; when the bus does not answer, or the service
 * ends before it does, the caller gets an error. Whatever changes something is root's alone. */

#include <systemd/sd-bus.h>

#include "model/world.h"

typedef struct Authority Authority;

int authority_new(sd_bus *bus, Authority **ret);
/* The service is this user's, with the user's own systemd: what is root's alone becomes this user's. */
void authority_set_user(Authority *authority, uid_t uid);
/* Answers the calls that are parked still. */
Authority *authority_free(Authority *authority);

/* 1: *ret is the caller (valid until the handler returns). 0: parked; the handler returns 1 at once, having changed nothing. Negative: *error is set. */
int authority_identify(Authority *authority, sd_bus_message *m, const Caller **ret, sd_bus_error *error);

/* The same, and AccessDenied unless the caller may do this; action names it for people: "start a role". */
int authority_check(
        Authority *authority, sd_bus_message *m, const char *action, const Caller **ret, sd_bus_error *error);
