/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which of several services on one machine this is: all that follows from its name. Two instances share nothing. */

#include <glib.h>
#include <stdbool.h>

typedef struct Instance {
        char *name;
        char *bus_name;
        char *keeper_unit;
        char *own_unit; /* NULL: not run by systemd */
        char *runtime_directory;
        char *keeper_socket;
        char *settings_directory;
} Instance;

/* The name is valid. -EBUSY: another unit is meant for this instance, and it has been said which. */
int instance_new(const char *name, Instance **ret);
Instance *instance_free(Instance *instance);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Instance, instance_free)
