/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The values of options on the bus. GetDefinition returns them; architectctl and the agent of the cluster
 * send them to Start. */

#include <systemd/sd-bus.h>

#include "model/role-options.h"

/* Appends the value that the spec has, of the type option->signature. Returns a negative errno as
 * sd_bus_message_append(). The option must not be a part of another one. */
int option_value_append(sd_bus_message *m, const RoleSpec *spec, const RoleOption *option);

/* Appends the entry of an a{sv}, its key and its value. */
int option_value_append_entry(sd_bus_message *m, const RoleSpec *spec, const RoleOption *option);
