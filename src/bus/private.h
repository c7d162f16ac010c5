/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The private socket: the objects and methods of the node, without a bus. The bus hands the calls of all
 * users to the service in the order of their arrival, and passes on no more than it likes in a turn, so a
 * user who floods the bus keeps root's calls from it, however fast it reads. Here only root connects, or the
 * user whose service this is, and each client has a connection of its own. Signals are on the bus only. */

typedef struct Clients Clients;
typedef struct Private Private;

/* Listens in this directory, which it does not own. What is there under that name is removed first, so only
 * the process that has the name on the bus may call this. Returns a negative errno. */
int private_new(Clients *clients, const char *directory, Private **ret);
/* Closes all connections. Returns NULL. */
Private *private_free(Private *private);
