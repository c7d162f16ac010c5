/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The call by which systemd starts a transient service: StartTransientUnit, a property after the other. Our
 * clients fork nothing; what they want to be run has a unit of its own, which outlives them. Each function
 * returns a negative errno. */

#include <stdbool.h>
#include <systemd/sd-bus.h>

/* Begins the call for this unit, which must not be there. */
int transient_new(sd_bus *bus, const char *unit, sd_bus_message **ret);

/* The arguments are those of sd_bus_message_append() for one complete type. */
int transient_append(sd_bus_message *m, const char *name, const char *type, ...);
int transient_append_environment(sd_bus_message *m, char *const *environment);

/* The commands are appended between these two. The first word is the program. */
int transient_open_commands(sd_bus_message *m);
int transient_append_command(sd_bus_message *m, char *const *words, bool ignore_failure);
int transient_close_commands(sd_bus_message *m);

/* No other property and no other unit follows. */
int transient_end(sd_bus_message *m);
