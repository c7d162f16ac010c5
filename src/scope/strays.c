/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Finds the processes of a role that are neither in its scope nor in its strays. Its main process says where
 * it is, even as a zombie; the others are found as children of those that are known. Nothing is watched while
 * a role runs, so this is done when it matters, and costs a few small reads for a role that is where it
 * belongs. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/cgroup-util.h"
#include "base/fd-util.h"
#include "base/pidref.h"
#include "model/role-strays.h"
#include "scope/scope-private.h"

#define CHILDREN_FILE_MAX (4U * 1024U * 1024U)
#define PIDS_AT_ONCE 64

typedef struct Search {
        const Role *role;
        GHashTable *seen; /* pids */
        GArray *queue;    /* of pid_t, those whose children have not been looked at */
        GPtrArray *found; /* of Stray */
} Search;

/* Returns whether the role is known to have processes in this cgroup. */
static bool search_knows(const Search *search, const char *cgroup) {
        if (cgroup_is_below(cgroup, search->role->cgroup))
                return true;
        for (char **s = search->role->strays; s && *s; s++)
                if (cgroup_is_below(cgroup, *s))
                        return true;
        for (unsigned i = 0; i < search->found->len; i++)
                if (cgroup_is_below(cgroup, ((const Stray *) g_ptr_array_index(search->found, i))->scope))
                        return true;
        return false;
}

static void search_queue(Search *search, pid_t pid) {
        if (g_hash_table_add(search->seen, GINT_TO_POINTER(pid)))
                g_array_append_val(search->queue, pid);
}

static void search_cgroup(Search *search, const char *cgroup) {
        pid_t some[PIDS_AT_ONCE];
        g_autofree pid_t *many = NULL;
        pid_t *pids = some;

        int n = cgroup_pids(cgroup, some, PIDS_AT_ONCE), max = PIDS_AT_ONCE;
        if (n > PIDS_AT_ONCE) {
                max = 2 * n;
                pids = many = g_new(pid_t, max);
                n = cgroup_pids(cgroup, many, (size_t) max);
        }
        for (int i = 0; i < MIN(n, max); i++)
                search_queue(search, pids[i]);
}

/* Looks at a process that may be elsewhere. A pid from a list of children may belong to another process by
 * now; that one has another parent. */
static void search_process(Search *search, pid_t pid, pid_t parent, uint64_t start_time) {
        _cleanup_free_ char *cgroup = NULL, *scope = NULL;
        struct proc_stat stat;

        if (g_hash_table_contains(search->seen, GINT_TO_POINTER(pid)) || cgroup_of_pid(pid, &cgroup) < 0)
                return;
        if (search_knows(search, cgroup)) {
                search_queue(search, pid);
                return;
        }
        if (proc_stat_read(pid, &stat) < 0 || (parent > 0 && stat.ppid != parent) ||
                (start_time > 0 && stat.start_time != start_time))
                return;
        search_queue(search, pid);

        scope = role_stray_scope(search->role, cgroup);
        if (!scope && stat.state == 'Z' && proc_has_ended(pid)) /* nothing is left of it */
                return;
        g_ptr_array_add(search->found, stray_new(pid, stat.start_time, cgroup, scope));
        if (scope)
                search_cgroup(search, scope);
}

/* The parent of such a process may have ended, and what has no known parent is not found otherwise. */
static void search_processes(Search *search, const GArray *processes) {
        for (unsigned i = 0; processes && i < processes->len; i++) {
                const LoneProcess *lone = &g_array_index(processes, LoneProcess, i);

                search_process(search, lone->pid, 0, lone->start_time);
        }
}

/* The kernel lists the children of each thread. */
static void search_children_of_thread(Search *search, pid_t pid, pid_t thread) {
        char path[sizeof("/proc//task//children") + 6 * sizeof(pid_t)];
        _cleanup_free_ char *text = NULL;

        (void) snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int) pid, (int) thread);
        if (file_read(AT_FDCWD, path, CHILDREN_FILE_MAX, &text, NULL) < 0)
                return;
        for (char *p = text, *end;; p = end) {
                long child = strtol(p, &end, 10);
                if (end == p)
                        return;
                search_process(search, (pid_t) child, pid, 0);
        }
}

static void search_children(Search *search, pid_t pid) {
        char path[sizeof("/proc//task") + 3 * sizeof(pid_t)];
        _cleanup_closedir_ DIR *dir = NULL;
        struct stat st;

        (void) snprintf(path, sizeof(path), "/proc/%d/task", (int) pid);
        /* The links of the directory count the threads. */
        if (stat(path, &st) < 0)
                return;
        if (st.st_nlink <= 3) {
                search_children_of_thread(search, pid, pid);
                return;
        }
        dir = opendir(path);
        if (!dir)
                return;
        for (struct dirent *d; (d = readdir(dir));)
                if (d->d_name[0] != '.')
                        search_children_of_thread(search, pid, (pid_t) strtol(d->d_name, NULL, 10));
}

void scope_find_strays(void *data, Role *role, GPtrArray *found) {
        Search search = { .role = role, .found = found };

        search.seen = g_hash_table_new(NULL, NULL);
        search.queue = g_array_new(false, false, sizeof(pid_t));
        if (role->main_pid > 0)
                search_process(&search, role->main_pid, 0, role->main_start_time);
        if (role->cgroup)
                search_cgroup(&search, role->cgroup);
        for (char **s = role->strays; s && *s; s++)
                search_cgroup(&search, *s);
        search_processes(&search, role->lone);
        search_processes(&search, role->left);
        for (unsigned i = 0; i < search.queue->len; i++) {
                pid_t pid = g_array_index(search.queue, pid_t, i);

                if (pid != role->main_pid || !role->main_exited) /* a zombie has no children */
                        search_children(&search, pid);
        }
        g_array_unref(search.queue);
        g_hash_table_unref(search.seen);
}
