/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the model needs of the world, as one table of callbacks: the keeper, systemd, the disk and the clients. The model
 * (node, role, events, input) includes no bus header and calls nothing else, so a test is a world of its own.
 *
 * Requests are asynchronous: a request never calls back into the model before it has returned; its answer comes later, by the
 * role_on_...() named beside it. A request that returns a negative errno has no answer. */

#include <stdbool.h>
#include <sys/types.h>

#include "model/events.h"
#include "model/fault.h"
#include "model/model-forward.h"
#include "proto/keeper-protocol.h"

/* Who waits for something: told once, with NULL on success. The fault is the callee's. */
typedef struct Waiter {
        void (*done)(void *userdata, const Fault *fault);
        void *userdata;
} Waiter;

/* Who asked, as far as the bus knows. */
typedef struct Caller {
        bool known;
        uid_t uid;
        pid_t pid;
        char *unit; /* may be NULL */
} Caller;

void caller_copy(Caller *to, const Caller *from); /* from may be NULL */
void caller_clear(Caller *caller);

struct NodeWorld {
        /* The keeper. */
        bool (*keeper_connected)(void *world);
        int (*child_fork)(void *world, Role *role);   /* → role_on_forked() */
        int (*child_launch)(void *world, Role *role); /* → role_on_gate_report(), then _closed() */
        void (*child_signal)(void *world, Role *role, int signo, Waiter waiter); /* the main process */
        void (*child_close_stdin)(void *world, Role *role, Waiter waiter);       /* the keeper's copy */
        int (*ports_bind)(
                void *world, const struct keeper_bind *bind, PortsRequest *request); /* → ports_on_bound() */
        int (*ports_release)(void *world, const struct keeper_port *ports, size_t n, Waiter waiter);
        void (*ports_rest)(void *world, const struct keeper_port *ports, size_t n);
        void (*child_reap)(void *world, Role *role); /* once what was sent is on its way */

        /* systemd and the cgroup of the scope. */
        int (*scope_start)(void *world, Role *role);                             /* → role_on_scope() */
        void (*scope_signal)(void *world, Role *role, int signo, Waiter waiter); /* every process of it */
        void (*scope_thaw)(void *world, Role *role);
        void (*scope_kill)(void *world, Role *role);      /* SIGKILL to all, atomically */
        int (*scope_remove)(void *world, Role *role);     /* → role_on_scope_removed() */
        int (*scope_query_oom)(void *world, Role *role);  /* → role_on_oom() within 100 ms */
        int (*scope_query_stop)(void *world, Role *role); /* → role_on_stop_known() within 1 s */
        int (*cgroup_state)(void *world, Role *role, bool *ret_populated, bool *ret_frozen);
        int (*cgroup_watch)(void *world, Role *role);  /* → role_on_cgroup_changed(), until freed */
        char *(*cgroup_pids)(void *world, Role *role); /* for people: "12, 13" */

        /* The disk. */
        int (*role_save)(void *world, Role *role);
        void (*role_forget)(void *world, Role *role);    /* no longer known */
        void (*role_set_aside)(void *world, Role *role); /* a new start takes its name: keep the old record */
        void (*role_drop_previous)(void *world, Role *role); /* that start succeeded */
        void (*role_bring_back)(void *world, Role *role);    /* that start failed */

        /* The clients. */
        void (*role_changed)(void *world, Role *role); /* coalesced; the first one announces the object */
        void (*role_removed)(void *world, Role *role);
        void (*event)(void *world, const Event *event, Role *role); /* role: whose event it is, or NULL */
        void (*node_changed)(void *world);
        void (*slice_empty)(void *world);          /* a sub-slice has no role any more */
        void (*finished)(void *world, int status); /* a shutdown is done: exit with this status */

        /* Frees what the world keeps about a role (sources, watches). */
        void (*role_freed)(void *world, Role *role);
};
