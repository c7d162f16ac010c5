/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the hosts of a cluster tell each other in the process group CLUSTER_GROUP of corosync, which delivers
 * each message to all members in the same order: a line of words. A version that another one does not know is
 * dropped, and so is a line with more words than it knows. */

#include <stddef.h>
#include <stdint.h>

#include "base/string-table.h"

#define CLUSTER_GROUP "architect-node"
#define CLUSTER_NAME_MAX 255
#define CLUSTER_MESSAGE_MAX 512 /* bytes of a message */

typedef enum ClusterVerb {
        /* From a host with quorum to itself: when it comes back, corosync works, and all that others have
         * said before has arrived. The number is the lease time, in microseconds. */
        CLUSTER_BEAT,
        /* To the named host: end your roles. Repeated every BEAT_REPEAT_USEC until somebody is sure. The
         * number is how long that goes on, in microseconds. */
        CLUSTER_FENCE,
        /* From the named host: it has read that, but still has roles. */
        CLUSTER_HEARD,
        /* From the named host: no process of its roles is left, and it starts none while it hears
           CLUSTER_FENCE. */
        CLUSTER_GONE,
        _CLUSTER_VERB_MAX,
        _CLUSTER_VERB_INVALID = -EINVAL,
} ClusterVerb;

DECLARE_STRING_TABLE(cluster_verb, ClusterVerb);

typedef struct ClusterMessage {
        ClusterVerb verb;
        char name[CLUSTER_NAME_MAX + 1]; /* a host, as Pacemaker names it */
        uint64_t number;
} ClusterMessage;

/* Stores the text, without a NUL, and returns its size, or -EINVAL for a name that cannot be sent. */
int cluster_message_write(const ClusterMessage *message, char ret[static CLUSTER_MESSAGE_MAX]);

/* Returns -EBADMSG for what is no such message, and changes nothing then. */
int cluster_message_read(const char *data, size_t size, ClusterMessage *ret);
