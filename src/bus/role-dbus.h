/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* org.architect.Node.Role on the bus: one object a role, found by name. */

#include "bus/clients-private.h"

int role_dbus_register(Clients *clients);

/* Its methods, and the properties of its run, with the Role as userdata; the properties of its options, with the RoleSpec. */
extern const sd_bus_vtable role_vtable[], role_spec_vtable[];

/* /org/architect/Node/role/<encoded name>. The caller g_frees. */
char *role_dbus_path(const char *name);

/* What every method of a role begins with: who calls, may they, and are we not shutting down. 1: go on; 0: parked, the
 * handler returns 1 at once; negative: *error is set. */
int role_dbus_check(
        sd_bus_message *m, Role *role, const char *action, const Caller **ret, sd_bus_error *error);

/* The methods of a role; userdata is the Role. The node's methods of the same name find it and call these. */
int role_method_stop(sd_bus_message *m, void *userdata, sd_bus_error *error);
int role_method_kill(sd_bus_message *m, void *userdata, sd_bus_error *error);
int role_method_signal(sd_bus_message *m, void *userdata, sd_bus_error *error);
int role_method_send_input(sd_bus_message *m, void *userdata, sd_bus_error *error);
int role_method_write_input(sd_bus_message *m, void *userdata, sd_bus_error *error);
int role_method_close_input(sd_bus_message *m, void *userdata, sd_bus_error *error);
