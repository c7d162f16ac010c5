/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* org.architect.Node on the bus: its methods, properties and signals. */

#include "node/agent.h"

/* The node's object, the object manager and the roles' objects. */
int node_dbus_register(Agent *agent);

/* One room of the node's interface. */
int node_dbus_add_vtable(Agent *agent, const sd_bus_vtable *vtable);
int env_dbus_register(Agent *agent);
int events_dbus_register(Agent *agent);
int monitor_dbus_register(Agent *agent);
int log_dbus_register(Agent *agent);
int ports_dbus_register(Agent *agent);
int terminal_dbus_register(Agent *agent);

/* The level, and whether messages go out as signals, as the process before us left them. */
void log_dbus_load(Agent *agent);
void log_dbus_forget(Agent *agent); /* after a clean end */

/* Tells org.architect.Node.Role's handlers apart from nothing but their role: both interfaces act through these. Each returns what a
 * method handler returns. */
int node_dbus_stop(Agent *agent, sd_bus_message *m, const char *name, RoleCause cause, sd_bus_error *error);
int node_dbus_signal(Agent *agent, sd_bus_message *m, const char *name, sd_bus_error *error);
int node_dbus_send_input(Agent *agent, sd_bus_message *m, const char *name, sd_bus_error *error);
int node_dbus_write_input(Agent *agent, sd_bus_message *m, const char *name, sd_bus_error *error);
int node_dbus_close_input(Agent *agent, sd_bus_message *m, const char *name, sd_bus_error *error);
int node_dbus_open_terminal(Agent *agent, sd_bus_message *m, const char *name, sd_bus_error *error);
int node_dbus_resize_terminal(Agent *agent, sd_bus_message *m, const char *name, sd_bus_error *error);

/* What every call about one role begins with: who asks, may they, and which role. 0: parked. */
int node_dbus_check_and_find(Agent *agent, sd_bus_message *m, const char *name, const char *action,
        const Caller **ret_caller, Role **ret_role, sd_bus_error *error);

/* Sends its signal. */
void node_dbus_event(void *world, const Event *event);

/* Has the bus taken the signals of all events? Asks it, if there are any new; or asks and waits, for a moment: at the end. */
void events_dbus_confirm(Agent *agent);
void events_dbus_confirm_all(Agent *agent);
