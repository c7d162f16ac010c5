/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Descriptors that systemd stores for the keeper (sd_notify(3), FDSTORE=1) and passes to the next keeper
 * after a death. These are, for each child, its pidfd, the write end of its stdin, its terminal and its
 * notifications, for each reserved port a hold (hold.h), and the state that describes them.
 *
 * systemd compares each new descriptor with all that it has, and answers nobody meanwhile. So what belongs to
 * children and ports is on shelves (shelf.h), up to 253 descriptors on each, and systemd stores the shelves.
 * Only where that would be at the expense of other programs (shelves_are_free()) each descriptor is stored
 * under a name of its own.
 *
 * All this is done only when nothing has changed for a moment, and at SIGTERM. An end of stdin that must be
 * closed for good is removed at once.
 *
 * A keeper takes over what the previous one has stored in either form, but does not continue its shelves. It
 * stores everything anew, and then removes what the previous one had stored (Store.old), so that all is
 * stored at every moment. Only a keeper without shelves continues single descriptors, whose names it needs
 * again. */

#include <stdbool.h>
#include <stdint.h>

#include "base/id-map.h"
#include "base/list.h"
#include "keeper/child.h"
#include "keeper/keeper-state.h"
#include "keeper/keeper-terminal.h"
#include "keeper/notify.h"
#include "keeper/shelf.h"
#include "keeper/sockets.h"

/* FileDescriptorStoreMax= of the unit is a little more; from systemd 254 on $FDSTORE is what it really is.
 * The names are passed in one variable of the environment, which is limited to 128 KiB. */
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
        /* The number is that of the child. See notify.h. */
        STORE_NOTIFY = 'n',
        STORE_NOTIFIED = 'k', /* a hold */
        /* The number is that of the shelf. What is on it has one of the kinds above, except the state. */
        STORE_SHELF = 'q',
} StoreKind;

/* Items that are to be removed from systemd's store. Nothing owns these any more. */
typedef struct StoreItems {
        struct keeper_state_stored *all;
        size_t n;
        size_t room;
} StoreItems;

/* Each child and each port records on which shelf it is, or which of its descriptors systemd stores. The
 * lists here contain those that have changed. */
typedef struct Store {
        int notify_fd;   /* negative if nothing stores descriptors */
        bool shelved;    /* on shelves, not one by one */
        size_t max;      /* of n_stored */
        size_t n_stored; /* without the state, and without what systemd is still to remove */
        Shelves shelves;
        /* Child.to_store, of the children that may not be stored completely */
        ListLink children;
        StoreItems gone; /* to be removed before anything is stored */
        StoreItems old;  /* of the previous keeper; to be removed when everything is stored */
        uint64_t generation;
        uint64_t state;             /* the stored generation; 0 if there is none */
        uint64_t first_change_usec; /* CLOCK_MONOTONIC; 0 if everything is stored */
        uint64_t last_change_usec;
        bool at_once;   /* the next step does not wait */
        bool full;      /* there was no room for a descriptor */
        int complaint;  /* the errno with which the user was told that not everything is stored, or 0 */
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

/* Removes the stored end of a child's stdin at once. The keeper has closed its own, which must be the last
 * one. */
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
