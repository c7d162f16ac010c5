/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The clients on the bus are ClientOps of model/world.h. This room has the connection, the names, and all
 * objects and methods. */

#include <glib.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "model/node.h"

typedef struct Clients Clients;

/* The exit status of the event loop if the connection was lost. Only a new connection helps. */
#define CLIENTS_BUS_LOST 0x100

/* Attaches itself to the node, without a connection. Returns a negative errno. */
int clients_new(sd_event *event, Node *node, Clients **ret);

/* Waits for a limited time until the bus has read the last replies. It must be freed after the node, which
 * replies to the callers that wait. Returns NULL. */
Clients *clients_free(Clients *clients);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Clients, clients_free)

/* Connects to the system bus, or to the user bus if the node is that of a user, and registers the objects.
 * Logs an error and returns a negative errno if that fails. */
int clients_open(Clients *clients);

/* The current roles of the node are those of the previous process. Their objects are not announced again. */
void clients_adopt_roles(Clients *clients);

/* Loads the log level that the previous process has saved in this directory (not owned), and whether messages
 * are sent as signals. */
void clients_load_log(Clients *clients, int dir_fd);
void clients_forget_log(Clients *clients); /* removes them, after a clean end */

/* Requests the names. When the service has its own name, the events are sent that the previous process has
 * not sent, the private socket is opened in the directory, and ServiceOps.named() is called. If the name is
 * not available, the event loop ends with EXIT_FAILURE. Logs an error and returns a negative errno if a
 * request fails immediately. */
int clients_request_names(Clients *clients, const char *bus_name, const char *directory);

/* Called after the event loop. Verifies once more that the bus has read all signals, and waits for the reply
 * for a limited time. */
void clients_finish(Clients *clients);

/* The connection for what the service itself requests. */
sd_bus *clients_bus(Clients *clients);
