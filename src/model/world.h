/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the model asks of the world, one table of callbacks for each side of it. The room that answers fills its table: link
 * (the keeper), scope (systemd and the cgroups), bus (the clients), role-state.c (the disk), node (the process). The model
 * calls nothing else, so a unit test is a world of its own.
 *
 * Requests are asynchronous. A request never calls back into the model before it has returned; its answer comes later, by
 * the function named beside it. A request that returns a negative errno has no answer. Each function gets the data of its
 * side first. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "model/caller.h"
#include "model/events.h"
#include "model/fault.h"
#include "model/model-forward.h"
#include "model/port.h"

/* Who waits for something: told once, with NULL on success. The fault is the callee's. */
typedef struct Waiter {
        void (*done)(void *userdata, const Fault *fault);
        void *userdata;
} Waiter;

/* The keeper: the room link. */
typedef struct LinkOps {
        bool (*connected)(void *data);
        int (*fork)(void *data, Role *role);   /* → role_on_forked() */
        int (*launch)(void *data, Role *role); /* → role_on_gate_report(), then _closed() */
        void (*signal)(void *data, Role *role, int signo, Waiter waiter); /* the main process */
        void (*close_stdin)(void *data, Role *role, Waiter waiter);       /* the keeper's copy */
        int (*kill_cgroup)(
                void *data, Role *role);       /* SIGKILL to all, atomically; negative: it cannot be had */
        void (*reap)(void *data, Role *role);  /* with the next send_reaps() */
        void (*send_reaps)(void *data);        /* the clients' side has written all signals */
        void (*adopt)(void *data, Role *role); /* the keeper has its child: nothing else is watched */
        void (*watch_gate)(void *data, Role *role); /* of a child from before: → as launch */
        void (*watch_main)(void *data, Role *role); /* without a keeper, by its pidfd: → role_on_exited() */
        void (*forget)(void *data, uint64_t child); /* a child of no role: it may be reaped */
        int (*ports_bind)(void *data, const BindAddress *address, PortProtocol protocol, unsigned n,
                PortsRequest *request); /* → ports_on_bound() */
        int (*ports_release)(void *data, const PortLoan *ports, size_t n, Waiter waiter);
        void (*ports_rest)(void *data, const PortLoan *ports, size_t n); /* nobody listens any more */
        void (*role_freed)(void *data, Role *role);
} LinkOps;

/* systemd and the cgroups of the scopes: the room scope. */
typedef struct ScopeOps {
        bool (*ready)(void *data);                                        /* systemd has answered once */
        bool (*use_pidfds)(void *data);                                   /* scopes are made with pidfds */
        int (*start)(void *data, Role *role);                             /* → role_on_scope() */
        void (*signal)(void *data, Role *role, int signo, Waiter waiter); /* every process of it */
        void (*thaw)(void *data, Role *role);
        void (*freeze_and_kill)(
                void *data, Role *role);           /* SIGKILL to all, where kill_cgroup is not to be had */
        int (*remove)(void *data, Role *role);     /* → role_on_scope_removed() */
        int (*query_oom)(void *data, Role *role);  /* → role_on_oom() within 100 ms */
        int (*query_stop)(void *data, Role *role); /* → role_on_stop_known() within 1 s */
        void (*ended)(void *data, Role *role);     /* its end has been told: no question about it is open */
        void (*resync)(void *data);                /* stops the scopes that no live role has */
        void (*slice_empty)(void *data);           /* a sub-slice has no role any more */
        int (*cgroup_state)(void *data, Role *role, bool *ret_populated, bool *ret_frozen);
        int (*cgroup_watch)(void *data, Role *role);  /* → role_on_cgroup_changed(), until freed */
        char *(*cgroup_pids)(void *data, Role *role); /* for people: "12, 13"; the caller frees */
        void (*role_freed)(void *data, Role *role);
} ScopeOps;

/* The disk: role-state.c. */
typedef struct StoreOps {
        int (*save)(void *data, const Role *role);
        void (*forget)(void *data, const Role *role);    /* no longer known */
        void (*set_aside)(void *data, const Role *role); /* a new start takes its name: keep the old record */
        void (*drop_previous)(void *data, const Role *role); /* that start succeeded */
        void (*bring_back)(void *data, const Role *role);    /* that start failed */
        void (*forget_all)(void *data);                      /* after a clean end */
} StoreOps;

/* The clients: the room bus. */
typedef struct ClientOps {
        void (*role_changed)(void *data, Role *role); /* coalesced; the first one announces the object */
        void (*role_removed)(void *data, Role *role);
        void (*event)(void *data, const Event *event, Role *role); /* role: whose event it is, or NULL */
        void (*node_changed)(void *data);
        void (*recovered)(void *data); /* the roles are up to date: calls that were held are answered */
        void (*role_freed)(void *data, Role *role);
} ClientOps;

/* The process: the room node. */
typedef struct ServiceOps {
        void (*named)(void *data); /* our name on the bus is ours: the keeper may be connected to */
        void (*recovered)(void *data);
        int (*reload)(void *data, Fault *fault);  /* the configuration; a fault leaves the old one in force */
        void (*stopping)(void *data);             /* a shutdown has begun */
        void (*finished)(void *data, int status); /* a shutdown is done: exit with this status */
} ServiceOps;

typedef struct NodeWorld {
        struct {
                const LinkOps *ops;
                void *data;
        } link;
        struct {
                const ScopeOps *ops;
                void *data;
        } scope;
        struct {
                const StoreOps *ops;
                void *data;
        } store;
        struct {
                const ClientOps *ops;
                void *data;
        } clients;
        struct {
                const ServiceOps *ops;
                void *data;
        } service;
} NodeWorld;

/* ASK(node, link, fork, role): the request "fork" to the side "link". */
#define ASK(node, side, request, ...) \
        ((node)->world.side.ops->request((node)->world.side.data, ##__VA_ARGS__))
