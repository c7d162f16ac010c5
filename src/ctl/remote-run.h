/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A command on another host, by ssh, with the user's rights there. */

#include <stddef.h>

#include "ctl/ctl.h"

typedef struct RemoteRun {
        const char *const *argv;
        bool in_turn; /* with many: what it prints comes after all of the hosts before */

        /* With many: gets each line, without its end. */
        void (*on_line)(const char *line, size_t size, void *userdata);
        void *userdata;
} RemoteRun;

/* Runs it and waits for its end. For one host it has our stdout and stderr; for one of several, on_line()
 * gets what it prints, and its errors are those of the host. Returns its status. A host that is not reached
 * is reported, with CTL_EXIT_FAILED. */
CtlExit remote_run(Ctl *ctl, const RemoteRun *run);
