/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which of several services on one machine this is: all that follows from its name. Two instances share nothing. */

#include <glib.h>
#include <stdbool.h>

typedef struct Instance {
        char *name;
        bool user; /* on the bus and with the systemd of a user, for that user alone; else the machine's */
        char *bus_name;
        char *keeper_unit;
        char *own_unit; /* NULL: not run by systemd */
        char *runtime_directory;
        char *keeper_socket;
        char *settings_directory;
} Instance;

/* The name is valid. What fails has been logged; -EBUSY: another unit is meant for this instance. */
int instance_new(const char *name, bool user, Instance **ret);
Instance *instance_free(Instance *instance);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Instance, instance_free)
