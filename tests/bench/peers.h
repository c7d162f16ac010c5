/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Other programs that start and stop N sleepers, to compare with. All of them are started by this one, and
 * their sleepers write to a FIFO when they run. */

#include <systemd/sd-bus.h>

/* The ms until the last sleeper runs, and until all have ended. */
double plain_start(sd_bus *bus, unsigned n); /* posix_spawn() */
double plain_stop(sd_bus *bus, unsigned n);  /* SIGTERM to each, waitpid() of each */
double s6_start(sd_bus *bus, unsigned n);    /* s6-svscan, from its start */
double s6_stop(sd_bus *bus, unsigned n);     /* SIGTERM to s6-svscan, which stops all, until it has ended */

/* supervisord, which is up already, by one call of startProcessGroup; by one of stopProcessGroup. */
double supervisord_start(sd_bus *bus, unsigned n);
double supervisord_stop(sd_bus *bus, unsigned n);

/* systemd-run --scope for each, 32 at a time. Then it ends them. */
double systemd_run_start(sd_bus *bus, unsigned n);
