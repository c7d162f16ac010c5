/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reads the arguments of Start from the message into a RoleSpec, and checks them. */

#include "bus/bus-util.h"
#include "model/role-spec.h"

extern const BusOptions start_options;

/* Reads "asa{sv}". The caller frees *ret, which is only set on success, and the names of the options that are
 * in the message, sorted, with a space between them. Otherwise returns a negative errno, and *error names the
 * option and the reason. */
int start_options_read(sd_bus_message *m, RoleSpec **ret, char **ret_names, sd_bus_error *error);
