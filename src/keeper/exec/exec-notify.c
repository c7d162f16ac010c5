/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "keeper/exec/exec-environment.h"
#include "keeper/exec/exec-notify.h"

int exec_notify_environment(const ExecParameters *p, const LaunchRequest *request, char ***env) {
        char *own[4] = { NULL };
        size_t n = 0;

        /* These are never freed, because the exec takes them or the process ends. */
        if (p->notify_path && asprintf(&own[n++], "NOTIFY_SOCKET=%s", p->notify_path) < 0)
                return -ENOMEM;
        if (request->watchdog_usec > 0 &&
                (asprintf(&own[n++], "WATCHDOG_USEC=%" PRIu64, request->watchdog_usec) < 0 ||
                        asprintf(&own[n++], "WATCHDOG_PID=%d", (int) getpid()) < 0))
                return -ENOMEM;
        return n == 0 ? 0 : environment_merge(*env, own, env);
}
