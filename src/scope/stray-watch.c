/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Watches what a role has outside of its scope: each stray as its own cgroup, and each process that is in the
 * unit of somebody else by a pidfd. */

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/cgroup-util.h"
#include "base/fd-util.h"
#include "base/pidref.h"
#include "model/role-stop.h"
#include "scope/scope-private.h"
#include "util/log.h"

typedef struct StrayWatch {
        Scopes *scopes;
        char *cgroup; /* of the stray, or NULL for a process */
        CgroupWatch watch;
        LoneProcess lone;
        sd_event_source *source;
} StrayWatch;

static void stray_watch_free(void *p) {
        StrayWatch *watch = p;

        sd_event_source_disable_unref(watch->source);
        g_free(watch->cgroup);
        g_free(watch);
}

GHashTable *stray_watches_new(void) {
        return g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify) g_ptr_array_unref);
}

static const StrayWatch *stray_watch_find(
        const GPtrArray *watches, const char *cgroup, const LoneProcess *lone) {
        for (unsigned i = 0; i < watches->len; i++) {
                const StrayWatch *watch = g_ptr_array_index(watches, i);

                if (cgroup ? g_strcmp0(watch->cgroup, cgroup) == 0
                           : !watch->cgroup && watch->lone.pid == lone->pid &&
                                        watch->lone.start_time == lone->start_time)
                        return watch;
        }
        return NULL;
}

static int stray_watch_on_exit(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Role *role = userdata;

        (void) sd_event_source_set_enabled(s, SD_EVENT_OFF);
        role_on_cgroup_changed(role);
        return 0;
}

bool lone_process_lives(const LoneProcess *lone) {
        struct proc_stat stat;

        return proc_stat_read(lone->pid, &stat) >= 0 && stat.start_time == lone->start_time &&
               ((stat.state != 'Z' && stat.state != 'X') || !proc_has_ended(lone->pid));
}

static int stray_watch_lone(StrayWatch *watch, Role *role) {
        int fd = pidfd_open_pid(watch->lone.pid);

        /* Checked after the pidfd is open. */
        if (fd < 0 || !lone_process_lives(&watch->lone)) {
                (void) fd_close(fd);
                return 0;
        }
        int r = sd_event_add_io(manager_event(watch->scopes->manager), &watch->source, fd, EPOLLIN,
                stray_watch_on_exit, role);
        if (r >= 0)
                r = sd_event_source_set_io_fd_own(watch->source, true);
        if (r < 0)
                (void) fd_close(fd);
        return r;
}

static int stray_watch_add(
        Scopes *scopes, GPtrArray *watches, Role *role, const char *cgroup, const LoneProcess *lone) {
        if (stray_watch_find(watches, cgroup, lone))
                return 0;

        StrayWatch *watch = g_new0(StrayWatch, 1);
        watch->scopes = scopes;
        watch->cgroup = g_strdup(cgroup);
        if (lone)
                watch->lone = *lone;
        int r = cgroup ? cgroup_watch_start(
                                 scopes, role, watch->cgroup, strrchr(watch->cgroup, '/') + 1, &watch->watch)
                       : stray_watch_lone(watch, role);
        if (r < 0)
                stray_watch_free(watch);
        else
                g_ptr_array_add(watches, watch);
        return r;
}

int stray_watches_add(Scopes *scopes, Role *role) {
        int r = 0;

        if (!role->strays && !role->lone)
                return 0;
        GPtrArray *watches = g_hash_table_lookup(scopes->stray_watches, role);
        if (!watches) {
                watches = g_ptr_array_new_with_free_func(stray_watch_free);
                (void) g_hash_table_insert(scopes->stray_watches, role, watches);
        }
        for (char **s = role->strays; s && *s; s++)
                r = MIN(stray_watch_add(scopes, watches, role, *s, NULL), r);
        for (unsigned i = 0; role->lone && i < role->lone->len; i++)
                r = MIN(stray_watch_add(
                                scopes, watches, role, NULL, &g_array_index(role->lone, LoneProcess, i)),
                        r);
        return r;
}

void stray_watches_remove(Scopes *scopes, Role *role) {
        GPtrArray *watches = g_hash_table_lookup(scopes->stray_watches, role);

        for (unsigned i = 0; watches && i < watches->len; i++)
                cgroup_watch_stop(scopes, role, &((StrayWatch *) g_ptr_array_index(watches, i))->watch);
        (void) g_hash_table_remove(scopes->stray_watches, role);
}

int strays_state(const Role *role, bool *populated) {
        for (char **s = role->strays; s && *s && !*populated; s++) {
                int r = cgroup_events(*s, populated, NULL);
                if (r < 0)
                        return r;
        }
        for (unsigned i = 0; role->lone && i < role->lone->len && !*populated; i++)
                *populated = lone_process_lives(&g_array_index(role->lone, LoneProcess, i));
        return 0;
}
