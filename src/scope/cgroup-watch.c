/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the cgroups of the roles say: whether somebody is left, and when nobody is. inotify on cgroup.events may be 15 ms
 * late (the kernel limits its rate), so it is used for emptiness only; ends of processes are the keeper's to tell. */

#include <errno.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/cgroup-util.h"
#include "node/agent.h"
#include "util/autoptr.h"
#include "util/log.h"

#define PIDS_SHOWN_MAX 16

/* Something was missed: ask each. By number, since a role that is told may be gone afterwards. */
static void recheck_all(Agent *agent) {
        g_autoptr(GList) watches = g_hash_table_get_keys(agent->watches);

        for (GList *l = watches; l; l = l->next) {
                Role *role = g_hash_table_lookup(agent->watches, l->data);
                if (role)
                        role_on_cgroup_changed(role);
        }
}

static Role *find_watched(Agent *agent, const char *scope) {
        GHashTableIter iter;
        Role *role;

        g_hash_table_iter_init(&iter, agent->watches);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &role))
                if (g_str_equal(role->scope, scope))
                        return role;
        return NULL;
}

static int on_inotify(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Agent *agent = userdata;
        char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));

        ssize_t n = read(fd, buffer, sizeof(buffer));
        if (n < 0) {
                if (errno != EAGAIN && errno != EINTR)
                        log_error_errno(errno, "Cannot read from inotify: %m");
                return 0;
        }

        for (char *p = buffer; p < buffer + n;) {
                const struct inotify_event *event = (const struct inotify_event *) p;
                Role *role = g_hash_table_lookup(agent->watches, GINT_TO_POINTER(event->wd));

                if (!role && (event->mask & IN_DELETE) && event->len > 0)
                        role = find_watched(agent, event->name);

                p += sizeof(*event) + event->len;
                if (event->mask & IN_Q_OVERFLOW) {
                        recheck_all(agent);
                        continue;
                }
                if (role)
                        role_on_cgroup_changed(role);
        }
        return 0;
}

int agent_cgroup_setup(Agent *agent) {
        agent->watches = g_hash_table_new(NULL, NULL);
        agent->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (agent->inotify_fd < 0)
                return -errno;
        return sd_event_add_io(agent->event, &agent->inotify, agent->inotify_fd, EPOLLIN, on_inotify, agent);
}

int agent_cgroup_state(void *world, Role *role, bool *ret_populated, bool *ret_frozen) {
        if (!role->cgroup) {
                *ret_populated = *ret_frozen = false;
                return 0;
        }
        return cgroup_events(role->cgroup, ret_populated, ret_frozen);
}

int agent_cgroup_watch(void *world, Role *role) {
        Agent *agent = world;
        RoleLinks *links = agent_links(role);
        const char *root;

        if (links->watch >= 0 || !role->cgroup)
                return 0;

        int r = cgroup_root(&root);
        if (r < 0)
                return r;
        g_autofree char *path = g_strconcat(root, role->cgroup, "/cgroup.events", NULL);
        int watch = inotify_add_watch(agent->inotify_fd, path, IN_MODIFY);
        if (watch < 0)
                return errno == ENOENT ? 0 : -errno; /* gone: not populated */
        /* systemd may remove an empty cgroup before the kernel has told us that it is empty: it limits the rate of
         * those messages, and forgets one that waits. The slice tells of the removal; asking again for the same watch
         * costs nothing. */
        g_autofree char *cgroup = g_strconcat(root, role->cgroup, NULL);
        g_autofree char *slice = g_path_get_dirname(cgroup);
        if (inotify_add_watch(agent->inotify_fd, slice, IN_DELETE | IN_ONLYDIR) < 0 && errno != ENOENT)
                role_log(role, LOG_WARNING, "Cannot watch %s, ignoring: %s", slice, g_strerror(errno));
        links->watch = watch;
        (void) g_hash_table_insert(agent->watches, GINT_TO_POINTER(watch), role);
        return 0;
}

void agent_cgroup_unwatch(Agent *agent, Role *role) {
        RoleLinks *links = agent_links(role);

        if (links->watch < 0)
                return;
        (void) inotify_rm_watch(agent->inotify_fd, links->watch); /* fails when the cgroup is gone */
        (void) g_hash_table_remove(agent->watches, GINT_TO_POINTER(links->watch));
        links->watch = -1;
}

char *agent_cgroup_pids(void *world, Role *role) {
        g_autoptr(GString) s = g_string_new(NULL);
        pid_t pids[PIDS_SHOWN_MAX];

        int n = role->cgroup ? cgroup_pids(role->cgroup, pids, PIDS_SHOWN_MAX) : 0;
        for (int i = 0; i < MIN(n, PIDS_SHOWN_MAX); i++)
                g_string_append_printf(s, "%s%d", i > 0 ? ", " : "", (int) pids[i]);
        if (n > PIDS_SHOWN_MAX)
                g_string_append_printf(s, " and %d more", n - PIDS_SHOWN_MAX);
        return g_string_free(g_steal_pointer(&s), false);
}
