/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How a call names a lease: the options "lease", "fencing-token" and "force" of a method that changes a role.
 * A method without options has one beside it that has them, as SignalWithOptions for Signal. */

#include "bus/bus-util.h"
#include "model/leases.h"

/* The options of the methods whose names end so, and of some others. */
extern const BusOptions lease_options;
extern const BusOptions lease_start_options; /* without "force", for StartMany */

/* The entries of the table, for one that has others, too. */
#define LEASE_OPTIONS \
        { "lease", "s" }, { "fencing-token", "t" }, { \
                "force", "b" \
        }

/* Reads the options if the message has any left. The strings are owned by the message. */
int lease_options_read(sd_bus_message *m, LeaseUse *ret, sd_bus_error *error);
int lease_options_read_start(sd_bus_message *m, LeaseUse *ret, sd_bus_error *error);

/* Reads one of LEASE_OPTIONS, of which the key is. */
int lease_option_read(sd_bus_message *m, const BusOption *option, void *use, sd_bus_error *error);
