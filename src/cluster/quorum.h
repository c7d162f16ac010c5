/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The service architect-cluster: renews the lease of the roles of the cluster while this host has quorum, and
 * tells Pacemaker about roles that have failed. */

#include <stdint.h>

typedef struct QuorumSettings {
        const char *instance; /* of the node */
        const char *lease;
        uint64_t timeout_usec; /* of the lease */
} QuorumSettings;

/* Runs until it is stopped. Returns a negative errno, which was logged. */
int quorum_run(const QuorumSettings *settings);
