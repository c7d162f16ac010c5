/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The keeper and systemd: its death, its replacement, and the descriptors that systemd stores for it. */

#include <stdbool.h>
#include <sys/types.h>

#include "bus.h"

/* Kills it by SIGKILL and waits until there is another one with which the node is connected. */
void keeper_crash_and_wait(Bus *bus);
/* The same with both services. */
void keeper_and_node_crash(Bus *bus);
/* As a package does it: the keeper replaces itself, then the node is restarted. */
void keeper_and_node_upgrade(Bus *bus);

/* All that may happen to the two, for tests of what must be the same afterwards. */
typedef struct Trouble {
        const char *name;
        void (*happens)(Bus *bus);
} Trouble;

#define N_TROUBLES 5U
extern const Trouble troubles[N_TROUBLES];

/* Waits for a number of descriptors that systemd stores for it, by their names or on shelves. One of them is
 * the state, if there are any. */
void keeper_wait_stored(Bus *bus, guint n);
/* Waits until all these are the state and one shelf to systemd. */
void keeper_wait_shelved(Bus *bus);

/* Returns what identifies the state that systemd stores for it, or 0 if there is none, or one that is being
 * replaced. It changes with each new state. */
guint64 keeper_stored_state(void);

/* Expects the exit of a role whose parent had died, which is that of the kernel, if it has pidfd-info, or
 * "lost". */
void expect_end(
        Bus *bus, const char *role, const char *code, int status, const char *poll, const char *cause);

/* Calls systemctl reload; returns its exit status. */
int keeper_reload(void);
