/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A run whose saved file is damaged or missing. Nothing of it may be lost by that: a process that runs is
 * never stopped, and its end is told.
 *
 * The role exists from the beginning as a running one with default options, so that nobody starts another
 * run of its name. When the keeper has listed its children, what it is follows from this evidence, in this
 * order: the keeper (which has a child of this name, with its pid and its exit), the kernel (a process of
 * this pid in its scope), the log of events (whether its start and its end were told), and last the lines of
 * the damaged file, any of which may be wrong. An end of which none of them has the status is "lost". */

#include "model/events.h"
#include "model/listed-child.h"
#include "model/state-fields.h"

/* What is known of it until the keeper has listed its children. */
typedef struct Damage {
        /* Lines of the file. */
        RoleState state; /* _ROLE_STATE_INVALID if it cannot be read, as all of these */
        pid_t pid;
        uint64_t start_time;
        uint64_t exited_sequence;

        /* The log. */
        bool known;     /* it has the newest run of this name, whose identity the role has */
        bool purged;    /* that run was purged */
        pid_t told_pid; /* of RoleStarted, 0 if that is not in the log any more */

        /* The keeper; without a child if the number is 0. */
        ListedChild listed;
} Damage;

Damage *damage_free(Damage *damage);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Damage, damage_free)

/* The role is not in the node's table yet. */
Role *role_new_damaged(Node *node, const char *name);

/* Takes the lines of its file. */
void role_damage_salvage(Role *role, StateFields *fields);

/* An event of a role of this name, in the order of the log. */
void role_damage_on_event(Role *role, const Event *event);

/* It is another run than that of the log, or one that the log does not have. It gets an identity of its own,
 * because the log says by that which runs have ended. */
void role_damage_forget_run(Role *role);
