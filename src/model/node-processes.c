/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "base/cgroup-util.h"
#include "base/macro.h"
#include "base/pidref.h"
#include "base/unit-name.h"
#include "model/node-processes.h"
#include "model/role-strays.h"

/* A chain of parents is never so long, unless it changes while it is followed. */
#define ANCESTORS_MAX 256

static Role *node_role_of_scope(const Node *node, const char *cgroup) {
        g_auto(GStrv) parts = g_strsplit(cgroup, "/", -1);
        _cleanup_free_ char *name = NULL;

        /* A role may have created cgroups of its own below its scope. */
        for (char **p = parts; *p; p++)
                if (role_scope_name_parse(node->instance, *p, &name) >= 0)
                        break;
        Role *role = name ? g_hash_table_lookup(node->roles, name) : NULL;
        while (role && !cgroup_is_below(cgroup, role->cgroup))
                role = role->predecessor;
        return role;
}

/* Returns whether the role has this process outside of its scope. */
static bool role_has_process(const Role *role, pid_t pid, const char *cgroup) {
        bool may_be_main = pid == role->main_pid && role->state != ROLE_ENDED;
        struct proc_stat stat;

        for (unsigned i = 0; role->strays && role->strays[i]; i++)
                if (cgroup_is_below(cgroup, role->strays[i]) && role_stray_exists(role, i))
                        return true;
        if (!may_be_main && !role->lone && !role->left)
                return false;
        if (proc_stat_read(pid, &stat) < 0)
                return false;
        return (may_be_main && stat.start_time == role->main_start_time) ||
               lone_processes_have(role->lone, pid, stat.start_time) ||
               lone_processes_have(role->left, pid, stat.start_time);
}

Role *node_role_of_process(const Node *node, pid_t pid) {
        _cleanup_free_ char *cgroup = NULL;
        GHashTableIter iter;
        Role *role;

        if (cgroup_of_pid(pid, &cgroup) < 0)
                return NULL;
        role = node_role_of_scope(node, cgroup);
        if (role)
                return role;
        g_hash_table_iter_init(&iter, node->roles);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &role))
                for (; role; role = role->predecessor)
                        if (role_has_process(role, pid, cgroup))
                                return role;
        return NULL;
}

Role *node_role_of_ancestor(const Node *node, pid_t pid) {
        struct proc_stat stat;

        for (int i = 0; i < ANCESTORS_MAX && proc_stat_read(pid, &stat) >= 0 && stat.ppid > 1; i++) {
                pid = stat.ppid;
                Role *role = node_role_of_process(node, pid);
                if (role)
                        return role;
        }
        return NULL;
}

Role *node_find_role_of_process(Node *node, pid_t pid) {
        Role *role = node_role_of_process(node, pid);

        if (role)
                return role;
        role = node_role_of_ancestor(node, pid);
        if (!role)
                return NULL;
        role_look_for_strays(role);
        return node_role_of_process(node, pid);
}
