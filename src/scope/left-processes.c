/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Names the processes of a role that are left, for messages. */

#include "base/cgroup-util.h"
#include "base/macro.h"
#include "base/pidref.h"
#include "model/role-strays.h"
#include "scope/scope-private.h"

#define PIDS_SHOWN_MAX 16

typedef struct LeftProcesses {
        GString *text;
        unsigned n;
} LeftProcesses;

/* The place is not given for a process in the scope of the role. */
static void left_add(LeftProcesses *left, pid_t pid, const char *cgroup) {
        if (left->n++ >= PIDS_SHOWN_MAX)
                return;

        g_autofree char *place = cgroup ? cgroup_place(cgroup) : NULL;
        _cleanup_free_ char *text = NULL;
        int r = proc_describe(pid, place, &text);
        if (r >= 0)
                g_string_append_printf(left->text, "%s%s", left->n > 1 ? ", " : "", text);
}

static void left_add_cgroup(LeftProcesses *left, const char *cgroup, bool own) {
        pid_t pids[PIDS_SHOWN_MAX];

        int n = cgroup_pids(cgroup, pids, PIDS_SHOWN_MAX);
        for (int i = 0; i < MIN(n, PIDS_SHOWN_MAX); i++)
                left_add(left, pids[i], own ? NULL : cgroup);
        if (n > PIDS_SHOWN_MAX)
                left->n += (unsigned) (n - PIDS_SHOWN_MAX);
}

static void left_add_lone(LeftProcesses *left, pid_t pid) {
        _cleanup_free_ char *cgroup = NULL;

        (void) cgroup_of_pid(pid, &cgroup);
        left_add(left, pid, cgroup);
}

char *scope_left_processes(void *data, Role *role) {
        LeftProcesses left = { .text = g_string_new(NULL) };

        if (role->main_outside && !role->main_exited)
                left_add_lone(&left, role->main_pid);
        if (role->cgroup)
                left_add_cgroup(&left, role->cgroup, true);
        for (char **s = role->strays; s && *s; s++)
                left_add_cgroup(&left, *s, false);
        for (unsigned i = 0; role->lone && i < role->lone->len; i++) {
                const LoneProcess *lone = &g_array_index(role->lone, LoneProcess, i);
                if (lone_process_lives(lone))
                        left_add_lone(&left, lone->pid);
        }
        /* It is dead, but a tracer keeps its parent from seeing that. */
        if (left.n == 0 && !role->main_exited && role->main_pid > 0)
                left_add(&left, role->main_pid, NULL);
        if (left.n > PIDS_SHOWN_MAX)
                g_string_append_printf(left.text, " and %u more", left.n - PIDS_SHOWN_MAX);
        return g_string_free(left.text, false);
}
