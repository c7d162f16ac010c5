/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The node: all roles of one instance, by name. */

#include <glib.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "model/env.h"
#include "model/events.h"
#include "model/monitor.h"
#include "model/ports.h"
#include "model/role.h"
#include "model/settings.h"
#include "model/shutdown-state.h"
#include "model/world.h"

#define NODE_MAX_CONCURRENT_STARTS 100U
#define NODE_MAX_ENDED_ROLES 1000U
#define NODE_MAX_ROLES 16384U
#define NODE_SLICE_ROLES 32U /* systemd walks all siblings of a slice at each start */

struct Node {
        char *instance;
        bool user;       /* a user's, not the machine's */
        char *slice;     /* architect-<instance>.slice */
        sd_event *event; /* for the roles' timers */
        const NodeWorld *world;
        void *world_data;
        Events *events;
        Settings *settings; /* in force */
        Env *env;           /* what roles begin with */
        Monitor *monitor;
        Ports *ports;

        GHashTable *roles;   /* name → Role, the current run; owned */
        GQueue *start_queue; /* Roles in ROLE_PHASE_QUEUED; not owned */
        GQueue *ended;       /* ended and swept, oldest first; not owned */
        GArray *slices;      /* guint: roles in each sub-slice */
        unsigned n_starts;   /* started and not yet running or undone */
        unsigned n_not_ended;
        uint64_t next_child;

        int dir_fd;       /* not owned; -1: nothing is kept */
        Shutdown resumed; /* which the process before us had begun */
        bool stopping;
        bool stuck; /* a shutdown met a process that would not die */
        bool finished;
};

Node *node_new(const char *instance, sd_event *event, Events *events /* taken */, const NodeWorld *world,
        void *world_data);
Node *node_free(Node *node);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Node, node_free)

/* For whoever still waits for something when this process ends: the next one goes on with the roles, not with the questions. */
void node_set_leaving_fault(Fault *fault);

/* Reads what the process before us has left in this directory about environment, monitor and ports; -1: nothing, in memory only. */
int node_open_state(Node *node, int dir_fd);

/* Puts other settings in force; roles that run keep what they were started with. */
void node_set_settings(Node *node, Settings *settings /* taken */);

/* Makes a role in starting and queues it. Once it returns 0 the waiter will be told, exactly once. */
int node_start_role(Node *node, const char *name, RoleSpec *spec /* taken on success */, const Caller *caller,
        Waiter waiter, Fault *fault);

int node_find_role(Node *node, const char *name, Role **ret, Fault *fault);

/* Stop or kill: the waiter is told, exactly once, perhaps before this returns. */
void node_stop_role(Node *node, Role *role, RoleCause cause, const Caller *caller, Waiter waiter);

int node_signal_role(
        Node *node, Role *role, bool all, int signo, const Caller *caller, Waiter waiter, Fault *fault);

/* All or none of the named ones; names empty: every one that can be. Returns the purged names (a GStrv) in *ret. */
int node_purge(Node *node, char **names, const Caller *caller, char ***ret, Fault *fault);
void node_purge_role(Node *node, Role *role, const Caller *caller);

/* Stops everything, then world->finished(). A second call joins the first. */
void node_shutdown(Node *node, const char *reason, const Caller *caller);

/* Ends the shutdown that a crash has interrupted, if there is one. */
void node_resume_shutdown(Node *node);

/* Refuses what changes something while we shut down. */
int node_check_not_stopping(Node *node, Fault *fault);

/* What has happened: it gets its number and is saved, before anybody is told. False: it could not be saved, which has been logged. */
bool node_event_add(Node *node, EventType type, Role *role, GVariant *details, Event *ret);
/* Nothing is told of an event that has been told before (its number is 0). */
void node_event_tell(Node *node, const Event *event, Role *role);

/* After a restart: roles whose saved state is older than what was said of them are brought up to date; and what the process
 * before us has saved and perhaps not said is told, with its numbers. */
void node_restore_events(Node *node);
void node_tell_unsent_events(Node *node);

/* For roles: a start is over (running or undone), a slot is free, the keeper is back. */
void node_pump_starts(Node *node);
void node_start_over(Node *node, Role *role);
void node_role_swept(Node *node, Role *role);
void node_role_stuck(Node *node, Role *role);
void node_remove_role(Node *node, Role *role); /* out of the table, and freed */

/* The sub-slice with room, by index; "architect-main-3.slice" (the caller frees). */
int node_slice_take(Node *node);
void node_slice_retake(Node *node, int slice); /* a role loaded from disk has it */
void node_slice_release(Node *node, int slice);
bool node_slice_is_empty(Node *node, int slice);
char *node_slice_name(Node *node, int slice);

/* Puts a role loaded from disk into the table. */
void node_add_role(Node *node, Role *role);
