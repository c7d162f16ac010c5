/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A call whose answer comes later: owns the message until whoever it waits for is done. */

#include <systemd/sd-bus.h>

#include "model/world.h"

/* Answers the call with path (an "o"), or with nothing when path is NULL; with a D-Bus error when it is told a fault. */
Waiter operation_new(sd_bus_message *call, const char *path);

/* Answers a call at once, by this fault. The call stays the caller's. */
void operation_fail(sd_bus_message *call, const Fault *fault);

/* An immediate fault as the error of a method: returns what the handler must return. */
int fault_to_bus_error(const Fault *fault, int error, sd_bus_error *ret);
