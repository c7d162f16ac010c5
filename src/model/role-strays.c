/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/cgroup-util.h"
#include "base/macro.h"
#include "base/pidref.h"
#include "base/stray-scope.h"
#include "base/utf8.h"
#include "model/message-ids.h"
#include "model/node.h"
#include "model/role-log.h"
#include "model/role-strays.h"
#include "util/log.h"

/* A start script leaves a few. */
#define ROLE_LEFT_KNOWN_MAX 256

Stray *stray_new(pid_t pid, uint64_t start_time, const char *cgroup, const char *scope) {
        char name[PROC_NAME_SIZE] = "?";
        Stray *stray = g_new(Stray, 1);

        (void) proc_name_read(pid, name);
        *stray = (Stray){
                .pid = pid,
                .start_time = start_time,
                .name = g_strdup(name),
                .cgroup = g_strdup(cgroup),
                .scope = g_strdup(scope),
        };
        return stray;
}

Stray *stray_copy(const Stray *stray) {
        Stray *copy = g_new(Stray, 1);

        *copy = (Stray){
                .pid = stray->pid,
                .start_time = stray->start_time,
                .name = g_strdup(stray->name),
                .cgroup = g_strdup(stray->cgroup),
                .scope = g_strdup(stray->scope),
        };
        return copy;
}

void stray_free(void *p) {
        Stray *stray = p;

        g_free(stray->name);
        g_free(stray->cgroup);
        g_free(stray->scope);
        g_free(stray);
}

/* -- what is taken -- */

bool role_stray_exists(const Role *role, unsigned i) {
        uint64_t id;

        int r = ASK(role->node, scope, cgroup_id, role->strays[i], &id);
        return r != -ENOENT && (r < 0 || id == g_array_index(role->stray_ids, uint64_t, i));
}

static bool role_has_stray(const Role *role, const char *scope) {
        for (unsigned i = 0; role->strays && role->strays[i]; i++)
                if (g_str_equal(role->strays[i], scope))
                        return role_stray_exists(role, i);
        return false;
}

/* Another role had it first. */
static bool node_has_stray(const Node *node, const char *scope) {
        GHashTableIter iter;
        Role *role;

        g_hash_table_iter_init(&iter, node->roles);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &role))
                for (; role; role = role->predecessor)
                        if (role_has_stray(role, scope))
                                return true;
        return false;
}

char *role_stray_scope(const Role *role, const char *cgroup) {
        _cleanup_free_ char *scope = NULL;

        /* The bus has no other names. Its processes are signalled one by one then. */
        if (stray_scope_of(cgroup, &scope) < 0 || !utf8_is_valid(scope) ||
                stray_scope_check(scope, role->main_start_time) < 0 || node_has_stray(role->node, scope))
                return NULL;
        return g_strdup(scope);
}

bool lone_processes_have(const GArray *processes, pid_t pid, uint64_t start_time) {
        for (unsigned i = 0; processes && i < processes->len; i++) {
                const LoneProcess *lone = &g_array_index(processes, LoneProcess, i);
                if (lone->pid == pid && lone->start_time == start_time)
                        return true;
        }
        return false;
}

/* -- what is said of it -- */

char *cgroup_place(const char *cgroup) {
        g_auto(GStrv) parts = g_strsplit(cgroup, "/", -1);

        for (unsigned i = g_strv_length(parts); i > 0; i--)
                if (g_str_has_suffix(parts[i - 1], ".scope") || g_str_has_suffix(parts[i - 1], ".service"))
                        return g_steal_pointer(&parts[i - 1]);
        return g_str_equal(cgroup, "/") ? g_strdup("the root cgroup")
                                        : g_strdup_printf("the cgroup %s", cgroup);
}

/* logind names the scope of a session after it. */
static char *stray_session(const Stray *stray) {
        g_autofree char *unit = g_path_get_basename(stray->scope);

        if (!g_str_has_prefix(unit, "session-"))
                return NULL;
        return g_strndup(unit + strlen("session-"), strlen(unit) - strlen("session-") - strlen(".scope"));
}

#define LIMITS_TEXT "It is stopped with the role, but memory-max, tasks-max and cpu-quota do not hold there."

void role_on_session(Role *role, const Stray *stray, const char *user) {
        g_autofree char *session = stray_session(stray);

        journal_role_left_scope(role, stray->scope,
                "Its process %d (%s) is not in its scope any more: PAM has begun session %s%s%s for it. " LIMITS_TEXT
                " The option user does without su.",
                (int) stray->pid, stray->name, session, user ? " of user " : "", user ?: "");
}

static void role_tell_of_stray(Role *role, const Stray *stray) {
        g_autofree char *session = stray_session(stray), *place = cgroup_place(stray->scope);

        if (role->strays_told)
                role_log(
                        role, LOG_INFO, "Its process %d (%s) is in %s", (int) stray->pid, stray->name, place);
        else if (!session)
                journal_role_left_scope(role, stray->scope,
                        "Its process %d (%s) is not in its scope any more, but in %s. " LIMITS_TEXT,
                        (int) stray->pid, stray->name, place);
        else if (ASK(role->node, scope, query_session, role, session, stray) < 0)
                role_on_session(role, stray, NULL);
        role->strays_told = true;
}

static void role_tell_of_lone(Role *role, const Stray *stray, bool main) {
        g_autofree char *place = cgroup_place(stray->cgroup);

        journal_role_left_scope(role, stray->cgroup,
                "Its %sprocess %d (%s) is in %s, which is not the role's: only it is signalled",
                main ? "main " : "", (int) stray->pid, stray->name, place);
        role->strays_told = true;
}

/* -- the search -- */

static bool role_take_stray(Role *role, const Stray *stray) {
        unsigned n = role->strays ? g_strv_length(role->strays) : 0;
        uint64_t id;

        if (ASK(role->node, scope, cgroup_id, stray->scope, &id) < 0)
                return false; /* it is gone */
        if (!role->stray_ids)
                role->stray_ids = g_array_new(false, false, sizeof(uint64_t));
        g_array_append_val(role->stray_ids, id);
        role->strays = g_renew(char *, role->strays, n + 2);
        role->strays[n] = g_strdup(stray->scope);
        role->strays[n + 1] = NULL;
        role_tell_of_stray(role, stray);
        return true;
}

static bool role_take_lone(Role *role, const Stray *stray) {
        const LoneProcess lone = { stray->pid, stray->start_time };

        if (lone_processes_have(role->lone, lone.pid, lone.start_time))
                return false;
        if (!role->lone)
                role->lone = g_array_new(false, false, sizeof(LoneProcess));
        g_array_append_val(role->lone, lone);
        role_tell_of_lone(role, stray, false);
        return true;
}

/* Returns whether something has changed that is saved. */
static bool role_take(Role *role, const Stray *stray) {
        if (stray->scope)
                return role_take_stray(role, stray);
        if (stray->pid != role->main_pid || stray->start_time != role->main_start_time)
                return role_take_lone(role, stray);

        role->main_outside = true;
        if (role->strays_told)
                return false;
        role_tell_of_lone(role, stray, true);
        return true;
}

void role_look_for_strays(Role *role) {
        g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(stray_free);
        bool was_outside = role->main_outside, changed = false;

        if (role->state == ROLE_STARTING || role->swept)
                return;
        role_prune_strays(role);
        role->main_outside = false;
        ASK(role->node, scope, find_strays, role, found);
        for (unsigned i = 0; i < found->len; i++)
                changed |= role_take(role, g_ptr_array_index(found, i));
        if (!changed && role->main_outside == was_outside)
                return;
        (void) role_save(role);
        ASK(role->node, clients, role_changed, role);
        /* The end of what was found now must be seen, too. */
        if (role->state == ROLE_ENDED || role_has_outlived_main(role))
                (void) ASK(role->node, scope, cgroup_watch, role);
}

void role_remember_left(Role *role) {
        pid_t pids[ROLE_LEFT_KNOWN_MAX];

        int n = role->cgroup ? cgroup_pids(role->cgroup, pids, ELEMENTSOF(pids)) : 0;
        for (int i = 0; i < MIN(n, (int) ELEMENTSOF(pids)); i++) {
                struct proc_stat stat;

                if (pids[i] == role->main_pid || proc_stat_read(pids[i], &stat) < 0)
                        continue;
                const LoneProcess left = { pids[i], stat.start_time };
                if (!role->left)
                        role->left = g_array_new(false, false, sizeof(LoneProcess));
                g_array_append_val(role->left, left);
        }
}

bool role_has_strays(const Role *role) {
        return role->strays || role->lone;
}

void role_prune_strays(Role *role) {
        unsigned n = 0;

        if (!role->strays)
                return;
        for (unsigned i = 0; role->strays[i]; i++) {
                if (!role_stray_exists(role, i)) {
                        g_free(role->strays[i]);
                        continue;
                }
                g_array_index(role->stray_ids, uint64_t, n) = g_array_index(role->stray_ids, uint64_t, i);
                role->strays[n++] = role->strays[i];
        }
        if (n == role->stray_ids->len)
                return;
        role->strays[n] = NULL;
        g_array_set_size(role->stray_ids, n);
        if (n == 0) {
                g_clear_pointer(&role->strays, g_free);
                g_clear_pointer(&role->stray_ids, g_array_unref);
        }
        ASK(role->node, clients, role_changed, role);
}

void role_forget_strays(Role *role) {
        g_clear_pointer(&role->strays, g_strfreev);
        g_clear_pointer(&role->stray_ids, g_array_unref);
        g_clear_pointer(&role->lone, g_array_unref);
        g_clear_pointer(&role->left, g_array_unref);
}

const char *role_scope_unit(const Role *role) {
        bool populated = true;

        if (!role->cgroup || (!role->strays && !role->main_outside) ||
                cgroup_events(role->cgroup, &populated, NULL) < 0 || populated)
                return role->scope;
        return "";
}
