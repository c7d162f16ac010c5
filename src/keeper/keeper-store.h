/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Descriptors that systemd stores for the keeper (sd_notify(3), FDSTORE=1) and passes to the next keeper
 * after a death. These are, for each child, its pidfd, the write end of its stdin and its terminal, for each
 * reserved port a hold (hold.h), and the state that describes them.
 *
 * They are stored only when nothing has changed for a moment, and at SIGTERM. systemd compares each new
 * descriptor with all others, which would slow down every start. An end of stdin that must be closed for good
 * is removed from the store at once. */

#include <stdbool.h>
#include <stdint.h>

#include "base/id-map.h"
#include "base/list.h"
#include "keeper/child.h"
#include "keeper/keeper-state.h"
#include "keeper/keeper-terminal.h"
#include "keeper/sockets.h"

/* FileDescriptorStoreMax= of the unit. The names are passed in one variable of the environment, which is
 * limited to 128 KiB. */
#define STORE_MAX 8000U

/* The value is the first letter of the name; the rest of the name is a number in hexadecimal. */
typedef enum StoreKind {
        STORE_STATE = 's', /* the number is the generation; the highest one is the newest */
        STORE_PIDFD = 'p', /* the number is that of the child */
        STORE_STDIN = 'i',
        STORE_TCP = 't', /* the number is that of the port */
        STORE_UDP = 'u',
        /* The number is that of the child that has the terminal. */
        STORE_MASTER = 'm',
        STORE_CONTROL = 'c',
        STORE_PEER = 'e',
        STORE_OUTPUT = 'o',
        STORE_TERMINAL = 'd', /* pidfd of its architect-terminal */
} StoreKind;

/* Each child and each port records which of its descriptors systemd stores and should store. The lists here
 * contain those that have changed. */
typedef struct Store {
        int notify_fd;   /* negative if nothing stores descriptors */
        size_t n_stored; /* without the state */
        /* Child.to_store, of the children that may not be stored completely */
        ListLink children;
        struct keeper_state_stored *gone; /* to be removed; nothing owns these any more */
        size_t n_gone;
        size_t room_gone;
        uint64_t generation;
        uint64_t state;             /* the stored generation; 0 if there is none */
        uint64_t first_change_usec; /* CLOCK_MONOTONIC; 0 if everything is stored */
        uint64_t last_change_usec;
        bool full;      /* has been logged */
        bool ready_due; /* systemd has not taken READY=1 yet */
} Store;

void store_open(Store *store); /* uses $NOTIFY_SOCKET */

/* Notifies systemd that the keeper is ready, at once or before the next descriptor. */
void store_ready(Store *store);

/* Mark a change of what is to be stored: of a port or the state, of a child, or of its architect-terminal. */
void store_touch(Store *store);
void store_touch_child(Store *store, Child *child);
void store_touch_terminal(Store *store, KeeperTerminal *terminal);
/* Called when the child has been reaped. */
void store_forget_child(Store *store, Child *child);

/* Removes the stored end of a child's stdin. The keeper has closed its own, which must be the last one. */
void store_close_stdin(Store *store, Child *child);

/* Writes the current state of the keeper into a memfd and returns the memfd or a negative errno. */
typedef int (*StoreWriteState)(const void *userdata);

/* Does the step that is due. Returns the milliseconds until the next one, or -1. */
int store_run(Store *store, Sockets *sockets, StoreWriteState write_state, const void *userdata);
/* Stores the changes at once. Returns 0, or -EAGAIN if systemd does not read at the moment. */
int store_sync(Store *store, Sockets *sockets, StoreWriteState write_state, const void *userdata);

/* Collects what systemd stores, for the state. The caller frees the array. children are linked by Child.link.
 * Returns a negative errno. */
int store_collect(const Store *store, const ListLink *children, const Sockets *sockets,
        struct keeper_state_stored **ret, size_t *ret_n);

/* Continues the store of a previous keeper, which has stored these items, for the objects that this keeper
 * has taken over. */
void store_resume(Store *store, const ListLink *children, const IdMap *children_by_id, const Sockets *sockets,
        const struct keeper_state_stored *items, size_t n);

StoreKind store_port_kind(const struct keeper_port *port);

/* Parses a name as systemd passes it into kind and id. Returns false if the name is not one of the keeper. */
bool store_item_parse(const char *name, size_t size, struct keeper_state_stored *ret);
