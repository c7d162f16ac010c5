/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Shared by scope.c, scope-batch.c, scope-oom.c and scope-stop.c, and nobody else. */

#include "model/node.h"
#include "scope/scope.h"
#include "util/autoptr.h"

struct Scopes {
        Manager *manager;
        Node *node;
        char *instance;
        char *own_unit;
        char *keeper_unit;
        bool no_oom_policy; /* systemd 252 as released has none on scopes; learned from its answer */
        bool no_pidfds;
        GQueue *queue; /* Roles that wait for the next batch */
        sd_event_source *flush;
        unsigned in_flight; /* calls that make scopes */
        uint64_t n_anchors;
        GHashTable *slices; /* indices of sub-slices that systemd may have loaded */
        sd_event_source *slice_idle;
        GHashTable *freezing; /* units that are to be killed as soon as they are frozen */
        GHashTable *oom;      /* Role → OomQuery */
        GHashTable *stops;    /* Role → StopWatch */
        uint64_t n_stop_watches;
};

/* scope-batch.c */
void scope_batch_flush(Scopes *scopes);

/* scope-oom.c */
void scope_oom_free(void *p);

/* scope-stop.c */
int scope_stop_setup(Scopes *scopes);
void scope_stop_free(void *p);
