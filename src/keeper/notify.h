/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The socket to which a role sends messages of sd_notify(3), and what has come and the node has not saved
 * yet. The keeper has both, so that a role can send at any time, and nothing is lost while the node is away.
 *
 * What has come is a packet in a hold (hold.h), which systemd stores beside the socket, so that the next
 * keeper continues with it. It is there before the barrier of its sender is closed.
 *
 * The socket is a file that every user may write to, because a program that begins as root may become any
 * user before it is ready. Who sends is told by the kernel (SCM_CREDENTIALS). The name of the file has a
 * random part, in a directory that cannot be listed, so only who has the environment of the role knows it:
 * others cannot fill its queue, so that the role would wait. It is bound under another name, because that one
 * is in /proc/net/unix.
 *
 * A message may come with descriptors, of a BARRIER for example. To close the last reference to a file can
 * take for ever: of a FUSE mount whose daemon does not answer, or of a TCP socket that lingers. So this
 * process never has one. It looks at a message without taking it (MSG_PEEK), and one with descriptors is
 * taken out of the socket by a child of its own, which so closes them. Until that has ended, nothing else is
 * read from this socket. */

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/un.h>

#include "base/list.h"
#include "keeper/keeper-watch.h"
#include "proto/keeper-protocol.h"
#include "proto/notify-message.h"

#define NOTIFY_DIRECTORY "architect-notify" /* beside the directory of the keeper, see socket_directory() */
#define NOTIFY_KEPT_MAX 256U                /* assignments of one role that wait for the node */
/* After this time nobody waits any more for a message with descriptors to be taken out of the socket. */
#define NOTIFY_DROP_TIMEOUT_USEC USEC_PER_SEC

/* An assignment that has come. */
struct notify_item {
        uint64_t number; /* from 1 on, in their order */
        uint64_t monotonic_usec;
        uint64_t value;
        int32_t pid; /* of the sender */
        uint32_t kind;
};

struct Notify {
        Child *child; /* NULL after it was reaped, while messages are left that only a child may take */
        int fd;
        int hold_fd;
        char path[sizeof(((struct sockaddr_un *) NULL)->sun_path)];
        bool all; /* from every process of the scope, not from the main process alone */
        struct watch watch;

        ListLink to_tell; /* in Keeper.notified, while this node has not been sent all of the items */
        uint64_t told;    /* the last number that it was sent */
        ListLink paused;  /* in Keeper.notify_paused, while the socket is read at the node's request only */
        uint64_t resume_usec;
        /* In Keeper.drops, while the next message has descriptors, and is taken by a child or waits for one.
         */
        ListLink drop;
        int drop_pidfd; /* of the child; negative while there is none */
        struct watch drop_watch;
        uint64_t drop_deadline_usec;
        bool drop_late; /* it is past its deadline */
        bool end_waits; /* the end of the role is told after what follows in the socket, or at the deadline */
        /* Messages since a moment, to find out who sends too many. */
        unsigned n_recent;
        uint64_t recent_usec;

        uint64_t number; /* the last one */
        /* Of STATUS, WATCHDOG and EXTEND_TIMEOUT the last one alone. */
        struct notify_item *items;
        size_t n_items, room;
        char status[NOTIFY_TEXT_MAX + 1]; /* the text of the one NOTIFY_STATUS */
        char *scope;                      /* the cgroup of the scope, once it is known */
        bool refused_told, full_told;     /* the journal says so */
        bool late_told;
};

/* Makes the socket, and the directory if it does not exist. Returns a negative errno. */
int notify_new(const char *directory, uint64_t id, bool all, Notify **ret);
/* Takes over from another keeper, also on failure. */
int notify_take(int fd, int hold_fd, bool all, Notify **ret);
/* Removes the file, and accepts no message any more. */
void notify_shut(Notify *notify);
/* The same, and closes the socket, in which no message with descriptors may be. */
Notify *notify_free(Notify *notify);

/* Reads at most max messages, and keeps what is known of them. Returns whether the number of items has
 * grown. instance names the scope of the role. *ret_drop is set if the next message has descriptors: it is
 * kept already, and must be taken by notify_clone_drop() before this is called again. */
bool notify_read(Notify *notify, const char *instance, unsigned max, bool *ret_drop);
/* Takes messages out of a socket that is shut, up to one with descriptors. Returns whether there is one. */
bool notify_discard(Notify *notify);
/* Clones a child that takes the next message, or all if the socket is shut, and ends when their descriptors
 * are closed. Stores its pidfd. Returns a negative errno. */
int notify_clone_drop(Notify *notify);

/* Whether more messages came in the last second than the node should be troubled with. Then the socket is not
 * read until resume_usec, CLOCK_MONOTONIC. */
bool notify_is_flooded(Notify *notify);

/* The node has saved everything up to this number. The last WATCHDOG stays, as the node saves none. */
void notify_saved(Notify *notify, uint64_t number);

/* Returns the next item that the node has not been sent, or NULL. */
const struct notify_item *notify_next(const Notify *notify);

/* Removes each socket of the directory that is_known() does not know, which a dead keeper has left. */
void notify_clean(const char *directory, bool (*is_known)(void *userdata, const char *path), void *userdata);
