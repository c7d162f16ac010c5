/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The running service: one node, and the rooms that are its world. Composition only: the order in which they begin and end, and
 * what systemd is told of it. */

#include <glib.h>
#include <stdbool.h>
#include <systemd/sd-event.h>

#include "bus/clients.h"
#include "link/children.h"
#include "model/node.h"
#include "model/role-state.h"
#include "node/instance.h"
#include "scope/manager.h"
#include "scope/scope.h"

typedef struct Agent {
        sd_event *event;
        Instance *instance;
        int dir_fd; /* the runtime directory */
        RoleStore store;

        Node *node;
        Clients *clients;
        Manager *manager;
        Scopes *scopes;
        Children *children;

        sd_event_source *at_exit;     /* the last words, when the loop ends */
        sd_event_source *keeper_wait; /* start-up: how long calls are held for the keeper */
        char *settings_fault;         /* what is wrong with the configuration; NULL: nothing */
} Agent;

int agent_new(sd_event *event, Instance *instance /* taken */, Agent **ret);
Agent *agent_free(Agent *agent);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Agent, agent_free)

/* SIGTERM, SIGINT: why? A restart leaves the roles alone, everything else stops them. */
void agent_on_stop_signal(Agent *agent);

/* agent-settings.c: the configuration. */
void agent_load_settings(Agent *agent); /* at the start */
/* Reads it again; a fault leaves the old one in force, and systemd's status line says so. */
int agent_reload(Agent *agent, Fault *fault);
/* The same, asked for by systemd or by hand: systemd is told when it begins and when it is done. */
void agent_on_reload_signal(Agent *agent);
void agent_notify_ready(Agent *agent);

/* agent-stop.c: why systemd wants us to stop. */
void agent_ask_why(Agent *agent);
