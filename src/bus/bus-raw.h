/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A reply whose body is bytes. sd-bus makes a message of bytes only when it receives them, so a connection of
 * this process with itself receives them, and sd_bus_send() passes the message on as it is, as
 * systemd-stdio-bridge does with what it receives. The bytes are not checked: the bus daemon ends the
 * connection of a service that sends invalid ones. */

#include <glib.h>
#include <systemd/sd-bus.h>

#include "bus/bus-bytes.h"

typedef struct BusRaw BusRaw;

/* Returns a negative errno. */
int bus_raw_new(BusRaw **ret);
BusRaw *bus_raw_free(BusRaw *raw);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BusRaw, bus_raw_free)

/* Replies to a method call. Returns what sd_bus_send() returns. */
int bus_raw_reply(BusRaw *raw, sd_bus_message *call, const char *signature, const BusBytes *body);
