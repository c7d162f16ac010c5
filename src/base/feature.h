/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Features of newer systems that Debian 12 lacks. Tests disable them to run the older code on a newer
 * machine, with ARCHITECT_FEATURES_OFF=pidfds,pidfd-info,cgroup-kill in the environment of both services. It
 * has no other purpose. */

#include <stdbool.h>

#include "base/string-table.h"

typedef enum Feature {
        FEATURE_PIDFDS,      /* systemd 255, PIDFDs= of a scope */
        FEATURE_PIDFD_INFO,  /* Linux 6.15, PIDFD_INFO_EXIT */
        FEATURE_CGROUP_KILL, /* Linux 5.14, cgroup.kill */
        _FEATURE_MAX,
        _FEATURE_INVALID = -EINVAL,
} Feature;

DECLARE_STRING_TABLE(feature, Feature);

bool feature_masked(Feature f);
