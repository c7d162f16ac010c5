/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Shared by the verbs of architectctl. Each verb is a function like main(): its arguments begin with its own
 * name, and it returns the exit status, after printing errors to stderr. */

#include <stdbool.h>
#include <systemd/sd-bus.h>

#include "base/macro.h"

typedef struct Ctl {
        const char *instance;
        bool user; /* uses the session bus */
} Ctl;

int verb_attach(const Ctl *ctl, int argc, char *argv[]);

/* Connects to the bus. Prints an error and returns a negative errno if that fails. */
int ctl_open_bus(const Ctl *ctl, sd_bus **ret);

/* Returns the name of the service on the bus. The caller frees it. Returns NULL if there is not enough
 * memory. */
char *ctl_bus_name(const Ctl *ctl);

/* Prints "architectctl: TEXT" to stderr. */
_printf_(1, 2) void ctl_error(const char *fmt, ...);
