/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the verbs of architectctl share. Each verb is a function like main(): its arguments begin with its own name, and it returns the
 * exit status, having said on stderr what went wrong. */

#include <stdbool.h>
#include <systemd/sd-bus.h>

#include "base/macro.h"

typedef struct Ctl {
        const char *instance;
        bool user; /* the session bus */
} Ctl;

int verb_attach(const Ctl *ctl, int argc, char *argv[]);

/* Connects to the bus. Negative errno, and it has been said. */
int ctl_open_bus(const Ctl *ctl, sd_bus **ret);

/* The service's name on the bus. The caller frees; NULL: no memory. */
char *ctl_bus_name(const Ctl *ctl);

/* "architectctl: TEXT" on stderr. */
_printf_(1, 2) void ctl_error(const char *fmt, ...);
