/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The agent is the running service. It composes one node and the rooms that are its world, in the order in
 * which they begin and end, and sends the notifications to systemd. */

#include <glib.h>
#include <stdbool.h>
#include <systemd/sd-event.h>

#include "base/trim.h"
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
        int dir_fd;   /* the runtime directory */
        int state_fd; /* the state directory, or a negative errno */
        RoleStore store;

        Node *node;
        Clients *clients;
        Manager *manager;
        Scopes *scopes;
        Children *children;

        sd_event_source *at_exit;     /* runs when the loop ends */
        sd_event_source *keeper_wait; /* at start-up, limits how long calls wait for the keeper */
        sd_event_source *trimming;    /* while a trim is due */
        Trim trim;
        char *settings_fault;    /* the error of the configuration, or NULL */
        char *definitions_fault; /* the same of the directories of role files */
        bool asked_why;          /* SIGTERM has arrived, and systemd was asked for the reason */
} Agent;

int agent_new(sd_event *event, Instance *instance /* owned from then on */, Agent **ret);
Agent *agent_free(Agent *agent);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Agent, agent_free)
