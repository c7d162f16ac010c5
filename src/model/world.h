/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The requests of the model to the world, as one table of callbacks for each side. The room that implements a
 * side fills its table: link (the keeper), scope (systemd and the cgroups), bus (the clients), role-state.c
 * (the disk), node (the process). The model calls nothing else, so a unit test can implement the whole world.
 *
 * Requests are asynchronous. A request never calls back into the model before it has returned; its answer
 * arrives later, by the function that is named beside it. A request that returns a negative errno has no
 * answer. Each function receives the data of its side first. */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "model/caller.h"
#include "model/events.h"
#include "model/fault.h"
#include "model/model-forward.h"
#include "model/port.h"

/* A caller that waits for a result. done is called once, with NULL on success. The fault stays the property
 * of the function that calls done. */
typedef struct Waiter {
        void (*done)(void *userdata, const Fault *fault);
        void *userdata;
} Waiter;

/* Calls the waiter. It does nothing for (Waiter){}, with which no caller waits for the result. fault may be
 * NULL, or not set, which is success, too. */
static inline void waiter_wake(Waiter waiter, const Fault *fault) {
        if (waiter.done)
                waiter.done(waiter.userdata, fault && fault->message ? fault : NULL);
}

/* How a cgroup is signalled. */
typedef enum SignalFlags {
        SIGNAL_STRAY = 1 << 0,    /* the cgroup is not the scope of the role, but one that it was moved to */
        SIGNAL_EACH = 1 << 1,     /* SIGKILL also to a process whose main thread has ended; not atomic */
        SIGNAL_CONTINUE = 1 << 2, /* SIGCONT follows */
} SignalFlags;

/* The keeper, implemented by the room link. */
typedef struct LinkOps {
        bool (*connected)(void *data);
        bool (*outdated)(void *data); /* the keeper is from before an upgrade */
        /* → role_on_forked(). Returns -EPROTONOSUPPORT if the keeper is too old for what it sends. */
        int (*fork)(void *data, Role *role);
        int (*launch)(void *data, Role *role); /* → role_on_gate_report(), then _closed() */
        void (*signal)(void *data, Role *role, int signo, Waiter waiter); /* the main process */
        /* To all processes of a cgroup and of those below it. Of a stray the keeper checks that it can be the
         * role's, for which it must still have the child; so the child must not be reaped before. Returns
         * -ENOTCONN without a keeper, -EPROTONOSUPPORT if the keeper is too old. */
        int (*signal_cgroup)(
                void *data, Role *role, const char *path, int signo, SignalFlags flags, Waiter waiter);
        /* To one process of the role that is in a cgroup of others, with the same check and errors. */
        int (*signal_process)(
                void *data, Role *role, pid_t pid, uint64_t start_time, int signo, Waiter waiter);
        void (*close_stdin)(void *data, Role *role, Waiter waiter); /* the keeper's copy */
        void (*reap)(void *data, Role *role);                       /* with the next send_reaps() */
        void (*send_reaps)(void *data);                             /* the room bus has written all signals */
        void (*adopt)(void *data, Role *role);      /* the keeper has its child, and reports its end */
        void (*watch_gate)(void *data, Role *role); /* of a child from before a restart, → as launch */
        void (*watch_main)(void *data, Role *role); /* without a keeper, by its pidfd → role_on_exited() */
        void (*forget)(void *data, uint64_t child); /* a child of no role, which may be reaped */
        /* What the role has sent up to this number is saved, so the keeper may forget it. */
        void (*notified_saved)(void *data, Role *role, uint64_t number);
        /* → role_on_notified() for everything that the role has sent until now, then
         * role_on_notified_synced() */
        int (*sync_notified)(void *data, Role *role);
        /* For clients of this user. → terminal_on_socket() */
        int (*make_terminal_socket)(
                void *data, Role *role, uid_t uid, bool replay, TerminalSocketRequest *request);
        /* A user and a group, or NULL for the group of the user. → account_on_found() within 11 s. Returns
         * -ENOTCONN without a keeper, -EPROTONOSUPPORT if the keeper is too old. */
        int (*look_up)(void *data, const char *user, const char *group, AccountQuery *query);
        /* → ports_on_bound() */
        int (*ports_bind)(void *data, const PortsWanted *wanted, PortsRequest *request);
        int (*ports_release)(void *data, const PortLoan *ports, size_t n, Waiter waiter);
        /* At a clean end: also those of a ports_bind() that has not been answered. Returns -EPROTONOSUPPORT
         * if the keeper is too old. */
        int (*ports_release_all)(void *data);
        /* No process of their roles is left. → ports_on_kept(), if one of another role has a socket of
         * them. */
        void (*ports_rest)(void *data, const PortLoan *ports, size_t n);
        void (*role_freed)(void *data, Role *role);
} LinkOps;

/* systemd and the cgroups of the scopes, implemented by the room scope. */
typedef struct ScopeOps {
        bool (*ready)(void *data);            /* systemd has answered once */
        bool (*use_pidfds)(void *data);       /* scopes are created with pidfds */
        int (*start)(void *data, Role *role); /* → role_on_scope() */
        /* To each process of its scope, or of another unit that it has. */
        void (*signal)(void *data, Role *role, const char *unit, int signo, Waiter waiter);
        /* The waiter is called when the kernel has frozen or thawed all of it. Returns -EOPNOTSUPP without a
         * freezer. */
        int (*freeze)(void *data, Role *role, bool freeze, Waiter waiter);
        /* The unit above its scope, or above where that will be, that is frozen; NULL if none is. The caller
         * frees it. */
        char *(*frozen_above)(void *data, const Role *role);
        void (*freeze_and_kill)(void *data, Role *role); /* SIGKILL to all, if the keeper cannot */
        int (*remove)(void *data, Role *role);           /* → role_on_scope_removed() */
        /* Returns how many of its processes the OOM killer has killed, or -ENODATA if that is not known. */
        int (*oom_kills)(void *data, Role *role, unsigned *ret);
        /* Returns false if systemd has certainly not begun to stop its scope. Asked as soon as its end is
         * known, before anything else looks at its processes. */
        bool (*may_be_stopped)(void *data, const Role *role);
        int (*query_stop)(void *data, Role *role); /* → role_on_stop_known() within 1 s */
        void (*ended)(void *data, Role *role);     /* its end was sent; no query about it is pending */
        void (*resync)(void *data);                /* stops the scopes that belong to no running role */
        /* Nothing of the role is in its sub-slice any more, and if empty is set, no other role is. */
        void (*slice_released)(void *data, Role *role, bool empty);
        int (*cgroup_state)(void *data, Role *role, bool *ret_populated, bool *ret_frozen);
        int (*cgroup_watch)(void *data, Role *role); /* → role_on_cgroup_changed(), until freed */
        /* Searches for the cgroup of its scope: that of this process, if it is in there, or what the kernel
         * has under this name. NULL if there is none; the caller frees it. */
        char *(*find_cgroup)(void *data, const Role *role, pid_t pid);
        char *(*cgroup_pids)(void *data, Role *role); /* for messages: "12, 13"; the caller frees it */
        /* Adds the processes that are in neither its scope nor its strays (of Stray). */
        void (*find_strays)(void *data, Role *role, GPtrArray *found);
        /* See base/cgroup-util.h. */
        int (*cgroup_id)(void *data, const char *cgroup, uint64_t *ret);
        /* Whose session of logind this is. → role_on_session(), always, within 1 s or before it is freed */
        int (*query_session)(void *data, Role *role, const char *session, const Stray *stray);
        /* A client has called without a bus, or the last one has gone. While there is one, systemd is called
         * without a bus, too. */
        void (*set_direct)(void *data, bool direct);
        void (*role_freed)(void *data, Role *role);
} ScopeOps;

/* The disk, implemented by role-state.c. */
typedef struct StoreOps {
        int (*save)(void *data, const Role *role);
        void (*forget)(void *data, const Role *role); /* no longer known */
        /* A new start takes its name; keeps the old record. */
        void (*set_aside)(void *data, const Role *role);
        void (*drop_previous)(void *data, const Role *role); /* that start succeeded */
        void (*bring_back)(void *data, const Role *role);    /* that start failed */
        void (*forget_all)(void *data);                      /* after a clean end */
} StoreOps;

/* The clients, implemented by the room bus. */
typedef struct ClientOps {
        /* coalesced; the first call for a name announces the object */
        void (*role_changed)(void *data, Role *role);
        void (*role_removed)(void *data, Role *role);
        void (*event)(void *data, const Event *event, Role *role); /* the role of the event, or NULL */
        void (*node_changed)(void *data);
        void (*recovered)(void *data); /* the roles are up to date, so calls are answered */
} ClientOps;

/* The process, implemented by the room node. */
typedef struct ServiceOps {
        void (*named)(void *data); /* the service has its name on the bus, so the keeper may be connected */
        void (*recovered)(void *data);
        /* The configuration; on a fault the previous settings apply. */
        int (*reload)(void *data, Fault *fault);
        void (*stopping)(void *data); /* a shutdown has begun */
        /* A role has got more time, until then, CLOCK_MONOTONIC, during a shutdown. */
        void (*stop_extended)(void *data, uint64_t deadline);
        void (*finished)(void *data, int status); /* a shutdown is complete; exits with this status */
        void (*role_removed)(void *data);         /* its memory is free */
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

/* Aborts if one of the callbacks of a table is NULL. side is for the message; size is that of the table. */
void world_check(const char *side, const void *ops, size_t size);

/* ATTACH(node, link, &children_ops, children) makes a room the side "link". A callback that the room does not
 * fill ends the process here, in every test that creates the room, and not at its first use. */
#define ATTACH(node, side, table, side_data) \
        do { \
                _Static_assert( \
                        sizeof(*(table)) % sizeof(void (*)(void)) == 0, "a table has callbacks only"); \
                world_check(#side, (table), sizeof(*(table))); \
                (node)->world.side.ops = (table); \
                (node)->world.side.data = (side_data); \
        } while (0)

/* ASK(node, link, fork, role) sends the request "fork" to the side "link". */
#define ASK(node, side, request, ...) \
        ((node)->world.side.ops->request((node)->world.side.data, ##__VA_ARGS__))
