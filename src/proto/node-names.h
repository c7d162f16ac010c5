/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The names under which the node is found on a bus. */

#define NODE_BUS_NAME "org.architect.Node" /* of the instance main; others append ".<instance>" */
#define NODE_BUS_NAME_ALL \
        "org.architect.NodeInstances" /* every instance queues for it: the bus policy names it */
#define NODE_PATH "/org/architect/Node"
#define NODE_ROLE_PATH_PREFIX NODE_PATH "/role"
#define NODE_INTERFACE "org.architect.Node"
#define NODE_ROLE_INTERFACE "org.architect.Node.Role"
#define NODE_DEFAULT_INSTANCE "main"
#define NODE_RUNTIME_DIRECTORY "/run/architect-node" /* below it, one directory an instance */
