/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The names of the node on a bus. */

#define NODE_BUS_NAME "org.architect.Node" /* of the instance main; others append ".<instance>" */
/* Every instance queues for it, because the bus policy names it. */
#define NODE_BUS_NAME_ALL "org.architect.NodeInstances"
/* Each queues for it with its second connection, on which it talks to systemd, logind and polkit. Nobody else
 * may send anything there. */
#define NODE_BUS_NAME_INTERNAL "org.architect.NodeInternal"
#define NODE_PATH "/org/architect/Node"
#define NODE_ROLE_PATH_PREFIX NODE_PATH "/role"
#define NODE_INTERFACE "org.architect.Node"
#define NODE_ROLE_INTERFACE "org.architect.Node.Role"
#define NODE_DEFAULT_INSTANCE "main"
#define NODE_RUNTIME_DIRECTORY "/run/architect-node"   /* contains one directory for each instance */
#define NODE_STATE_DIRECTORY "/var/lib/architect-node" /* the same */
#define NODE_PRIVATE_SOCKET "private"                  /* in the directory of the instance, for root */
