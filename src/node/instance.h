/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The instance of the service, and all names that depend on it. Two instances on one machine share
 * nothing. */

#include <glib.h>
#include <stdbool.h>

typedef struct Instance {
        char *name;
        /* Uses the bus and the systemd of a user and serves that user only, instead of the system. */
        bool user;
        char *bus_name;
        char *keeper_unit;
        char *own_unit; /* NULL if systemd does not run it */
        char *runtime_directory;
        char *state_directory; /* for what survives a reboot */
        char *keeper_socket;
        char *settings_directory;
        char **definition_directories; /* the first one has the highest precedence */
} Instance;

/* The name must be valid. Returns a negative errno, after logging; -EBUSY if another unit is intended for
 * this instance. */
int instance_new(const char *name, bool user, Instance **ret);
Instance *instance_free(Instance *instance);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Instance, instance_free)
