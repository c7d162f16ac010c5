/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Recovery: what the keeper reports of its children after a connection, held against what is known of the roles. After a
 * restart of the service that is their saved state; after one of the keeper it is what this process has in memory. */

#include "model/node.h"
#include "model/role.h"

/* What has become of a role's child. */
typedef enum ChildReport {
        CHILD_NONE,     /* the keeper does not have it */
        CHILD_STARTING, /* it has not executed its command */
        CHILD_RUNNING,
        CHILD_ENDED,
        CHILD_UNKNOWN, /* it has ended, and nobody knows how */
        CHILD_ORPHAN,  /* of a keeper that has died, which alone knew how far a start had come */
        _CHILD_REPORT_MAX,
        _CHILD_REPORT_INVALID = -EINVAL,
} ChildReport;

DECLARE_STRING_TABLE(child_report, ChildReport);

/* The role's side: its state, as finely as recovery has to know it. */
typedef enum RecoverState {
        RECOVER_QUEUED, /* the phases of a start */
        RECOVER_SWEEP,
        RECOVER_FORK,
        RECOVER_SCOPE,
        RECOVER_OPEN,
        RECOVER_UNDOING, /* a start that has failed, in this process */
        RECOVER_RUNNING,
        RECOVER_ASKED,   /* stopping: the stop signal is out */
        RECOVER_KILLED,  /* stopping: SIGKILL is out */
        RECOVER_UNSWEPT, /* ended, and has left processes */
        RECOVER_ENDED,
        _RECOVER_STATE_MAX,
        _RECOVER_STATE_INVALID = -EINVAL,
} RecoverState;

DECLARE_STRING_TABLE(recover_state, RecoverState);

typedef enum RecoverAction {
        RECOVER_NOTHING, /* it waits for its turn, or has nothing to wait for */
        RECOVER_REQUEUE, /* nothing has been made of it yet: it waits for its turn again */
        RECOVER_UNDO,    /* its start cannot go on: undone, step by step */
        RECOVER_KILL,    /* the same, and its child has to be killed again: the request may be lost */
        RECOVER_GATE,    /* its start goes on from the gate */
        RECOVER_LOST,    /* its gate is gone: the kernel says whether the command runs */
        RECOVER_ADOPT,   /* it runs, and the keeper reports its end */
        RECOVER_EXIT,    /* it has ended meanwhile */
        RECOVER_WATCH,   /* it has no parent that reports its end: its pidfd does */
        RECOVER_FORGET,  /* this keeper cannot help: as if it did not have it */
        RECOVER_REAP,    /* its end is saved and told: the keeper may forget it */
        _RECOVER_ACTION_MAX,
        _RECOVER_ACTION_INVALID = -EINVAL,
} RecoverAction;

DECLARE_STRING_TABLE(recover_action, RecoverAction);

RecoverState role_recover_state(const Role *role);
RecoverAction role_recover_decide(RecoverState state, ChildReport report);

/* A child as the keeper lists it. Descriptors are negative when there is none; they are taken. */
typedef struct ListedChild {
        uint64_t child;     /* its number */
        const char *role;   /* its name */
        ChildReport report; /* not CHILD_NONE, not CHILD_ORPHAN */
        bool orphan;        /* of a keeper that has died */
        pid_t pid;
        uint64_t start_time;
        bool execed;
        RoleExit exit; /* when it has ended */
        int pidfd;
        int gate_fd;
        int stdin_fd;
        int terminal_fd;
} ListedChild;

/* The keeper has a child, one call each, before node_on_keeper(). */
void node_on_child(Node *node, ListedChild *listed);

/* All its children have been listed, and this is what it holds of reserved ports. The roles are up to date: if they were not
 * before, calls are answered from now on. */
void node_on_keeper(Node *node, const PortLoan *ports, size_t n_ports);

/* The keeper did not answer in time after a restart of the service: it may be late, not dead. The roles are taken for what
 * they are without it, and stops under way go on. */
void node_on_keeper_late(Node *node);

/* The connection is lost. Its children live on; those at the gate die with it. */
void node_on_keeper_lost(Node *node);

/* systemd has answered for the first time. */
void node_on_systemd(Node *node);
