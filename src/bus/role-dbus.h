/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The interface org.architect.Node.Role has one object for each role, which is found by its name. */

#include "bus/clients-private.h"

int role_dbus_register(Clients *clients, sd_bus *bus, GPtrArray *slots);

/* role_vtable has the methods and the properties of the run, with the Role as userdata. role_spec_vtable has
 * the properties of the options, with the RoleSpec as userdata. */
extern const sd_bus_vtable role_vtable[], role_spec_vtable[];

/* Returns /org/architect/Node/role/<encoded name>, which the caller frees. */
char *role_dbus_path(const char *name);

/* Each method of a role calls this before it changes anything, see clients_check_change(); it also checks the
 * lease of the role. use: what the call says of that, see lease_options_read(). ret may be NULL. */
int role_dbus_check(sd_bus_message *m, Role *role, const char *doing, const LeaseUse *use, const Caller **ret,
        sd_bus_error *error);

/* The methods of a role, with the Role as userdata. The methods of the node with the same names find the role
 * and call these. */
int role_method_stop(sd_bus_message *m, void *userdata, sd_bus_error *error);
int role_method_kill(sd_bus_message *m, void *userdata, sd_bus_error *error);
int role_method_signal(sd_bus_message *m, void *userdata, sd_bus_error *error);
int role_method_freeze(sd_bus_message *m, void *userdata, sd_bus_error *error);
int role_method_thaw(sd_bus_message *m, void *userdata, sd_bus_error *error);
int role_method_send_input(sd_bus_message *m, void *userdata, sd_bus_error *error);
int role_method_write_input(sd_bus_message *m, void *userdata, sd_bus_error *error);
int role_method_close_input(sd_bus_message *m, void *userdata, sd_bus_error *error);
