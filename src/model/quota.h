/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What one user has and does at a time, as far as a setting Max...PerUser= limits it, so that no user takes
 * it from others. Roles and variables are counted where they are. Root, and the user whose service this is,
 * have no limits; what they have is that of uid 0 here.
 *
 * Nothing of this is saved. The counts are made anew from what is loaded, and starts before a restart of the
 * service are forgotten, since no user can cause one. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/time-util.h"
#include "model/fault.h"
#include "model/model-forward.h"

struct Quota {
        uid_t uid;
        unsigned n_ended;     /* roles in the node's queue ended */
        unsigned n_binding;   /* ports that the keeper is requested to reserve */
        size_t queued_input;  /* bytes; see quota_take_input() */
        uint64_t starts;      /* of QUOTA_START each, less what has passed since */
        uint64_t starts_usec; /* when that was counted, on CLOCK_MONOTONIC */
};

/* The table has each user who has something, by uid. */
GHashTable *quotas_new(void);

/* Returns that of this user, and creates it. It is valid as long as any of its counts is not 0. */
Quota *quota_get(GHashTable *quotas, uid_t uid);

/* Starts are limited because of the events that they cause, which would push those of others out of the log.
 * The maximum of them may come at once; what is used up is given back within a minute. The first function
 * fails with LimitReached. */
#define QUOTA_START (60 * USEC_PER_SEC)
int quota_check_start(GHashTable *quotas, uid_t uid, const char *role, unsigned max, Fault *fault);
void quota_take_start(GHashTable *quotas, uid_t uid, unsigned max);

/* Takes what a call with so many bytes of input occupies while it waits for a role that does not read, until
 * the same is returned. Fails with LimitReached. */
#define QUOTA_CALL_SIZE 1024U /* of the message around the bytes; else calls without bytes had no limit */
int quota_take_input(Quota *quota, size_t size, const char *role, size_t max, Fault *fault);
void quota_return_input(Quota *quota, size_t size);
