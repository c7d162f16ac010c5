/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The clients on the bus (ClientOps of model/world.h): the connection, its names, every object and method. */

#include <glib.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "model/node.h"

typedef struct Clients Clients;

/* What the event loop returns when the bus has gone: nothing but a new connection helps. */
#define CLIENTS_BUS_LOST 0x100

/* Attaches itself to the node, without a connection. */
int clients_new(sd_event *event, Node *node, Clients **ret);

/* Waits a moment until the bus has read what was said last: to be freed after the node, which answers those who wait. */
Clients *clients_free(Clients *clients);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Clients, clients_free)

/* Connects to the system bus, or to the user's, and registers the objects. What fails has been logged. */
int clients_open(Clients *clients, bool user);

/* The roles that the node has now are of the process before us: no client is told of their objects as new. */
void clients_adopt_roles(Clients *clients);

/* The log level, and whether messages go out as signals, as the process before us left them in this directory (not owned). */
void clients_load_log(Clients *clients, int dir_fd);
void clients_forget_log(Clients *clients); /* after a clean end */

/* Asks for the names. When the own one is there what the process before us has not told is told, then ServiceOps.named()
 * follows; when it cannot be had the event loop ends with EXIT_FAILURE. What fails at once has been logged. */
int clients_request_names(Clients *clients, const char *bus_name);

/* The loop has ended: asks the bus once more whether it has taken every signal, and waits a moment for the answer. */
void clients_finish(Clients *clients);

sd_bus *clients_bus(Clients *clients);
