/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The node: all roles of one instance, by name, and what they share. What is done with them is above it, a file a verb:
 * node-start, node-stop, node-purge, node-events, node-setup. */

#include <glib.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "model/fault.h"
#include "model/model-forward.h"
#include "model/shutdown-state.h"
#include "model/world.h"

#define NODE_SLICE_ROLES 32U /* systemd walks all siblings of a slice at each start */

/* What a role reports to those verbs, which stand above it: node-reports.c. */
typedef struct NodeReports {
        void (*start_over)(Node *node, Role *role); /* running, or undone (NULL): a slot may be free */
        void (*role_swept)(Node *node, Role *role); /* may free the role */
        void (*role_stuck)(Node *node, Role *role);
} NodeReports;

struct Node {
        char *instance;
        bool user;       /* a user's, not the machine's */
        char *slice;     /* architect-<instance>.slice */
        sd_event *event; /* for the roles' timers */
        NodeWorld world;
        const NodeReports *reports;
        Events *events;
        Settings *settings; /* in force */
        Env *env;           /* what roles begin with */
        Monitor *monitor;
        Ports *ports;

        GHashTable *roles;   /* name → Role, the current run; owned */
        GQueue *start_queue; /* Roles in ROLE_PHASE_QUEUED; not owned */
        GQueue *ended;       /* ended and swept, oldest first; not owned */
        GArray *slices;      /* guint: roles in each sub-slice */
        unsigned slice_hint; /* those before it are full */
        unsigned n_starts;   /* started and not yet running or undone */
        bool pumping;        /* node_pump_starts() runs */
        unsigned n_not_ended;
        unsigned n_awaited; /* runs that a shutdown waits for */
        uint64_t next_child;

        int dir_fd;       /* not owned; -1: nothing is kept */
        Shutdown resumed; /* which the process before us had begun */
        bool recovered;   /* the roles of the process before us are up to date */
        bool stopping;
        bool stuck; /* a shutdown met a process that would not die */
        bool finished;
};

/* For whoever still waits for something when this process ends: the next one goes on with the roles, not with the questions. */
void node_set_leaving_fault(Fault *fault);

int node_find_role(Node *node, const char *name, Role **ret, Fault *fault);

/* Refuses what changes something while we shut down. */
int node_check_not_stopping(Node *node, Fault *fault);

/* A start needs both: the keeper, and a systemd that answers. */
bool node_can_start(const Node *node);

void node_add_role(Node *node, Role *role);    /* a new one, or one loaded from disk; owned from then on */
void node_remove_role(Node *node, Role *role); /* out of the table, and freed */

void node_drop_role(Node *node, Role *role); /* out of the queues and counts: it is being freed */

/* The queues of roles, in each of which a role knows its place. */
void node_queue_start(Node *node, Role *role);       /* it waits for its turn, after all others */
void node_queue_start_first(Node *node, Role *role); /* its turn has come once already */
void node_unqueue_start(Node *node, Role *role);
void node_add_ended(Node *node, Role *role); /* ended and swept: it may be purged */
void node_remove_ended(Node *node, Role *role);

/* What a shutdown waits for may have changed: the state of the role, or the step of its stop. */
void node_count_role(Node *node, Role *role);

/* The sub-slice with room, by index; "architect-main-3.slice" (the caller frees). */
int node_slice_take(Node *node);
void node_slice_retake(Node *node, int slice); /* a role loaded from disk has it */
void node_slice_release(Node *node, int slice);
bool node_slice_is_empty(Node *node, int slice);
char *node_slice_name(Node *node, int slice);
