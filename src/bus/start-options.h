/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reads the arguments of Start from the message into a RoleSpec, and checks them. */

#include "bus/bus-util.h"
#include "model/definitions.h"

/* The options of Start, which are those of the model's table with a key on D-Bus (model/role-options.h). */
BusOptions start_options(void);

/* Reads "asa{sv}" of a role of this name. An empty command stands for the definition of the role, and each
 * option of the message then replaces what the definition has. The caller frees *ret, which is only set on
 * success, and the names of the options that are in the message, sorted, with a space between them. Otherwise
 * returns a negative errno, and *error names the option and the reason. */
int start_options_read(sd_bus_message *m, const Definitions *definitions, const char *name, RoleSpec **ret,
        char **ret_names, sd_bus_error *error);
