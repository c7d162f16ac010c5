/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/feature.h"

static const char *const feature_table[_FEATURE_MAX] = {
        [FEATURE_PIDFDS] = "pidfds",
        [FEATURE_PIDFD_INFO] = "pidfd-info",
        [FEATURE_CGROUP_KILL] = "cgroup-kill",
};

DEFINE_STRING_TABLE(feature, Feature, feature_table);

bool feature_masked(Feature f) {
        const char *off = getenv("ARCHITECT_FEATURES_OFF"), *name = feature_to_string(f);

        if (!off || !name)
                return false;

        for (;;) {
                size_t n = strcspn(off, ",");

                if (n == strlen(name) && strncmp(off, name, n) == 0)
                        return true;
                if (!off[n])
                        return false;
                off += n + 1;
        }
}
