/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Descriptors that systemd keeps for us (sd_notify(3), FDSTORE=1) and gives to the keeper that comes after our death: of each
 * child its pidfd, the write end of its stdin and its terminal, of each reserved port a hold.h, and the state that says what they are.
 *
 * Only when nothing has changed for a moment, and at SIGTERM: systemd compares each new descriptor with all it has, which would
 * slow down every start. What has to be closed for good, an end of stdin, is taken back at once. */

#include <stdbool.h>
#include <stdint.h>

#include "keeper/keeper-state.h"

/* FileDescriptorStoreMax= of the unit. Their names come back in one string of the environment, which may have 128 KiB. */
#define STORE_MAX 8000U

typedef struct Keeper Keeper;

/* The first letter of the name; the rest is a number in hexadecimal. */
typedef enum StoreKind {
        STORE_STATE = 's', /* number: the generation; the highest is the last */
        STORE_PIDFD = 'p', /* number: of the child */
        STORE_STDIN = 'i',
        STORE_TCP = 't', /* number: of the port */
        STORE_UDP = 'u',
        /* Number: of the child whose terminal it is. */
        STORE_MASTER = 'm',
        STORE_CONTROL = 'c',
        STORE_PEER = 'e',
        STORE_OUTPUT = 'o',
        STORE_TERMINAL = 'd', /* pidfd of its architect-terminal */
} StoreKind;

typedef struct Store {
        int notify_fd; /* negative: there is nobody who would keep anything */
        uint64_t generation;
        struct keeper_state_stored *items; /* sorted */
        size_t n;
        uint64_t first_change_usec; /* CLOCK_MONOTONIC; 0: everything is stored */
        uint64_t last_change_usec;
        bool full; /* has been said */
} Store;

void store_open(Store *store); /* by $NOTIFY_SOCKET */

/* In the place of one that has stored these already. */
int store_resume(Store *store, const struct keeper_state_stored *items, size_t n);

/* Something that is to be stored is not what it was. */
void store_touch(Store *store);
/* Does what it is time for; milliseconds until the next time, or -1. */
int store_run(Keeper *keeper);
/* At once. 0, or -EAGAIN: systemd does not read at the moment. */
int store_sync(Keeper *keeper);

/* Our copy is closed, and that is to be the last one. */
void store_remove(Store *store, StoreKind kind, uint64_t id);

/* What systemd has given back: n descriptors from first on, with names divided by colons. Takes what it knows into the keeper, closes the
 * rest; those of other names are left alone. */
int store_restore(Keeper *keeper, int first, uint32_t n, const char *names);
