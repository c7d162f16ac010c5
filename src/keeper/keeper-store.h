/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Descriptors that systemd keeps for us (sd_notify(3), FDSTORE=1) and gives to the keeper that comes after our death: of each
 * child its pidfd, the write end of its stdin and its terminal, of each reserved port a hold.h, and the state that says what they are.
 *
 * Only when nothing has changed for a moment, and at SIGTERM: systemd compares each new descriptor with all it has, which would
 * slow down every start. What has to be closed for good, an end of stdin, is taken back at once. */

#include <stdbool.h>
#include <stdint.h>

#include "base/id-map.h"
#include "base/list.h"
#include "keeper/child.h"
#include "keeper/keeper-state.h"
#include "keeper/keeper-terminal.h"
#include "keeper/sockets.h"

/* FileDescriptorStoreMax= of the unit. Their names come back in one string of the environment, which may have 128 KiB. */
#define STORE_MAX 8000U

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

/* What systemd has, and what it should have, is written down with each child and each port; here are those that have changed. */
typedef struct Store {
        int notify_fd;                    /* negative: there is nobody who would keep anything */
        size_t n_stored;                  /* without the state */
        ListLink children;                /* Child.to_store: of which not all may be stored */
        struct keeper_state_stored *gone; /* to be taken back, and nobody's any more */
        size_t n_gone;
        size_t room_gone;
        uint64_t generation;
        uint64_t state;             /* the generation that is stored; 0: none */
        uint64_t first_change_usec; /* CLOCK_MONOTONIC; 0: everything is stored */
        uint64_t last_change_usec;
        bool full; /* has been said */
} Store;

void store_open(Store *store); /* by $NOTIFY_SOCKET */

/* Something that is to be stored is not what it was: a port, or what the state says; a child; its architect-terminal. */
void store_touch(Store *store);
void store_touch_child(Store *store, Child *child);
void store_touch_terminal(Store *store, KeeperTerminal *terminal);
/* It has been reaped. */
void store_forget_child(Store *store, Child *child);

/* Our copy of a child's stdin is closed, and that is to be the last one. */
void store_close_stdin(Store *store, Child *child);

/* Writes the state of what the keeper has now into a memfd and returns it. */
typedef int (*StoreWriteState)(const void *userdata);

/* Does what it is time for; milliseconds until the next time, or -1. */
int store_run(Store *store, Sockets *sockets, StoreWriteState write_state, const void *userdata);
/* At once. 0, or -EAGAIN: systemd does not read at the moment. */
int store_sync(Store *store, Sockets *sockets, StoreWriteState write_state, const void *userdata);

/* What systemd has, for the state. The caller frees. children: by Child.link. */
int store_collect(const Store *store, const ListLink *children, const Sockets *sockets,
        struct keeper_state_stored **ret, size_t *ret_n);

/* In the place of one that has stored these already, for what the keeper has taken over. */
void store_resume(Store *store, const ListLink *children, const IdMap *children_by_id, const Sockets *sockets,
        const struct keeper_state_stored *items, size_t n);

StoreKind store_port_kind(const struct keeper_port *port);

/* Of a name as systemd gives it back: kind and id. false: it is not one of ours. */
bool store_item_parse(const char *name, size_t size, struct keeper_state_stored *ret);
