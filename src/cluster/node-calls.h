/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The node, for a program that runs for a moment and has a limited time: calls that are made again when the
 * node restarts in between, and what systemd knows of a role when there is no node. */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "util/autoptr.h"

typedef struct NodeCalls {
        const char *instance;
        uint64_t deadline_usec; /* CLOCK_MONOTONIC; no call waits for longer */

        sd_bus *bus; /* the private socket of the node, or the system bus */
        bool is_private;
} NodeCalls;

/* The instance must live as long as it. */
void node_calls_init(NodeCalls *calls, const char *instance);
void node_calls_clear(NodeCalls *calls);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(NodeCalls, node_calls_clear)

/* Appends the arguments of a call, each time that it is made. Returns a negative errno. */
typedef int (*NodeCallFill)(sd_bus_message *call, const void *arguments);

/* Calls the node and waits for the reply, which the caller unrefs. fill and ret may be NULL. With start, a
 * node that does not run is started by the call. Returns -EHOSTDOWN if no node has answered before the
 * deadline, and another negative errno if it has refused; *error is set in both cases. A call whose answer
 * was lost with its node is made again, so it must be one that can be. */
int node_call(NodeCalls *calls, bool start, const char *path, const char *interface, const char *member,
        NodeCallFill fill, const void *arguments, sd_bus_error *error, sd_bus_message **ret);

/* Stores the control group of the scope of a role, which the caller frees, as systemd knows it; "" if there
 * is none. The node is not asked. Returns a negative errno. */
int node_calls_get_scope(NodeCalls *calls, const char *role, char **ret_cgroup);

/* Has systemd send SIGKILL to all processes in the scope of a role, and returns when it has none. Returns
 * -ETIMEDOUT at the deadline, or another negative errno. */
int node_calls_kill_scope(NodeCalls *calls, const char *role);
