/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The methods of a role that has a terminal, with the Role as userdata, see role-dbus.h. */

#include "bus/bus-util.h"

extern const BusOptions terminal_options, terminal_socket_options; /* of OpenTerminal, OpenTerminalSocket */

int role_method_open_terminal(sd_bus_message *m, void *userdata, sd_bus_error *error);
int role_method_open_terminal_socket(sd_bus_message *m, void *userdata, sd_bus_error *error);
int role_method_resize_terminal(sd_bus_message *m, void *userdata, sd_bus_error *error);
