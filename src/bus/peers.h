/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Whose signals reach this process. sd-bus delivers a signal that any connection has sent straight to this
 * one to each handler that waits for it from a well-known name, because it does not know who owns that name.
 * So this file knows the owners, and drops all other signals before a handler sees them. */

#include <systemd/sd-bus.h>

typedef struct Peers Peers;

/* Begins to drop. It is called before the first call to one of the peers, whose signals are dropped until the
 * bus has replied who owns its name. Returns a negative errno. */
int peers_new(sd_bus *bus, Peers **ret);
Peers *peers_free(Peers *peers);
