/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>

#include "base/journal-streams.h"
#include "model/account-query.h"
#include "model/auto-start.h"
#include "model/definitions.h"
#include "model/dependents.h"
#include "model/env.h"
#include "model/events.h"
#include "model/input.h"
#include "model/leases.h"
#include "model/monitor.h"
#include "model/node-purge.h"
#include "model/node-reports.h"
#include "model/node-setup.h"
#include "model/node-start.h"
#include "model/outputs.h"
#include "model/ports.h"
#include "model/quota.h"
#include "model/role-freezer.h"
#include "model/role.h"
#include "model/settings.h"
#include "util/log.h"

static GRand *node_new_random(void) {
        const uint32_t seed = g_random_int();

        log_debug("The seed of the delays of restarts is %" PRIu32, seed);
        return g_rand_new_with_seed(seed);
}

Node *node_new(const char *instance, sd_event *event, Events *events) {
        Node *node = g_new0(Node, 1);

        node->instance = g_strdup(instance);
        node->slice = g_strdup_printf("architect-%s.slice", instance);
        node->event = sd_event_ref(event);
        node->events = events;
        node->reports = &node_reports;
        /* The keys are the names in the roles. */
        node->roles = g_hash_table_new(g_str_hash, g_str_equal);
        node->dependents = dependents_new();
        node->start_queue = g_queue_new();
        node->ended = g_queue_new();
        g_queue_init(&node->ends);
        node->slices = g_hash_table_new_full(NULL, NULL, NULL, node_slices_free);
        node->quotas = quotas_new();
        node->next_child = 1;
        node->random = node_new_random();
        node->dir_fd = -EBADF;
        node->settings = settings_new();
        node->definitions = definitions_new();
        node->accounts = accounts_open(node);
        node->outputs = outputs_new(node, JOURNAL_STREAMS_DIRECTORY);
        return node;
}

/* The role continues to run without this process. Queued bytes are not written, so their writers must get an
 * error. */
static void role_end_input(Role *role) {
        g_auto(Fault) fault = {};

        (void) fault_set(&fault, NODE_ERROR_SHUTTING_DOWN,
                "Role \"%s\": the service stops before all of it was written", role->name);
        role->input = input_free(role->input, &fault);
}

Node *node_free(Node *node) {
        g_auto(Fault) fault = {};
        GHashTableIter iter;
        Role *role;

        if (!node)
                return NULL;

        shutdown_clear(&node->resumed);
        node_set_leaving_fault(&fault);
        g_hash_table_iter_init(&iter, node->roles);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &role)) {
                g_hash_table_iter_steal(&iter);
                for (Role *r = role; r; r = r->predecessor) {
                        role_wake_start_waiters(r, &fault);
                        role_wake_stop_waiters(r, &fault);
                        (void) role_freezer_cancel(r, &fault);
                        role_end_input(r);
                }
                role_free(role);
        }
        sd_event_source_disable_unref(node->quiet);
        accounts_close(node->accounts);
        g_hash_table_unref(node->roles);
        g_hash_table_unref(node->dependents);
        g_queue_free(node->start_queue);
        g_queue_free(node->ended);
        g_hash_table_unref(node->slices);
        g_hash_table_unref(node->quotas);
        monitor_close(node->monitor);
        leases_close(node->leases);
        ports_close(node->ports);
        outputs_free(node->outputs);
        env_close(node->env);
        settings_free(node->settings);
        definitions_free(node->definitions);
        auto_start_close(node->auto_start);
        events_close(node->events);
        sd_event_unref(node->event);
        g_free(node->slice);
        g_rand_free(node->random);
        g_free(node->instance);
        g_free(node);
        return NULL;
}

int node_open_state(Node *node, int dir_fd, int state_fd) {
        node->dir_fd = dir_fd;
        int r = env_open(dir_fd, &node->env);
        if (r >= 0)
                env_set_user_max(node->env, node->settings->max_environment_per_user);
        if (r >= 0)
                r = monitor_open(node, dir_fd, &node->monitor);
        if (r >= 0)
                r = ports_open(node, dir_fd, &node->ports);
        if (r < 0)
                return r;
        shutdown_load(dir_fd, &node->resumed);
        node->auto_start = auto_start_open(dir_fd);
        node->leases = leases_open(node, dir_fd, state_fd);
        return 0;
}

void node_set_settings(Node *node, Settings *settings) {
        settings_free(node->settings);
        node->settings = settings;
        env_set_base(node->env, settings->environment);
        env_set_user_max(node->env, settings->max_environment_per_user);
        monitor_configure(node->monitor, settings->monitor_timeout_usec, settings->monitor_action);
        node_trim_ended(node);
        node_pump_starts(node);
}

void node_set_definitions(Node *node, Definitions *definitions) {
        GHashTableIter iter;
        Role *role;

        definitions_free(node->definitions);
        node->definitions = definitions;
        g_hash_table_iter_init(&iter, node->roles);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &role))
                if (role->spec->definition_hash)
                        ASK(node, clients, role_changed, role);
        ASK(node, clients, node_changed);
}

void node_forget_state(Node *node, bool clean) {
        shutdown_forget(node->dir_fd);
        if (clean) {
                ASK(node, store, forget_all);
                env_forget(node->env);
                monitor_forget(node->monitor);
                leases_forget(node->leases);
                ports_forget(node->ports);
        }
        auto_start_end(
                node->auto_start, clean); /* last: roles without this file are those of an older version */
}
