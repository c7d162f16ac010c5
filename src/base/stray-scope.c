/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cgroup-util.h"
#include "base/macro.h"
#include "base/pidref.h"
#include "base/stray-scope.h"

/* More processes than were counted just before are new ones, and a new process is not old. */
#define PIDS_RESERVE 64

static bool component_has_suffix(const char *component, size_t n, const char *suffix) {
        size_t k = strlen(suffix);

        return n > k && memcmp(component + n - k, suffix, k) == 0;
}

/* "init.scope" has the processes of a systemd, "architect-INSTANCE-ROLE.scope" those of a role. */
static bool component_is_taken(const char *component, size_t n) {
        static const char init[] = "init.scope", role[] = "architect-";

        return (n == strlen(init) && memcmp(component, init, n) == 0) ||
               (n > strlen(role) && memcmp(component, role, strlen(role)) == 0);
}

int stray_scope_of(const char *cgroup, char **ret) {
        const char *found = NULL, *end = NULL;
        char *scope;
        size_t n;

        for (const char *p = cgroup; *p == '/'; p += n) {
                p++;
                n = strcspn(p, "/");
                if (component_has_suffix(p, n, ".service"))
                        found = NULL;
                else if (component_has_suffix(p, n, ".scope")) {
                        found = component_is_taken(p, n) ? NULL : p;
                        end = p + n;
                }
        }
        if (!found)
                return -ENODATA;

        scope = strndup(cgroup, (size_t) (end - cgroup));
        if (!scope)
                return -ENOMEM;
        *ret = scope;
        return 0;
}

int stray_scope_check(const char *scope, uint64_t start_time) {
        _cleanup_free_ char *innermost = NULL;
        _cleanup_free_ pid_t *pids = NULL;
        struct proc_stat stat;
        size_t max;
        int n, r;

        r = stray_scope_of(scope, &innermost);
        if (r == -ENODATA || (r >= 0 && strcmp(innermost, scope) != 0))
                return -EPERM;
        if (r < 0)
                return r;

        n = cgroup_pids(scope, NULL, 0);
        if (n < 0)
                return n;
        max = (size_t) n + PIDS_RESERVE;
        pids = malloc(max * sizeof(pid_t));
        if (!pids)
                return -ENOMEM;
        n = cgroup_pids(scope, pids, max);
        if (n <= 0)
                return n < 0 ? n : -ENOENT;

        for (size_t i = 0; i < (size_t) n && i < max; i++)
                if (proc_stat_read(pids[i], &stat) >= 0 && stat.start_time < start_time)
                        return -EPERM;
        return 0;
}
