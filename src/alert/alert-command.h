/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The commands of an alert are a transient service of systemd, which has their user, their environment, their
 * time limit and their output. This program starts no process. */

#include <systemd/sd-bus.h>

#include "alert/alert-event.h"
#include "alert/alert-settings.h"

/* Makes the call. The unit has the same name whenever it is made for this event. Returns a negative errno. */
int alert_command_new(sd_bus *bus, const Alert *alert, const Incident *event, const char *instance,
        const char *host, sd_bus_message **ret);
