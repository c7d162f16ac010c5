/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A user that is being looked up, for KEEPER_LOOKUP. A child of the keeper does that, which lives as long as
 * the databases need, at most KEEPER_LOOKUP_TIMEOUT_USEC. */

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "keeper/keeper-self.h"
#include "keeper/keeper-watch.h"
#include "proto/keeper-protocol.h"

struct Lookup {
        uint64_t deadline_usec; /* CLOCK_MONOTONIC */
        int pidfd;              /* of its child */
        int fd;                 /* from which the result is read; nonblocking */
        struct watch watch;
        ListLink link;    /* in Keeper.lookups, until the child has ended and the node has the result */
        ListLink to_tell; /* in Keeper.lookups_to_tell, while the node has to receive the result */
        bool over;        /* the result is valid */
        bool told;        /* it was queued for the node, or nobody waits for it */
        bool ended;       /* the child is gone */
        struct keeper_looked_up result;
};

/* Clones the child. Returns a negative errno. */
int lookup_new(const struct keeper_self *self, const struct keeper_lookup *request, Lookup **ret);
/* Ends a clone that nobody watches: waits for its end, which follows at once, and frees the look-up. */
Lookup *lookup_abandon(Lookup *lookup);
/* The child must have ended. */
Lookup *lookup_free(Lookup *lookup);

/* Makes the error the result, unless there is one, and has the child killed. */
void lookup_fail(Lookup *lookup, int error);

/* Reaps the child if it has ended, and reads the result. Returns whether it has ended. */
bool lookup_check_exit(Lookup *lookup);
