/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* GetPermissions of a role, with the Role as userdata, see role-dbus.h. */

#include "bus/bus-util.h"

extern const BusOptions permissions_options;

int role_method_get_permissions(sd_bus_message *m, void *userdata, sd_bus_error *error);
