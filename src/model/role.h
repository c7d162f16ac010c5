/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A role: one run of a command under a name, from its Start to the last process it leaves. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>
#include <systemd/sd-id128.h>

#include "base/exit-status.h"
#include "base/string-table.h"
#include "model/fault.h"
#include "model/model-forward.h"
#include "model/role-spec.h"
#include "model/world.h"

typedef enum RoleState {
        ROLE_STARTING, /* its command has not been executed yet */
        ROLE_RUNNING,
        ROLE_STOPPING, /* asked to stop; its main process lives */
        ROLE_ENDED,    /* its main process has ended; what it left may still be swept */
        _ROLE_STATE_MAX,
        _ROLE_STATE_INVALID = -EINVAL,
} RoleState;

DECLARE_STRING_TABLE(role_state, RoleState);

/* How far a start has come. Past starting it stays ROLE_PHASE_OPEN. */
typedef enum RolePhase {
        ROLE_PHASE_QUEUED, /* waits for the keeper, or for one of MaxConcurrentStarts */
        ROLE_PHASE_SWEEP,  /* waits until the last run of this name has left its scope */
        ROLE_PHASE_FORK,   /* the keeper has been asked for a child */
        ROLE_PHASE_SCOPE,  /* systemd has been asked for the scope */
        ROLE_PHASE_OPEN,   /* the launch request may have gone through the gate */
        _ROLE_PHASE_MAX,
        _ROLE_PHASE_INVALID = -EINVAL,
} RolePhase;

DECLARE_STRING_TABLE(role_phase, RolePhase);

typedef enum RoleCause {
        ROLE_CAUSE_SELF,
        ROLE_CAUSE_STOP,
        ROLE_CAUSE_KILL,
        ROLE_CAUSE_MONITOR,
        ROLE_CAUSE_SHUTDOWN,
        ROLE_CAUSE_OOM,
        ROLE_CAUSE_EXTERNAL,
        _ROLE_CAUSE_MAX,
        _ROLE_CAUSE_INVALID = -EINVAL,
} RoleCause;

DECLARE_STRING_TABLE(role_cause, RoleCause);

/* How far a stop, or the sweep of leftovers, has come. */
typedef enum StopStep {
        STOP_STEP_NONE,
        STOP_STEP_ASKED,  /* the stop signal is out; SIGKILL follows at the deadline */
        STOP_STEP_KILLED, /* SIGKILL is out */
        STOP_STEP_STUCK,  /* something survives SIGKILL: uninterruptible sleep */
        _STOP_STEP_MAX,
        _STOP_STEP_INVALID = -EINVAL,
} StopStep;

DECLARE_STRING_TABLE(stop_step, StopStep);

#define ROLE_PRODUCT_GRACE_USEC (3 * USEC_PER_SEC) /* a product set-up ends itself first, and says why */
#define ROLE_PRODUCT_TERM_USEC \
        (200 * USEC_PER_MSEC) /* from SIGTERM to SIGKILL for one that is not wanted any more */
#define ROLE_KILL_TIMEOUT_USEC (5 * USEC_PER_SEC) /* from SIGKILL to giving up */

/* The end of the main process as its parent saw it. */
typedef struct RoleExit {
        ExitCode code;
        int status;
        uint64_t realtime_usec;
        uint64_t monotonic_usec;
        bool usage_known;
        uint64_t cpu_user_usec;
        uint64_t cpu_system_usec;
        uint64_t maxrss_bytes;
        bool oom_known;
        bool oom;
        uint64_t scope_cpu_usec; /* 0: could not be read */
        uint64_t scope_memory_peak;
} RoleExit;

struct Role {
        Node *node;
        char *name;
        char *scope; /* unit name */
        int slice;   /* index of its sub-slice; -1: none yet */
        RoleSpec *spec;
        Caller owner; /* who started it */
        sd_id128_t invocation;

        RoleState state;
        RolePhase phase;
        Fault failure;      /* why a start is being undone */
        StopStep undo_step; /* how far its product set-up has been asked to end */

        uint64_t child;    /* the keeper's number for it; 0: none yet */
        bool child_exists; /* the keeper has it, dead or alive, until it is reaped */
        pid_t main_pid;
        uint64_t main_start_time; /* field 22 of /proc/PID/stat: with the boot id, who this pid is */
        int main_pidfd;
        int gate_fd;
        int stdin_fd;    /* write end, or the terminal's master; negative: none or closed */
        int terminal_fd; /* requests to its architect-terminal; negative: none */
        bool gate_closed;
        bool main_exited; /* exit below is true */
        bool main_execed; /* known at the exit */
        RoleExit exit;

        bool scope_pending; /* systemd has been asked and has not answered */
        bool scope_exists;  /* a unit has been made for this run */
        char *cgroup;       /* from the root of the v2 hierarchy */
        int cgroup_watch;   /* the number of its watch, while the room scope has one */

        uint64_t start_realtime_usec;
        uint64_t start_monotonic_usec;
        uint64_t started_sequence;
        uint64_t exited_sequence; /* not 0 before it has ended: the process before us knew, and has said so */

        RoleCause cause; /* asked for before the end, or found at the end */
        bool cause_known;
        Caller cause_caller;
        int last_signal; /* sent by Signal: if it dies of this, we did it */
        Caller last_signal_caller;

        StopStep stop_step;
        bool stop_asked_all;    /* the leftovers have had their SIGTERM */
        bool swept;             /* no process of it is left */
        uint64_t stop_deadline; /* CLOCK_MONOTONIC usec; USEC_INFINITY: never */
        sd_event_source *timer; /* of the set-up, then of the stop */

        GList *start_link; /* in the node's start_queue; NULL: it does not wait there */
        GList *ended_link; /* the same in ended */
        bool awaited;      /* counted in n_awaited */

        Role *predecessor; /* the ended run of the same name; comes back if this start fails */
        Role *successor;   /* the other way round */

        Waiter start_waiter;
        GArray *stop_waiters; /* of Waiter */
        RoleInput *input;     /* freed before the role */
        char *unknown_fields; /* of the saved state, which a newer version wrote; NULL: none */

        GList *changed_link; /* its place among those whose changes are to be sent; NULL: none are; the room bus has it */
        bool announced; /* the clients know its object: the name's, so also from the run before */
};

Role *role_new(Node *node, const char *name, RoleSpec *spec /* taken */);
Role *role_free(Role *role);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Role, role_free)

/* Whether its start is one of MaxConcurrentStarts. */
bool role_holds_slot(const Role *role);

/* "running", "exit N", "exit -SIGNAL", "exit unknown". The caller frees. */
char *role_poll(const Role *role);

/* Every message about a role carries its fields. */
void role_log(const Role *role, int level, const char *format, ...) _printf_(3, 4);

/* The one place where a state changes: logs old → new, keeps the node's counts and tells the world. */
void role_set_state(Role *role, RoleState state);

void role_wait_stop(Role *role, Waiter waiter);
void role_move_stop_waiters(Role *role, Role *to);
void role_wake_stop_waiters(Role *role, const Fault *fault);

/* One timer a role: usec from now, or USEC_INFINITY for none. */
void role_set_timer(Role *role, uint64_t usec, sd_event_time_handler_t handler);

/* On CLOCK_MONOTONIC; USEC_INFINITY stays that. */
uint64_t role_deadline_in(uint64_t usec);

/* Its exit is saved, or nobody wants to know of it any more: the kernel may forget it. */
void role_reap(Role *role);
