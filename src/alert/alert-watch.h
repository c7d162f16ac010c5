/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One instance of the node: reads its events and starts the commands of the alerts that match. Of the node it
 * only ever calls what reads, and never starts the service by a call.
 *
 * One event is handled at a time, until systemd has taken its commands; how long these run does not matter.
 * All others wait in the log of the node, not here. */

#include <glib.h>
#include <stdbool.h>
#include <systemd/sd-bus.h>

typedef struct AlertWatch AlertWatch;

/* Called when a watch that was asked to stop has done so. */
typedef void (*AlertWatchStopped)(void *userdata);

/* The bus must be attached to the loop. alerts (of Alert *) must live as long. The position is saved in the
 * state directory. Returns a negative errno after logging. */
int alert_watch_new(sd_bus *bus, const char *instance, const char *host, GPtrArray *alerts, int state_fd,
        AlertWatch **ret);
AlertWatch *alert_watch_free(AlertWatch *watch);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AlertWatch, alert_watch_free)

/* Begins no other event. Calls the callback when the one that was begun is done, which may be now, and saves
 * the position before. */
void alert_watch_stop(AlertWatch *watch, AlertWatchStopped stopped, void *userdata);
