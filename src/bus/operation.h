/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A call that is replied to later. The operation has a reference to the message until its result is known. */

#include <systemd/sd-bus.h>

#include "model/world.h"

/* The waiter replies to the call, with path (an "o"), or without a value if path is NULL, or with a D-Bus
 * error if it receives a fault. It frees the operation. */
Waiter operation_new(sd_bus_message *call, const char *path);

/* Replies to a call immediately, with this fault. The caller keeps its reference to the message. */
void operation_fail(sd_bus_message *call, const Fault *fault);

/* Does that for all calls of the queue, and unrefs them. */
void operation_fail_all(GQueue *calls, const Fault *fault);

/* Lets a call that was kept be received again. If that fails, replies with the error and returns a negative
 * errno. The caller keeps its reference to the message. */
int operation_resume(sd_bus *bus, sd_bus_message *call);

/* Sets *ret to a fault that occurred in the handler itself. error is the negative errno if the fault has no
 * message. Returns what the handler must return. */
int fault_to_bus_error(const Fault *fault, int error, sd_bus_error *ret);
