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
        /* Name of a sub-slice that systemd may have loaded → how many OOM kills in it are those of roles
         * that have ended, or were counted before */
        GHashTable *slices;
        GHashTable *own_slices; /* Role with memory-max → the name of its slice */
        sd_event_source *slice_idle;
        GHashTable *freezing; /* units that are killed as soon as they are frozen */
        GHashTable *causes;   /* Role → CauseWatch */
        uint64_t n_cause_watches;

        int stop_fd;              /* inotify's, for stop-watch.c; negative if there is none */
        GHashTable *stop_numbers; /* inotify's number → Role */
        GHashTable *stop_watches; /* Role → StopWatch */

        int inotify_fd;      /* negative if there is no instance for this user */
        bool inotify_failed; /* the last attempt to watch a cgroup, or to get an instance; has been logged */
        sd_event_source *inotify;
        GHashTable *watches; /* inotify's number → Role */
        /* The name of a cgroup, that of its unit → Role. The key belongs to what has the watch. */
        GHashTable *watched;
        GHashTable *looked_at;     /* Roles that inotify does not watch, which the timer looks at */
        GHashTable *stray_watches; /* Role → GPtrArray of StrayWatch */
        GHashTable *sessions;      /* Role → SessionQuery */
        struct StrayHints *hints;
        sd_event_source *look;
};

/* The watch of one cgroup; all 0 if there is none. */
typedef struct CgroupWatch {
        int number; /* inotify's */
        const char *name;
} CgroupWatch;

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
void cgroup_watch_setup(Scopes *scopes);
void cgroup_watch_done(Scopes *scopes);
int cgroup_watch_add(void *data, Role *role); /* ScopeOps.cgroup_watch */
/* Of a role that runs, for what freezes it. It costs less, because that no process is left may be missed, and
 * nothing looks by a timer if inotify cannot be used. */
void cgroup_watch_add_early(Scopes *scopes, Role *role, const char *cgroup);
void cgroup_watch_remove(Scopes *scopes, Role *role);
/* ScopeOps.cgroup_state */
int cgroup_watch_state(void *data, Role *role, bool *ret_populated, bool *ret_frozen);
/* name is that of its directory, and must last as long as the watch. */
int cgroup_watch_start(Scopes *scopes, Role *role, const char *cgroup, const char *name, CgroupWatch *ret);
void cgroup_watch_stop(Scopes *scopes, Role *role, CgroupWatch *watch);

/* stop-watch.c */
void stop_watch_setup(Scopes *scopes);
void stop_watch_done(Scopes *scopes);
/* known tells that systemd cannot have begun to stop it before. A failure is no error: systemd is asked. */
void stop_watch_add(Scopes *scopes, const Role *role, const char *cgroup, bool known);
bool stop_watch_exists(Scopes *scopes, const Role *role);
/* systemd was not stopping it, as it has said after the watch was there. */
void stop_watch_confirm(Scopes *scopes, const Role *role);
void stop_watch_remove(Scopes *scopes, const Role *role);
void stop_watch_clear(Scopes *scopes);                   /* gives all watches back */
bool scope_may_be_stopped(void *data, const Role *role); /* ScopeOps.may_be_stopped */

/* stray-watch.c */
GHashTable *stray_watches_new(void);
int stray_watches_add(Scopes *scopes, Role *role); /* for those without a watch */
void stray_watches_remove(Scopes *scopes, Role *role);
bool lone_process_lives(const LoneProcess *lone);
/* Sets *populated if a process of the role is left outside of its scope; otherwise it stays as it is. */
int strays_state(const Role *role, bool *populated);

/* strays.c */
void scope_find_strays(void *data, Role *role, GPtrArray *found); /* ScopeOps.find_strays */

/* stray-hints.c */
typedef struct StrayHints StrayHints;
int stray_hints_new(Scopes *scopes, StrayHints **ret);
StrayHints *stray_hints_free(StrayHints *hints);

/* session-query.c */
void session_query_free(void *p);
/* ScopeOps.query_session */
int scope_query_session(void *data, Role *role, const char *session, const Stray *stray);

/* left-processes.c */
char *scope_left_processes(void *data, Role *role); /* ScopeOps.cgroup_pids */
