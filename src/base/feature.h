/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What newer systems offer and Debian 12 lacks. Tests mask features to run the older path on a newer machine:
 * ARCHITECT_FEATURES_OFF=pidfds,pidfd-info,cgroup-kill in the environment of both services. Nothing else reads it. */

#include <stdbool.h>

#include "base/string-table.h"

typedef enum Feature {
        FEATURE_PIDFDS,      /* systemd 255: PIDFDs= of a scope */
        FEATURE_PIDFD_INFO,  /* Linux 6.15: PIDFD_INFO_EXIT */
        FEATURE_CGROUP_KILL, /* Linux 5.14: cgroup.kill */
        _FEATURE_MAX,
        _FEATURE_INVALID = -EINVAL,
} Feature;

DECLARE_STRING_TABLE(feature, Feature);

bool feature_masked(Feature f);
