/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* This file knows of most roles that systemd is not stopping them, without asking it. Before systemd signals
 * the processes of a unit it opens the file cgroup.procs of its cgroup (cg_kill() of its cgroup-util.c), and
 * the kernel puts that into the queue of inotify before open(2) returns, so before any process receives the
 * signal. If nobody has opened the file, a role that exits was not stopped by systemd.
 *
 * Others open it, too: systemctl status, a monitoring agent, the keeper. Then the answer is "perhaps", for
 * the rest of the run, and systemd is asked (scope-cause.c), which takes as long as it is busy with this very
 * end. The queue is read when a role ends, and never wakes the service. */

#include <errno.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/cgroup-util.h"
#include "base/fd-util.h"
#include "scope/scope-private.h"
#include "util/log.h"

typedef struct StopWatch {
        int number; /* inotify's */
        bool known; /* systemd has said that it is not stopping the unit, after the watch was there */
} StopWatch;

void stop_watch_clear(Scopes *scopes) {
        scopes->stop_fd = fd_close(scopes->stop_fd);
        g_hash_table_remove_all(scopes->stop_numbers);
        g_hash_table_remove_all(scopes->stop_watches);
}

static void stop_watch_on_event(Scopes *scopes, const struct inotify_event *event) {
        void *number = GINT_TO_POINTER(event->wd);

        if (event->mask & IN_OPEN)
                (void) g_hash_table_remove(
                        scopes->stop_watches, g_hash_table_lookup(scopes->stop_numbers, number));
        /* The file is gone, or it was opened just now, since the watch is for one event. */
        if (event->mask & IN_IGNORED)
                (void) g_hash_table_remove(scopes->stop_numbers, number);
}

/* Reads all that is in the queue now. With less than a full buffer nothing is left; an event has no name
 * here, so the buffer is a multiple of it. */
static void stop_watch_read(Scopes *scopes) {
        char buffer[256 * sizeof(struct inotify_event)]
                __attribute__((aligned(__alignof__(struct inotify_event))));
        ssize_t n = sizeof(buffer);

        while (scopes->stop_fd >= 0 && n == sizeof(buffer)) {
                n = read(scopes->stop_fd, buffer, sizeof(buffer));
                for (char *p = buffer; p < buffer + n;) {
                        const struct inotify_event *event = (const struct inotify_event *) p;

                        p += sizeof(*event) + event->len;
                        if (event->mask & IN_Q_OVERFLOW) {
                                stop_watch_clear(scopes); /* of all that run now, nothing is known */
                                return;
                        }
                        stop_watch_on_event(scopes, event);
                }
        }
}

void stop_watch_add(Scopes *scopes, const Role *role, const char *cgroup, bool known) {
        const char *root;

        /* Without it systemd is asked. What reports that a cgroup is empty has the first instance. */
        if (scopes->stop_fd < 0 && scopes->inotify_fd >= 0)
                scopes->stop_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (scopes->stop_fd < 0 || !cgroup || cgroup_root(&root) < 0)
                return;
        g_autofree char *path = g_strconcat(root, cgroup, "/cgroup.procs", NULL);
        int number = inotify_add_watch(scopes->stop_fd, path, IN_OPEN | IN_ONESHOT);
        if (number < 0)
                return;
        StopWatch *watch = g_new(StopWatch, 1);
        *watch = (StopWatch){ number, known };
        (void) g_hash_table_replace(scopes->stop_watches, (Role *) role, watch);
        (void) g_hash_table_replace(scopes->stop_numbers, GINT_TO_POINTER(number), (Role *) role);
}

bool stop_watch_exists(Scopes *scopes, const Role *role) {
        return g_hash_table_contains(scopes->stop_watches, role);
}

void stop_watch_confirm(Scopes *scopes, const Role *role) {
        StopWatch *watch = g_hash_table_lookup(scopes->stop_watches, role);

        if (watch)
                watch->known = true;
}

void stop_watch_remove(Scopes *scopes, const Role *role) {
        const StopWatch *watch = g_hash_table_lookup(scopes->stop_watches, role);

        if (!watch)
                return;
        if (g_hash_table_remove(scopes->stop_numbers, GINT_TO_POINTER(watch->number)))
                (void) inotify_rm_watch(scopes->stop_fd, watch->number); /* fails if the cgroup is gone */
        (void) g_hash_table_remove(scopes->stop_watches, role);
        stop_watch_read(scopes); /* each removal is in the queue, which has a limit */
}

bool scope_may_be_stopped(void *data, const Role *role) {
        Scopes *scopes = data;

        stop_watch_read(scopes);
        const StopWatch *watch = g_hash_table_lookup(scopes->stop_watches, role);
        return !watch || !watch->known;
}

void stop_watch_setup(Scopes *scopes) {
        scopes->stop_numbers = g_hash_table_new(NULL, NULL);
        scopes->stop_watches = g_hash_table_new_full(NULL, NULL, NULL, g_free);
}

void stop_watch_done(Scopes *scopes) {
        if (scopes->stop_watches)
                stop_watch_clear(scopes);
        g_clear_pointer(&scopes->stop_numbers, g_hash_table_unref);
        g_clear_pointer(&scopes->stop_watches, g_hash_table_unref);
}
