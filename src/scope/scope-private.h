/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Shared by scope.c, scope-batch.c, scope-cause.c and cgroup-watch.c, and nobody else. */

#include "model/node.h"
#include "model/role.h"
#include "scope/manager.h"
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
        GHashTable *causes;   /* Role → CauseWatch */
        uint64_t n_cause_watches;

        int inotify_fd;
        sd_event_source *inotify;
        GHashTable *watches; /* inotify's number → Role */
        GHashTable *watched; /* unit name of its scope → Role */
};

/* scope.c: whether scopes are made with pidfds (systemd 255), not with pids. */
bool scopes_use_pidfds(void *data);

/* scope-batch.c */
int scope_start(void *data, Role *role); /* ScopeOps.start */
void scope_batch_flush(Scopes *scopes);

/* scope-cause.c */
int scope_cause_setup(Scopes *scopes);
void scope_cause_free(void *p);
int scope_query_oom(void *data, Role *role);  /* ScopeOps.query_oom */
int scope_query_stop(void *data, Role *role); /* ScopeOps.query_stop */

/* cgroup-watch.c */
int cgroup_watch_setup(Scopes *scopes);
void cgroup_watch_done(Scopes *scopes);
int cgroup_watch_add(void *data, Role *role); /* ScopeOps.cgroup_watch */
void cgroup_watch_remove(Scopes *scopes, Role *role);
int cgroup_watch_state(
        void *data, Role *role, bool *ret_populated, bool *ret_frozen); /* ScopeOps.cgroup_state */
char *cgroup_watch_pids(void *data, Role *role);                        /* ScopeOps.cgroup_pids */
