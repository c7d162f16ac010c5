/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The arguments of Start, from the message into a checked RoleSpec. */

#include "bus/bus-util.h"
#include "model/role-spec.h"

extern const BusOptions start_options;

/* Reads "asa{sv}". *error names the option and the reason; nothing is half read into *ret. */
int start_options_read(sd_bus_message *m, RoleSpec **ret, sd_bus_error *error);
