/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Watches whether the cgroups of the roles are populated. inotify on cgroup.events may be 15 ms late, because
 * the kernel limits its rate, so it is used for emptiness only. The keeper reports the ends of processes. */

#include <errno.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/cgroup-util.h"
#include "model/role-stop.h"
#include "scope/scope-private.h"
#include "util/log.h"

#define PIDS_SHOWN_MAX 16

/* Events were lost, so each cgroup is checked. It iterates over numbers, because a role may be freed when it
 * is notified. */
static void cgroup_watch_recheck_all(Scopes *scopes) {
        g_autoptr(GList) watches = g_hash_table_get_keys(scopes->watches);

        for (GList *l = watches; l; l = l->next) {
                Role *role = g_hash_table_lookup(scopes->watches, l->data);
                if (role)
                        role_on_cgroup_changed(role);
        }
}

static int cgroup_watch_on_inotify(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Scopes *scopes = userdata;
        char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));

        ssize_t n = read(fd, buffer, sizeof(buffer));
        if (n < 0) {
                if (errno != EAGAIN && errno != EINTR)
                        log_error_errno(errno, "Cannot read from inotify: %m");
                return 0;
        }

        for (char *p = buffer; p < buffer + n;) {
                const struct inotify_event *event = (const struct inotify_event *) p;
                Role *role = g_hash_table_lookup(scopes->watches, GINT_TO_POINTER(event->wd));

                if (!role && (event->mask & IN_DELETE) && event->len > 0)
                        role = g_hash_table_lookup(scopes->watched, event->name);

                p += sizeof(*event) + event->len;
                if (event->mask & IN_Q_OVERFLOW) {
                        cgroup_watch_recheck_all(scopes);
                        continue;
                }
                if (role)
                        role_on_cgroup_changed(role);
        }
        return 0;
}

int cgroup_watch_setup(Scopes *scopes) {
        scopes->watches = g_hash_table_new(NULL, NULL);
        scopes->watched = g_hash_table_new(g_str_hash, g_str_equal);
        scopes->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (scopes->inotify_fd < 0)
                return -errno;
        return sd_event_add_io(manager_event(scopes->manager), &scopes->inotify, scopes->inotify_fd, EPOLLIN,
                cgroup_watch_on_inotify, scopes);
}

int cgroup_watch_state(void *data, Role *role, bool *ret_populated, bool *ret_frozen) {
        if (!role->cgroup) {
                *ret_populated = *ret_frozen = false;
                return 0;
        }
        return cgroup_events(role->cgroup, ret_populated, ret_frozen);
}

int cgroup_watch_add(void *data, Role *role) {
        Scopes *scopes = data;
        const char *root;

        if (!role->cgroup || role->cgroup_watch > 0)
                return 0;

        int r = cgroup_root(&root);
        if (r < 0)
                return r;
        g_autofree char *path = g_strconcat(root, role->cgroup, "/cgroup.events", NULL);
        int watch = inotify_add_watch(scopes->inotify_fd, path, IN_MODIFY);
        if (watch < 0)
                return errno == ENOENT ? 0 : -errno; /* it does not exist any more, so it is not populated */
        /* systemd may remove an empty cgroup before the kernel has notified us that it is empty: the kernel
         * limits the rate of these notifications and drops a pending one. The slice notifies of the removal;
         * adding an existing watch again is cheap. */
        g_autofree char *cgroup = g_strconcat(root, role->cgroup, NULL);
        g_autofree char *slice = g_path_get_dirname(cgroup);
        if (inotify_add_watch(scopes->inotify_fd, slice, IN_DELETE | IN_ONLYDIR) < 0 && errno != ENOENT)
                role_log_errno(role, LOG_WARNING, -errno, "Cannot watch %s, ignoring: %m", slice);
        role->cgroup_watch = watch;
        (void) g_hash_table_insert(scopes->watches, GINT_TO_POINTER(watch), role);
        (void) g_hash_table_replace(scopes->watched, role->scope, role); /* the role owns the key */
        return 0;
}

/* Two runs of one name have the same unit name, and may have the same cgroup. What the other has stays. */
void cgroup_watch_remove(Scopes *scopes, Role *role) {
        void *watch = GINT_TO_POINTER(role->cgroup_watch);

        if (role->cgroup_watch == 0)
                return;
        if (g_hash_table_lookup(scopes->watches, watch) == role) {
                /* This fails if the cgroup is gone. */
                (void) inotify_rm_watch(scopes->inotify_fd, role->cgroup_watch);
                (void) g_hash_table_remove(scopes->watches, watch);
        }
        if (g_hash_table_lookup(scopes->watched, role->scope) == role)
                (void) g_hash_table_remove(scopes->watched, role->scope);
        role->cgroup_watch = 0;
}

char *cgroup_watch_pids(void *data, Role *role) {
        g_autoptr(GString) s = g_string_new(NULL);
        pid_t pids[PIDS_SHOWN_MAX];

        int n = role->cgroup ? cgroup_pids(role->cgroup, pids, PIDS_SHOWN_MAX) : 0;
        for (int i = 0; i < MIN(n, PIDS_SHOWN_MAX); i++)
                g_string_append_printf(s, "%s%d", i > 0 ? ", " : "", (int) pids[i]);
        if (n > PIDS_SHOWN_MAX)
                g_string_append_printf(s, " and %d more", n - PIDS_SHOWN_MAX);
        return g_string_free(g_steal_pointer(&s), false);
}

void cgroup_watch_done(Scopes *scopes) {
        sd_event_source_disable_unref(scopes->inotify);
        (void) fd_close(scopes->inotify_fd);
        g_clear_pointer(&scopes->watches, g_hash_table_unref);
        g_clear_pointer(&scopes->watched, g_hash_table_unref);
}
