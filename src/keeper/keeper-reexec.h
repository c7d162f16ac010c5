/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The keeper replaces itself: execve(2) of the program that is installed by now, which keeps the pid and with it the children,
 * their zombies and the descriptors. Before that the new program is run as a child with --check on the state; if it does not
 * like it, nothing has happened. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "keeper/child.h"
#include "keeper/keeper-state.h"

/* In the environment of the new program: the number of the descriptor with the state. */
#define KEEPER_STATE_ENVIRONMENT "ARCHITECT_KEEPER_STATE"

typedef struct Keeper Keeper;

typedef struct Reexec {
        bool asked;   /* from the first request on until it is answered */
        bool checked; /* the new program agrees; to be done as soon as nothing is half said */
        int asker_fd; /* who waits for the answer, on a connection of its own; negative: the node, or nobody any more */
        bool for_node;
        pid_t check_pid; /* 0: none runs */
        int check_pidfd;
        uint64_t deadline_usec; /* CLOCK_MONOTONIC: until then the check has to be done */
} Reexec;

/* asker_fd negative: the node asks. Takes it. It is answered in any case. */
void reexec_ask(Keeper *keeper, int asker_fd);
void reexec_on_check(Keeper *keeper); /* it has ended */
void reexec_on_asker(Keeper *keeper); /* it has hung up */
void reexec_forget_node(Keeper *keeper);

/* Does what it is time for; milliseconds until the next time, or -1. Comes back from the execve(2) only if that fails. */
int reexec_run(Keeper *keeper);

/* In the new program: those who asked hear of it. */
void reexec_resume(Keeper *keeper, const KeeperState *state);

/* What there is, to be written down. The caller clears it. */
int keeper_collect(const Keeper *keeper, KeeperState *ret);
/* And back. */
int keeper_take_over(Keeper *keeper, const KeeperState *state);
