/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A connection with systemd itself, without a bus daemon between: its socket for systemctl, which accepts
 * root alone. It is fast while others flood the bus, or the bus stands still. But systemd sends all of its
 * signals to it, whether anybody subscribes to them or not, so it is open only while somebody needs it. */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#define DIRECT_ADDRESS "unix:path=/run/systemd/private"

typedef struct Direct Direct;

typedef struct DirectHandler {
        sd_bus_message_handler_t job_new, job_removed; /* signals of the manager */
        void (*lost)(void *userdata); /* the other end has closed it, as at a daemon-reexec */
} DirectHandler;

/* Returns a negative errno, for example -ENOENT. A later failure is reported by the handler. */
int direct_new(
        sd_event *event, const char *address, const DirectHandler *handler, void *userdata, Direct **ret);
Direct *direct_free(Direct *direct);

sd_bus *direct_bus(const Direct *direct);
