/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Recovery compares the children that the keeper reports after a connection with the known roles. After a
 * restart of the service these have their saved state; after a restart of the keeper they have the state of
 * this process. */

#include "model/listed-child.h"
#include "model/node.h"

/* The state of the role, more detailed than the table requires, so that each is tested. */
typedef enum RecoverState {
        RECOVER_DEPENDENCIES, /* the phases of a start */
        RECOVER_QUEUED,
        RECOVER_SWEEP,
        RECOVER_FORK,
        RECOVER_SCOPE,
        RECOVER_OPEN,
        RECOVER_UNDOING, /* a failed start in this process */
        RECOVER_RUNNING,
        RECOVER_ASKED,    /* stopping, after the stop signal */
        RECOVER_KILLED,   /* stopping, after SIGKILL */
        RECOVER_OUTLIVED, /* running or stopping without its main process, whose exit is saved */
        RECOVER_UNSWEPT,  /* ended, with remaining processes */
        RECOVER_ENDED,
        RECOVER_POST,      /* a failed start whose commands of exec-stop-post run */
        RECOVER_HOOK,      /* commands of exec-stop or exec-stop-post that have not begun (role-hooks.h) */
        RECOVER_HOOK_OPEN, /* the same, which may have begun */
        _RECOVER_STATE_MAX,
        _RECOVER_STATE_INVALID = -EINVAL,
} RecoverState;

DECLARE_STRING_TABLE(recover_state, RecoverState);

typedef enum RecoverAction {
        RECOVER_NOTHING, /* it waits for its turn, or needs no action */
        RECOVER_REQUEUE, /* it has neither child nor scope yet and waits for its turn again */
        RECOVER_UNDO,    /* its start cannot continue and is undone, step by step */
        RECOVER_KILL,    /* the same, and its child is killed again, because the request may be lost */
        RECOVER_GATE,    /* its start continues at the gate */
        RECOVER_LOST,    /* its gate is gone; the kernel shows whether the command runs */
        RECOVER_ADOPT,   /* it runs, and the keeper reports its end */
        RECOVER_EXIT,    /* it has ended meanwhile */
        RECOVER_WATCH,   /* it has no parent that reports its end, so its pidfd is watched */
        RECOVER_FORGET,  /* the keeper cannot help; treated as if it did not have the child */
        RECOVER_REAP,    /* its end is saved and sent; the keeper may forget it */
        _RECOVER_ACTION_MAX,
        _RECOVER_ACTION_INVALID = -EINVAL,
} RecoverAction;

DECLARE_STRING_TABLE(recover_action, RecoverAction);

RecoverState role_recover_state(const Role *role);
RecoverAction role_recover_decide(RecoverState state, ChildReport report);

/* The child belongs to the role again, with the descriptors that the keeper lends. */
void role_take_child(Role *role, ListedChild *listed);
/* It has ended meanwhile. May free the role, as the next one. */
void role_end_child(Role *role, const ListedChild *listed);
/* Its start continues at the gate. */
void role_go_on_from_gate(Role *role);

/* For each child of the keeper, before node_on_keeper(). */
void node_on_child(Node *node, ListedChild *listed);

/* The keeper has listed all its children and the reserved ports that it has. The roles are up to date; if
 * they were not before, calls are answered from now on. */
void node_on_keeper(Node *node, const PortLoan *ports, size_t n_ports);

/* The keeper has not answered in time after a restart of the service; it may be late, not dead. The roles are
 * treated as without a keeper, and stops under way continue. */
void node_on_keeper_late(Node *node);

/* The connection to the keeper is lost, possibly before node_on_keeper(). Its children continue to run; those
 * at the gate exit. */
void node_on_keeper_lost(Node *node);

/* systemd has answered for the first time. */
void node_on_systemd(Node *node);
