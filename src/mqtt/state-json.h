/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The state of roles and of the node, as the properties of their objects have it and as JSON. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

typedef struct NodeProperties {
        char *version, *state, *event_epoch;
        uint64_t event_sequence;
} NodeProperties;

typedef struct RoleProperties {
        char *name, *state, *exit_code, *cause, *result, *status_text;
        int32_t exit_status;
        uint32_t main_pid, n_restarts;
        uint64_t start_usec, exit_usec, next_start_usec;
        bool ready;
} RoleProperties;

/* Read an a{sv}. What was read before is replaced. Return a negative errno, which is -EBADMSG if a property
 * lacks that every version has. */
int node_properties_read(sd_bus_message *m, NodeProperties *node);
void node_properties_clear(NodeProperties *node);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(NodeProperties, node_properties_clear)
int role_properties_read(sd_bus_message *m, RoleProperties *role);
void role_properties_clear(RoleProperties *role);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(RoleProperties, role_properties_clear)

/* The caller frees these with g_free(). Without node (NULL), nobody has the name of the service. */
char *node_state_json(const NodeProperties *node);

/* The first part of the object, which differs if the role does. */
char *role_state_json(const RoleProperties *role);
/* The whole one. The state is not older than this event. */
char *role_state_json_complete(const char *state, const char *epoch, uint64_t seq);
