/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The node has all roles of one instance, by name, and their shared state. The verbs stand above it, in one
 * file each (node-start, node-stop, node-purge, node-events, node-setup). */

#include <glib.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "model/fault.h"
#include "model/model-forward.h"
#include "model/role.h"
#include "model/shutdown-state.h"
#include "model/world.h"

#define NODE_SLICE_ROLES 32U /* because systemd walks all siblings in a slice at each start */
#define NODE_SLICES_MAX 512U /* sub-slices of one user: NODE_MAX_ROLES / NODE_SLICE_ROLES */
/* The sub-slices after these are in groups of so many, for the same reason. */
#define NODE_GROUP_SLICES 32U

/* What a role reports to those verbs, which stand above it (node-reports.c). */
typedef struct NodeReports {
        void (*start_over)(Node *node); /* running, or undone; a slot may be free */
        void (*role_ready)(Node *node, const Role *role);
        /* It has failed, of which the caller of Start, if there is one, has been told. The role may have the
         * name no longer. */
        void (*start_failed)(Node *node, const Role *role, const Fault *fault);
        void (*role_ended)(Node *node, const Role *role); /* its main process; others may be left */
        void (*role_swept)(Node *node, Role *role);       /* may free the role */
        void (*role_stuck)(Node *node, Role *role, const Fault *fault);
        void (*restart_due)(Node *node, Role *role);
        void (*restarted)(Node *node, const char *name); /* its policy has begun to start it again */
        /* It has missed a deadline (role-deadline.h), that of its watchdog or of its start, so it is stopped.
         */
        void (*role_late)(Node *node, Role *role, bool watchdog);
        /* The process that it has named as its main one has ended by a stop. */
        void (*named_main_ended)(Node *node, Role *role);
        /* The commands of exec-stop or exec-stop-post have ended, or could not be run. Saves the role, and
         * may free it. */
        void (*hooks_over)(Node *node, Role *role, HookKind kind);
        /* A process of those of exec-stop-post survives SIGKILL. */
        void (*hooks_stuck)(Node *node, Role *role, Role *hook);
        void (*role_freed)(Node *node, Role *role);
        void (*lease_expired)(Node *node, const char *lease);
} NodeReports;

/* What is wrong with a role, as long as a process of it is left; see warnings.h. */
typedef enum RoleTrouble {
        ROLE_TROUBLE_OUTPUT,  /* its output is lost */
        ROLE_TROUBLE_DAMAGED, /* it has default options, because its saved state was damaged */
        ROLE_TROUBLE_STUCK,   /* a process of it survives SIGKILL */
        _ROLE_TROUBLE_MAX,
} RoleTrouble;

/* A sub-slice. */
typedef struct NodeSlice {
        unsigned n_roles;
        bool with_memory_max; /* which kind of roles it has, if it has any */
} NodeSlice;

/* The sub-slices of one user, or, for uid 0, of the service itself. */
typedef struct NodeSlices {
        GArray *array; /* of NodeSlice */
        unsigned hint; /* the sub-slices before it are full */
        unsigned n_roles;
} NodeSlices;

struct Node {
        char *instance;
        bool user;       /* a user's service, not the system's */
        char *slice;     /* architect-<instance>.slice */
        sd_event *event; /* for the timers of the roles */
        NodeWorld world;
        const NodeReports *reports;
        Events *events;
        Settings *settings; /* the applied settings */
        Definitions *definitions;
        AutoStart *auto_start;
        Env *env; /* with which roles begin */
        Monitor *monitor;
        Leases *leases;
        Ports *ports;
        Outputs *outputs;
        Accounts *accounts;

        GHashTable *roles;      /* name → Role, the current run; owned */
        GHashTable *dependents; /* name → GPtrArray of Role; see dependents.h */
        GQueue *start_queue;    /* Roles in ROLE_PHASE_QUEUED; not owned */
        GQueue *ended;          /* ended and swept, oldest first; not owned */
        GQueue ends;            /* Roles, whose RoleEnd owns the link; see node_follow_up() */
        sd_event_source *quiet; /* the timer of the first of them */
        GHashTable *slices;     /* uid → NodeSlices */
        GHashTable *quotas;     /* uid → Quota */
        unsigned n_holds;       /* of node_hold_starts() */
        unsigned n_starts;      /* started and not yet running or undone */
        bool pumping;           /* node_pump_starts() is active, or waits until recovery has seen all roles */
        unsigned n_not_ended;
        unsigned n_awaited;                     /* runs that a shutdown waits for */
        unsigned n_troubles[_ROLE_TROUBLE_MAX]; /* runs that have it */
        int save_result;                        /* of the last attempt to save a role */
        uint64_t next_child;
        GRand *random; /* varies the delays of restarts */

        int dir_fd;       /* not owned; -1 if no state is saved */
        Shutdown resumed; /* begun by the previous process */
        bool recovered;   /* the roles of the previous process are up to date */
        bool stopping;
        bool finished;
};

/* The fault for all calls that are pending when this process ends. The next process continues with the roles,
 * but cannot reply to the calls. */
void node_set_leaving_fault(Fault *fault);

/* The keeper or a saved role has a child of this number, so it is not used again. */
void node_child_seen(Node *node, uint64_t child);

/* The node owns *ret. Fails with NoSuchRole. */
int node_find_role(Node *node, const char *name, Role **ret, Fault *fault);

/* Fails with ShuttingDown if a shutdown is under way. */
int node_check_not_stopping(Node *node, Fault *fault);

/* Returns whether the limits of users hold for this caller: not for root, nor for the user whose service this
 * is. */
bool node_limits(const Node *node, const Caller *caller);

/* A start requires the keeper and a systemd that responds. */
bool node_can_start(const Node *node);

void node_add_role(Node *node, Role *role); /* created or loaded from the disk; owned from then on */

/* The names of all roles, for callers that change roles one by one: the end of one may free it, or others, so
 * each is looked up again when its turn comes. Of strings; the caller g_ptr_array_unref()s. */
GPtrArray *node_list_names(const Node *node);

void node_remove_role(Node *node, Role *role); /* removes it from the table and frees it */

/* Removes a role that is being freed from the queues and counts. */
void node_drop_role(Node *node, Role *role);

/* The queues of roles. Each role stores its place in them. */
void node_queue_start(Node *node, Role *role);       /* its start waits for a slot, after all others */
void node_queue_start_first(Node *node, Role *role); /* its start had a slot before */
void node_unqueue_start(Node *node, Role *role);
void node_add_ended(Node *node, Role *role); /* ended and swept, so it may be purged */
void node_remove_ended(Node *node, Role *role);

/* The last attempt to save a role has returned this. */
void node_set_save_result(Node *node, int r);

/* Counts the runs that a shutdown waits for, and those with which something is wrong, after a change of the
 * role's state, of the step of its stop, or of what is wrong. */
void node_count_role(Node *node, Role *role);

/* Puts a role that has none into a sub-slice with room, or, when it was loaded from the disk, into the one
 * that it had. Roles with memory-max are in other sub-slices than those without, because they have a slice of
 * their own below that (node_own_slice_name()), whose OOM kills count in the sub-slice, too.
 *
 * What another user than root has started is in sub-slices of this user, which are in a slice of this user
 * ("architect-main-u1000.slice"), for which a site may set limits. uid is 0 for all others. */
void node_slice_take(Role *role);
void node_slice_retake(Role *role, uid_t uid, int slice);
void node_slice_release(Role *role); /* does nothing without one */
bool node_slice_is_empty(Node *node, uid_t uid, int slice);
bool node_group_is_empty(Node *node, uid_t uid, int slice); /* that of this sub-slice */
bool node_user_slice_is_empty(Node *node, uid_t uid);
/* "architect-main-3.slice", "architect-main-u1000-3.slice"; from 32 on "architect-main-g1-32.slice" */
char *node_slice_name(Node *node, uid_t uid, int slice);
/* "architect-main-g1.slice"; NULL if this sub-slice is in no group. */
char *node_group_name(Node *node, uid_t uid, int slice);
char *node_user_slice_name(Node *node, uid_t uid); /* "architect-main-u1000.slice" */
/* Finds out which sub-slice of this node has this name, or had it in a version without groups
 * ("architect-main-32.slice"). Returns false if none has. */
bool node_slice_parse(Node *node, const char *name, uid_t *ret_uid, int *ret_slice);
/* Returns the name of the slice of a role with memory-max alone, "architect-main-3-17.slice". Its counter of
 * OOM kills outlives the scope, and no other run has this name. */
char *node_own_slice_name(const Role *role);

void node_slices_free(void *p); /* NodeSlices */
