/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A role is one run of a command under a name, from its Start to the end of its last process. */

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
#include "model/start-times.h"
#include "model/world.h"

typedef enum RoleState {
        ROLE_STARTING, /* its command has not been executed yet */
        ROLE_RUNNING,
        ROLE_STOPPING, /* it is being stopped; its main process lives */
        ROLE_ENDED,    /* its main process has ended; remaining processes may still be stopped */
        _ROLE_STATE_MAX,
        _ROLE_STATE_INVALID = -EINVAL,
} RoleState;

DECLARE_STRING_TABLE(role_state, RoleState);

/* The progress of a start. After starting it stays ROLE_PHASE_OPEN. */
typedef enum RolePhase {
        ROLE_PHASE_DEPENDENCIES, /* waits for another role; see node-dependencies.h */
        ROLE_PHASE_QUEUED,       /* waits for the keeper, or for one of MaxConcurrentStarts= */
        ROLE_PHASE_SWEEP,        /* waits for the last process of the previous run of this name */
        ROLE_PHASE_FORK,         /* the keeper creates the child */
        ROLE_PHASE_SCOPE,        /* systemd creates the scope */
        ROLE_PHASE_OPEN,         /* the launch request may have gone through the gate */
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
        ROLE_CAUSE_TIMEOUT,    /* timeout-start-usec has passed */
        ROLE_CAUSE_WATCHDOG,   /* it has not said for watchdog-usec that it lives */
        ROLE_CAUSE_DEPENDENCY, /* a role that it depends on was stopped, or has ended */
        _ROLE_CAUSE_MAX,
        _ROLE_CAUSE_INVALID = -EINVAL,
} RoleCause;

DECLARE_STRING_TABLE(role_cause, RoleCause);

/* The progress of a stop, or of stopping the remaining processes. */
typedef enum StopStep {
        STOP_STEP_NONE,
        STOP_STEP_WAITING, /* what is after it has to end first; nothing was sent yet */
        STOP_STEP_COMMAND, /* the commands of exec-stop run; the stop signal follows */
        STOP_STEP_ASKED,   /* the stop signal was sent; SIGKILL follows at the deadline */
        STOP_STEP_KILLED,  /* SIGKILL was sent */
        STOP_STEP_STUCK,   /* a process survives SIGKILL, in uninterruptible sleep */
        _STOP_STEP_MAX,
        _STOP_STEP_INVALID = -EINVAL,
} StopStep;

DECLARE_STRING_TABLE(stop_step, StopStep);

/* Commands that run for a role beside its own, see role-hooks.h. */
typedef enum HookKind {
        HOOK_STOP,
        HOOK_STOP_POST,
        _HOOK_KIND_MAX,
        _HOOK_KIND_INVALID = -EINVAL,
} HookKind;

DECLARE_STRING_TABLE(hook_kind, HookKind); /* the names of the options */

/* A product set-up ends first by itself, and reports the reason. */
#define ROLE_PRODUCT_GRACE_USEC (3 * USEC_PER_SEC)
/* From SIGTERM to SIGKILL for a set-up that is no longer required. */
#define ROLE_PRODUCT_TERM_USEC (200 * USEC_PER_MSEC)
#define ROLE_KILL_TIMEOUT_USEC (5 * USEC_PER_SEC) /* from SIGKILL until the stop fails */
#define ROLE_KILL_INTERVAL_USEC (250 * USEC_PER_MSEC)

/* What follows an end, by the option restart. */
typedef enum NextRun {
        NEXT_RUN_NONE,
        NEXT_RUN_WAITING,    /* for its restart */
        NEXT_RUN_DEPENDENCY, /* for the role with whose end it was stopped, to be ready again */
        NEXT_RUN_GIVEN_UP,   /* the policy does not restart it after this failure */
        NEXT_RUN_LIMIT_HIT,  /* the same, because it was started too often */
        _NEXT_RUN_MAX,
        _NEXT_RUN_INVALID = -EINVAL,
} NextRun;

DECLARE_STRING_TABLE(next_run, NextRun);

/* What a restart hands on to the next run. */
typedef struct RestartCount {
        uint64_t n;            /* restarts since a caller has started it */
        uint64_t attempt;      /* the same since its last good run; the delays grow with it */
        uint64_t window_begin; /* of start-limit-interval-usec, CLOCK_MONOTONIC in microseconds */
        uint64_t window_starts;
} RestartCount;

/* The end of the main process, as its parent saw it. */
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
        uint64_t scope_cpu_usec; /* 0 if it could not be read */
        uint64_t scope_memory_peak;
} RoleExit;

/* A process of a role that is in the unit of somebody else, or in none. */
typedef struct LoneProcess {
        pid_t pid;
        uint64_t start_time;
} LoneProcess;

struct Role {
        Node *node;
        char *name;
        char *scope;     /* the name of the unit */
        int slice;       /* index of its sub-slice, -1 if it has none yet */
        uid_t slice_uid; /* whose sub-slice it is; 0 for those of the service itself */
        RoleSpec *spec;
        Caller owner; /* the process that started it */
        sd_id128_t invocation;

        RoleState state;
        RolePhase phase;
        Fault failure;      /* why its start is being undone, or has failed after its exec (role-ready.h) */
        StopStep undo_step; /* the progress of ending its processes then */
        bool undo_late;     /* its caller has the failure already; it occupies no slot any more */

        uint64_t child;    /* its number at the keeper, 0 if it has none yet */
        bool child_exists; /* the keeper has it, dead or alive, until it is reaped */
        pid_t main_pid;
        /* Field 22 of /proc/PID/stat, which identifies the process together with pid and boot id. */
        uint64_t main_start_time;
        int main_pidfd;
        int gate_fd;
        int stdin_fd;    /* write end or terminal master, negative if none or closed */
        int terminal_fd; /* to its architect-terminal; negative if there is none */
        bool gate_closed;
        bool main_exited; /* exit below is valid */
        bool main_execed; /* valid once main_exited is set */
        RoleExit exit;
        bool exit_logged; /* the log has its RoleExited, so the child may be reaped without a saved file */
        bool finishing;   /* nothing but the cause of its end is still unknown */
        RoleEnd *end;     /* while what follows from its end is put off, see role-end.h; else NULL */

        bool scope_pending; /* systemd has not replied yet to the request for it */
        bool scope_exists;  /* a unit has been created for this run */
        char *cgroup;       /* relative to the root of the v2 hierarchy */
        int cgroup_watch;   /* the number of its watch in the room scope; 0 if it has none */
        /* What has left the scope; see role-strays.h. */
        char **strays;     /* the cgroups of scopes that others have made for it; NULL if there are none */
        GArray *stray_ids; /* of uint64_t, what identifies each of them; see cgroup_id() */
        GArray *lone;      /* of LoneProcess, without the main process; NULL if there are none */
        /* Of LoneProcess, what the main process has left in the scope with exit-type=cgroup: if PAM moves
         * such a process later, it has no parent by which it could be found. */
        GArray *left;
        /* What it has named by MAINPID=, see role-main-pid.h; pid 0: nothing. */
        LoneProcess named_main;
        sd_event_source *named_main_watch;
        bool strays_told;  /* the journal says that it has left its scope */
        bool main_outside; /* at the last look its main process was in neither scope nor strays */

        /* What the set-up of its products has made, see products.h: pairs of name and version, and a hash.
         * NULL if it has none, or they are not known. */
        char **resolved_products;
        char *environment_hash;

        struct OutputStream *output_stream; /* that it shares, see outputs.h; NULL if it does not */
        bool output_lost;                   /* nothing of what it prints reaches the journal */
        unsigned troubles;                  /* bits 1 << RoleTrouble, counted by the node */

        bool unready;            /* its command runs or has ended, and its start is not successful yet */
        uint64_t start_deadline; /* when that times out, CLOCK_MONOTONIC; 0 or USEC_INFINITY: never */
        bool ready_early;        /* READY=1 has come before its exec was noticed */
        /* When it has said last that it lives, or has become ready, CLOCK_MONOTONIC; 0 if it is not watched.
         * What is saved may be older; the keeper always has the last time. */
        uint64_t watchdog_ping;
        bool was_frozen;   /* at the last look, for the watchdog */
        uint64_t notified; /* the number of the last notification that was taken (role-notify.h) */
        sd_event_source *notified_due; /* it is to be saved, or the keeper to be told */
        bool notified_unsaved;
        unsigned notices;  /* bits 1 << NotifyKind, what the journal says of this run already */
        char *status_text; /* that it has sent; NULL if none */
        int status_errno;  /* the same; 0 if none */

        StartTimes start_times; /* how long its start takes, or has taken */
        uint64_t start_realtime_usec;
        uint64_t start_monotonic_usec;
        uint64_t started_sequence;
        uint64_t exited_sequence; /* not 0 before its end if the previous process has sent the event */

        RoleCause cause; /* set by a stop before the end, or determined at the end */
        bool cause_known;
        Caller cause_caller;
        int last_signal; /* sent by Signal; if it dies of this signal, Signal is the cause */
        Caller last_signal_caller;

        StopStep stop_step;
        bool stop_asked_all;    /* the remaining processes have received SIGTERM */
        bool swept;             /* no process of it is left */
        uint64_t stop_began;    /* when the stop signal was sent, CLOCK_MONOTONIC */
        uint64_t stop_deadline; /* CLOCK_MONOTONIC in microseconds; USEC_INFINITY: never */
        sd_event_source *timer; /* of the set-up, then of role-deadline.h, then of the stop */

        Role *hook;     /* its commands of exec-stop or exec-stop-post while they run (role-hooks.h) */
        bool post_done; /* those of exec-stop-post are over */
        const char
                *start_result; /* $SERVICE_RESULT of a start that has failed, if its error has none; static */
        Role *hook_of;         /* not NULL: this is no role, but such commands of this one */
        HookKind hook_kind;    /* with hook_of, as the following: which ones */
        bool hook_cancelled;   /* they are killed, and nothing more of them begins */
        char *hook_result;     /* $SERVICE_RESULT, if it is not that of the role's end; else NULL */

        /* Restarts, see role-restart.h. */
        bool automatic;      /* its policy has started it, not a caller */
        bool interrupted;    /* its start fails because service or keeper have died */
        bool stop_requested; /* so the policy has no say; also by a stop of its scope */
        bool start_failed;   /* the restart after this run has failed, or could not be made */
        /* The role whose end has stopped it, if nobody has stopped that one by hand; NULL otherwise. */
        char *follows;
        RestartCount restarts;
        NextRun next_run;
        uint64_t next_deadline; /* of its restart, CLOCK_MONOTONIC in microseconds */
        uint64_t next_realtime_usec;
        uint64_t next_sequence; /* of the event about next_run */

        bool depends;      /* its names are in the node's dependents */
        GList *start_link; /* in the node's start_queue; NULL if it is not queued */
        GList *ended_link; /* the same in ended */
        bool awaited;      /* counted in n_awaited */

        Role *predecessor; /* the ended run of the same name, restored if this start fails */
        Role *successor;   /* the reverse */

        const char *awaits; /* the role that it waits for in ROLE_PHASE_DEPENDENCIES, of its options */
        /* In both, of Waiter; NULL if there are none. */
        GArray *start_waiters;
        GArray *stop_waiters;
        RoleInput *input;     /* freed before the role */
        RoleFreezer *freezer; /* see role-freezer.h; NULL if nobody has frozen or thawed it */
        bool damaged;         /* its saved file was damaged or lost, so its options are the defaults */
        Damage *damage;       /* until the keeper has listed its children, see role-damage.h; else NULL */
        char *unknown_fields; /* fields of the saved state that a newer version wrote, or NULL */
};

Role *role_new(Node *node, const char *name, RoleSpec *spec /* owned by the role */);
Role *role_free(Role *role);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Role, role_free)

/* Returns whether its start counts for MaxConcurrentStarts=. */
bool role_holds_slot(const Role *role);

/* Returns whether it has ended and no process of it is left. */
bool role_is_over(const Role *role);

/* Returns whether it has ended and will be started again, by its policy or when another role is ready again.
 * Its state is "ended". */
bool role_waits_for_restart(const Role *role);

/* A stop can still do something for it. */
bool role_is_living(const Role *role);

/* Returns the exit of a process that no parent has reported and the kernel does not know, which is "lost". */
RoleExit role_exit_lost(void);

/* Returns whether its main process has ended and it runs on, as exit-type=cgroup has it. */
bool role_has_outlived_main(const Role *role);

/* Fails with RoleNotRunning if its command does not run. */
int role_check_running(const Role *role, Fault *fault);

/* Returns whether the kernel has stopped all of its processes by its cgroup or one above. */
bool role_is_frozen(Role *role);

/* Fails with RoleFrozen if a unit above its scope is frozen. What is in there does nothing, and neither the
 * scope nor this service can change that. The message says what cannot be done ("started"), and ends with
 * what can be done otherwise, or with "". */
int role_check_not_frozen(const Role *role, const char *what, const char *otherwise, Fault *fault);

/* Returns whose limits a role counts for: the user other than root who has started it. That is 0 for what
 * root has started, or the user whose service this is. */
uid_t role_started_by(const Role *role);

/* Returns the user that the command runs as, a name or a number, as it was given. The role or GLib owns it.
 */
const char *role_user(const Role *role);

/* Returns whether the uid of that user is known without a look-up, and if so, the uid. */
bool role_uid(const Role *role, uid_t *ret);

/* Returns "running", "exit N", "exit -SIGNAL" or "exit unknown". The caller frees it. */
char *role_poll(const Role *role);

/* Logs with the fields of the role. error is a negative errno, which %m prints. */
void role_log(const Role *role, int level, const char *format, ...) _printf_(3, 4);
void role_log_errno(const Role *role, int level, int error, const char *format, ...) _printf_(4, 5);

/* Saves the role. Logs a failure and returns it, a negative errno. */
int role_save(Role *role);

/* The only function that changes a state. It logs old → new, updates the counts of the node and reports to
 * the world. */
void role_set_state(Role *role, RoleState state);

/* The waiters of a start: adds one, and calls and removes all. */
void role_wait_start(Role *role, Waiter waiter);
void role_wake_start_waiters(Role *role, const Fault *fault);

/* The waiters of a stop: adds one, moves all to another role, and calls and removes all. */
void role_wait_stop(Role *role, Waiter waiter);
void role_move_stop_waiters(Role *role, Role *to);
void role_wake_stop_waiters(Role *role, const Fault *fault);

/* Sets the only timer of a role, to a time of CLOCK_MONOTONIC, or in microseconds from now. USEC_INFINITY
 * disables it. */
void role_set_timer_at(Role *role, uint64_t deadline, sd_event_time_handler_t handler);
void role_set_timer(Role *role, uint64_t usec, sd_event_time_handler_t handler);

/* Returns the deadline on CLOCK_MONOTONIC, in microseconds. USEC_INFINITY stays USEC_INFINITY. */
uint64_t role_deadline_in(uint64_t usec);

/* Its exit is saved or no longer required, so the keeper may reap it. */
void role_reap(Role *role);
