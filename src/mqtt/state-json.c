/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/macro.h"
#include "client/json.h"
#include "client/properties.h"
#include "mqtt/state-json.h"

static const Property node_properties[] = {
        { "Version", "s", offsetof(NodeProperties, version) },
        { "State", "s", offsetof(NodeProperties, state) },
        { "EventEpoch", "s", offsetof(NodeProperties, event_epoch) },
        { "EventSequence", "t", offsetof(NodeProperties, event_sequence) },
};

static const Property role_properties[] = {
        { "Name", "s", offsetof(RoleProperties, name) },
        { "State", "s", offsetof(RoleProperties, state) },
        { "ExitCode", "s", offsetof(RoleProperties, exit_code) },
        { "Cause", "s", offsetof(RoleProperties, cause) },
        { "Result", "s", offsetof(RoleProperties, result) },
        { "StatusText", "s", offsetof(RoleProperties, status_text) },
        { "ExitStatus", "i", offsetof(RoleProperties, exit_status) },
        { "MainPID", "u", offsetof(RoleProperties, main_pid) },
        { "NRestarts", "u", offsetof(RoleProperties, n_restarts) },
        { "StartTimestamp", "t", offsetof(RoleProperties, start_usec) },
        { "ExitTimestamp", "t", offsetof(RoleProperties, exit_usec) },
        { "NextStartUSec", "t", offsetof(RoleProperties, next_start_usec) },
        { "Ready", "b", offsetof(RoleProperties, ready) },
};

int node_properties_read(sd_bus_message *m, NodeProperties *node) {
        int r = properties_read(m, node_properties, ELEMENTSOF(node_properties), node);

        return r >= 0 && (!node->version || !node->state || !node->event_epoch) ? -EBADMSG : r;
}

void node_properties_clear(NodeProperties *node) {
        properties_clear(node_properties, ELEMENTSOF(node_properties), node);
}

int role_properties_read(sd_bus_message *m, RoleProperties *role) {
        int r = properties_read(m, role_properties, ELEMENTSOF(role_properties), role);

        return r >= 0 && (!role->name || !role->state || !role->exit_code || !role->cause || !role->result)
                       ? -EBADMSG
                       : r;
}

void role_properties_clear(RoleProperties *role) {
        properties_clear(role_properties, ELEMENTSOF(role_properties), role);
}

/* What is empty or 0 on D-Bus because there is no value is null here. */
static void append_string(GString *json, const char *key, const char *text) {
        g_string_append_printf(json, "\"%s\":", key);
        if (text && text[0])
                json_append_string(json, text);
        else
                g_string_append(json, "null");
        g_string_append_c(json, ',');
}

static void append_number(GString *json, const char *key, uint64_t number) {
        if (number == 0)
                g_string_append_printf(json, "\"%s\":null,", key);
        else
                g_string_append_printf(json, "\"%s\":%" PRIu64 ",", key, number);
}

char *node_state_json(const NodeProperties *node) {
        GString *json = g_string_new("{");

        append_string(json, "state", node ? node->state : "gone");
        append_string(json, "version", node ? node->version : NULL);
        append_string(json, "epoch", node ? node->event_epoch : NULL);
        json->str[json->len - 1] = '}';
        return g_string_free(json, false);
}

char *role_state_json(const RoleProperties *role) {
        const bool has_ended = role->exit_code[0];
        GString *json = g_string_new("{");

        append_string(json, "role", role->name);
        append_string(json, "state", role->state);
        g_string_append_printf(json, "\"ready\":%s,", role->ready ? "true" : "false");
        append_string(json, "code", role->exit_code);
        if (has_ended)
                g_string_append_printf(json, "\"status\":%" PRIi32 ",", role->exit_status);
        else
                g_string_append(json, "\"status\":null,");
        append_string(json, "cause", role->cause);
        append_string(json, "result", has_ended ? role->result : NULL);
        append_number(json, "main-pid", role->main_pid);
        append_number(json, "since-realtime-usec", has_ended ? role->exit_usec : role->start_usec);
        append_number(json, "start-realtime-usec", role->start_usec);
        append_number(json, "exit-realtime-usec", role->exit_usec);
        g_string_append_printf(json, "\"restarts\":%s,", role->next_start_usec > 0 ? "true" : "false");
        g_string_append_printf(json, "\"n-restarts\":%" PRIu32 ",", role->n_restarts);
        append_string(json, "status-text", role->status_text);
        return g_string_free(json, false);
}

char *role_state_json_complete(const char *state, const char *epoch, uint64_t seq) {
        GString *json = g_string_new(state);

        append_string(json, "epoch", epoch);
        g_string_append_printf(json, "\"seq\":%" PRIu64 "}", seq);
        return g_string_free(json, false);
}
