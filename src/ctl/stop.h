/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Stopping roles, also as a part of another verb. */

#include "ctl/ctl.h"

typedef struct CtlStop {
        const char *one, *many; /* the methods */
        const char *doing;      /* for people, as "stopping" */
        const char *goes_on;    /* said at Ctrl-C */
} CtlStop;

extern const CtlStop ctl_stop, ctl_kill;

/* Stops the roles with these names or in these groups, or all if there are none, and waits until they are
 * gone; on a terminal it shows which ones are not yet. Reports each error. */
CtlExit ctl_stop_roles(Ctl *ctl, const CtlStop *stop, char *const *roles);

/* Reads the arguments of a verb for several roles: names from argv[optind] on, or --all, which leaves none;
 * and
 * --force, for managed.h. Returns true if the verb is to go on; otherwise it returns *ret. */
bool ctl_read_roles(Ctl *ctl, int argc, char *argv[], bool *ret_force, CtlExit *ret);
