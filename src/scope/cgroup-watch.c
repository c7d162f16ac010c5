/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Watches whether the cgroups of the roles are populated, and, while a role runs, whether its cgroup is
 * frozen. inotify on cgroup.events may be 15 ms late, because the kernel limits its rate, so it is used for
 * these two only. The keeper reports the ends of processes.
 *
 * The instances and the watches of inotify are limited for each user, and other programs of root may have
 * used them up. Then a timer looks at the roles that wait, and tries inotify again. */

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/cgroup-util.h"
#include "base/fd-util.h"
#include "model/role-stop.h"
#include "scope/scope-private.h"
#include "util/log.h"

#define LOOK_USEC (100 * USEC_PER_MSEC)

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

static int cgroup_watch_open(Scopes *scopes) {
        if (scopes->inotify_fd >= 0)
                return 0;

        autofd fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (fd < 0)
                return -errno;
        int r = sd_event_add_io(manager_event(scopes->manager), &scopes->inotify, fd, EPOLLIN,
                cgroup_watch_on_inotify, scopes);
        if (r < 0)
                return r;
        scopes->inotify_fd = fd_steal(&fd);
        return 0;
}

/* EMFILE has two reasons. */
static bool cgroup_watch_has_free_fd(void) {
        autofd fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);

        return fd >= 0;
}

/* Logs once for each time that inotify fails, with what an administrator may do. */
static void cgroup_watch_log_failure(Scopes *scopes, int error) {
        const char *used_up = error == -ENOSPC                                 ? "watches"
                              : error == -EMFILE && cgroup_watch_has_free_fd() ? "instances"
                                                                               : NULL;

        if (scopes->inotify_failed)
                return;
        scopes->inotify_failed = true;
        if (used_up)
                log_warning(
                        "All inotify %s of uid %u are used up, looking at cgroups by a timer until there are more; raise the sysctl fs.inotify.max_user_%s",
                        used_up, (unsigned) getuid(), used_up);
        else
                log_warning_errno(
                        error, "Cannot use inotify, looking at cgroups by a timer until it works: %m");
}

static void cgroup_watch_log_success(Scopes *scopes) {
        if (!scopes->inotify_failed)
                return;
        scopes->inotify_failed = false;
        log_notice("inotify works again, looking at cgroups by a timer no more");
}

void cgroup_watch_setup(Scopes *scopes) {
        scopes->watches = g_hash_table_new(NULL, NULL);
        scopes->watched = g_hash_table_new(g_str_hash, g_str_equal);
        scopes->looked_at = g_hash_table_new(NULL, NULL);
        scopes->stray_watches = stray_watches_new();
        int r = cgroup_watch_open(scopes);
        if (r < 0)
                cgroup_watch_log_failure(scopes, r);
}

int cgroup_watch_state(void *data, Role *role, bool *ret_populated, bool *ret_frozen) {
        *ret_populated = *ret_frozen = false;
        int r = role->cgroup ? cgroup_events(role->cgroup, ret_populated, ret_frozen) : 0;
        return r < 0 ? r : strays_state(role, ret_populated);
}

/* Returns inotify's number, which stays the same for what is watched already. */
static int cgroup_watch_events(Scopes *scopes, const char *root, const char *cgroup) {
        g_autofree char *path = g_strconcat(root, cgroup, "/cgroup.events", NULL);

        int number = inotify_add_watch(scopes->inotify_fd, path, IN_MODIFY);
        return number < 0 ? -errno : number;
}

void cgroup_watch_add_early(Scopes *scopes, Role *role, const char *cgroup) {
        const char *root;

        if (role->cgroup_watch > 0 || scopes->inotify_fd < 0 || cgroup_root(&root) < 0)
                return;
        int number = cgroup_watch_events(scopes, root, cgroup);
        if (number < 0)
                return;
        role->cgroup_watch = number;
        (void) g_hash_table_insert(scopes->watches, GINT_TO_POINTER(number), role);
}

int cgroup_watch_start(Scopes *scopes, Role *role, const char *cgroup, const char *name, CgroupWatch *ret) {
        const char *root;

        int r = cgroup_root(&root);
        if (r >= 0)
                r = cgroup_watch_open(scopes);
        if (r < 0)
                return r;
        int number = cgroup_watch_events(scopes, root, cgroup);
        if (number < 0)
                return number == -ENOENT ? 0
                                         : number; /* it does not exist any more, so it is not populated */
        /* systemd may remove an empty cgroup before the kernel has notified us that it is empty: the kernel
         * limits the rate of these notifications and drops a pending one. The slice notifies of the removal;
         * adding an existing watch again is cheap. */
        g_autofree char *directory = g_strconcat(root, cgroup, NULL);
        g_autofree char *slice = g_path_get_dirname(directory);
        if (inotify_add_watch(scopes->inotify_fd, slice, IN_DELETE | IN_ONLYDIR) < 0 && errno != ENOENT) {
                r = -errno;
                (void) inotify_rm_watch(scopes->inotify_fd, number);
                return r;
        }
        *ret = (CgroupWatch){ number, name };
        (void) g_hash_table_insert(scopes->watches, GINT_TO_POINTER(number), role);
        (void) g_hash_table_replace(scopes->watched, (char *) name, role);
        cgroup_watch_log_success(scopes);
        return 0;
}

/* Two runs of one name have the same unit name, and may have the same cgroup. What the other has stays. */
void cgroup_watch_stop(Scopes *scopes, Role *role, CgroupWatch *watch) {
        void *number = GINT_TO_POINTER(watch->number);

        if (watch->number == 0)
                return;
        if (g_hash_table_lookup(scopes->watches, number) == role) {
                /* This fails if the cgroup is gone. */
                (void) inotify_rm_watch(scopes->inotify_fd, watch->number);
                (void) g_hash_table_remove(scopes->watches, number);
        }
        if (g_hash_table_lookup(scopes->watched, watch->name) == role)
                (void) g_hash_table_remove(scopes->watched, watch->name);
        *watch = (CgroupWatch){};
}

static int cgroup_watch_on_timer(sd_event_source *s, uint64_t usec, void *userdata);

static int cgroup_watch_set_timer(Scopes *scopes) {
        if (scopes->look)
                return 0;
        return sd_event_add_time_relative(manager_event(scopes->manager), &scopes->look, CLOCK_MONOTONIC,
                LOOK_USEC, LOOK_USEC / 10, cgroup_watch_on_timer, scopes);
}

/* A role may be freed when it is notified, also another one. */
static int cgroup_watch_on_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        Scopes *scopes = userdata;
        g_autoptr(GList) roles = g_hash_table_get_keys(scopes->looked_at);

        scopes->look = sd_event_source_disable_unref(scopes->look);
        for (GList *l = roles; l; l = l->next)
                if (g_hash_table_contains(scopes->looked_at, l->data)) {
                        (void) g_hash_table_remove(scopes->looked_at, l->data);
                        (void) cgroup_watch_add(scopes, l->data);
                        role_on_cgroup_changed(l->data); /* after the watch, if there is one now */
                }
        return 0;
}

static int cgroup_watch_add_own(Scopes *scopes, Role *role) {
        CgroupWatch watch = {};

        /* An early watch is not enough. */
        if (!role->cgroup ||
                (role->cgroup_watch > 0 && g_hash_table_lookup(scopes->watched, role->scope) == role))
                return 0;
        int r = cgroup_watch_start(scopes, role, role->cgroup, role->scope, &watch);
        if (watch.number > 0)
                role->cgroup_watch = watch.number;
        return r;
}

static int cgroup_watch_add_all(Scopes *scopes, Role *role) {
        int r = cgroup_watch_add_own(scopes, role);

        return r < 0 ? r : stray_watches_add(scopes, role);
}

int cgroup_watch_add(void *data, Role *role) {
        Scopes *scopes = data;

        int r = cgroup_watch_add_all(scopes, role);
        if (r == -ENOSPC) { /* those of stop-watch.c only save time */
                stop_watch_clear(scopes);
                r = cgroup_watch_add_all(scopes, role);
        }
        if (r >= 0)
                return 0;
        cgroup_watch_log_failure(scopes, r);
        (void) g_hash_table_add(scopes->looked_at, role);
        return cgroup_watch_set_timer(scopes);
}

void cgroup_watch_remove(Scopes *scopes, Role *role) {
        CgroupWatch watch = { role->cgroup_watch, role->scope };

        (void) g_hash_table_remove(scopes->looked_at, role);
        cgroup_watch_stop(scopes, role, &watch);
        role->cgroup_watch = 0;
        stray_watches_remove(scopes, role);
}

void cgroup_watch_done(Scopes *scopes) {
        sd_event_source_disable_unref(scopes->look);
        sd_event_source_disable_unref(scopes->inotify);
        (void) fd_close(scopes->inotify_fd);
        g_clear_pointer(&scopes->watches, g_hash_table_unref);
        g_clear_pointer(&scopes->watched, g_hash_table_unref);
        g_clear_pointer(&scopes->looked_at, g_hash_table_unref);
        g_clear_pointer(&scopes->stray_watches, g_hash_table_unref);
}
