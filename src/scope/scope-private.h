/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Shared by scope.c, scope-batch.c, scope-cause.c and cgroup-watch.c only. */

#include "model/node.h"
#include "model/role.h"
#include "scope/manager.h"
#include "scope/scope.h"
#include "util/autoptr.h"

struct Scopes {
        Manager *manager;
        Node *node;
        char *own_unit;
        char *keeper_unit;
        /* Systemd 252 has no OOMPolicy= of scopes in its first releases; its reply shows that. */
        bool no_oom_policy;
        bool no_pidfds;
        GQueue *queue; /* Roles that wait for the next batch */
        sd_event_source *flush;
        unsigned in_flight; /* calls that create scopes */
        uint64_t n_anchors;
        /* Index of a sub-slice that systemd may have loaded → how many OOM kills in it are those of roles
         * that have ended, or were counted before */
        GHashTable *slices;
        GHashTable *own_slices; /* Role with memory-max → the name of its slice */
        sd_event_source *slice_idle;
        GHashTable *freezing; /* units that are killed as soon as they are frozen */
        GHashTable *causes;   /* Role → CauseWatch */
        uint64_t n_cause_watches;

        int inotify_fd;      /* negative if there is no instance for this user */
        bool inotify_failed; /* the last attempt to watch a cgroup, or to get an instance; has been logged */
        sd_event_source *inotify;
        GHashTable *watches;   /* inotify's number → Role */
        GHashTable *watched;   /* unit name of its scope → Role */
        GHashTable *looked_at; /* Roles that inotify does not watch, which the timer looks at */
        sd_event_source *look;
};

/* Returns whether scopes are created with pidfds (systemd 255) instead of pids. This is in scope.c. */
bool scopes_use_pidfds(void *data);

/* scope-batch.c */
int scope_start(void *data, Role *role); /* ScopeOps.start */
void scope_batch_flush(Scopes *scopes);

/* scope-cause.c */
int scope_cause_setup(Scopes *scopes);
void scope_cause_free(void *p);
/* A scope was made; its sub-slice may be new. */
void scope_cause_add_slice(Scopes *scopes, Role *role, const char *cgroup);
int scope_oom_kills(void *data, Role *role, unsigned *ret); /* ScopeOps.oom_kills */
int scope_query_stop(void *data, Role *role);               /* ScopeOps.query_stop */

/* cgroup-watch.c */
int cgroup_watch_setup(Scopes *scopes);
void cgroup_watch_done(Scopes *scopes);
int cgroup_watch_add(void *data, Role *role); /* ScopeOps.cgroup_watch */
void cgroup_watch_remove(Scopes *scopes, Role *role);
/* ScopeOps.cgroup_state */
int cgroup_watch_state(void *data, Role *role, bool *ret_populated, bool *ret_frozen);
char *cgroup_watch_pids(void *data, Role *role); /* ScopeOps.cgroup_pids */
