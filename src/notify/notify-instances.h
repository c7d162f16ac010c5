/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which instances of the node there are on a bus, or were while this program runs. None is started by that.
 */

#include <systemd/sd-bus.h>

/* An instance that was not there before, by its valid name. Also called before notify_instances_watch()
 * returns, and for one that comes back. */
typedef void (*NotifyInstanceFound)(sd_bus *bus, const char *instance, void *userdata);

typedef struct NotifyInstances {
        sd_bus *bus;
        NotifyInstanceFound found;
        void *userdata;
} NotifyInstances;

/* The object lives as long as the connection. Returns a negative errno. */
int notify_instances_watch(NotifyInstances *instances);
