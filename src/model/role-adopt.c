/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>
#include <string.h>

#include "base/cgroup-util.h"
#include "base/pidref.h"
#include "model/node-events.h"
#include "model/role-adopt.h"
#include "model/role-damage.h"
#include "model/role-recover.h"
#include "model/role-start.h"
#include "model/role-stop.h"
#include "model/settings.h"
#include "util/log.h"

/* -- the kernel -- */

/* The slices in which it is must not be stopped as empty ones. */
static void role_retake_slice(Role *role) {
        g_auto(GStrv) parts = g_strsplit(role->cgroup ?: "", "/", -1);

        for (char **p = parts; *p && role->slice < 0; p++) {
                uid_t uid;
                int slice;

                if (node_slice_parse(role->node, *p, &uid, &slice))
                        node_slice_retake(role, uid, slice);
        }
}

static void role_find_cgroup(Role *role, pid_t pid) {
        g_free(role->cgroup);
        role->cgroup = ASK(role->node, scope, find_cgroup, role, pid);
        if (role->slice < 0)
                role_retake_slice(role);
}

/* A process of this number is its main process if it is in its scope, or has started when the file says. */
static bool role_check_main(Role *role, const Damage *damage, pid_t pid) {
        _cleanup_free_ char *cgroup = NULL;
        struct proc_stat stat;

        if (proc_stat_read(pid, &stat) < 0 || stat.state == 'Z')
                return false;
        if (!(pid == damage->pid && stat.start_time == damage->start_time) &&
                (!role->cgroup || cgroup_of_pid(pid, &cgroup) < 0 || !cgroup_is_below(cgroup, role->cgroup)))
                return false;
        role->main_pid = pid;
        role->main_start_time = stat.start_time;
        return true;
}

/* -- the keeper -- */

static bool listed_has_ended(const ListedChild *listed) {
        return listed->report == CHILD_ENDED || listed->report == CHILD_UNKNOWN;
}

/* Whether its end may not have been told. Without its start in the log it is one that was undone, unless the
 * log is damaged. */
static bool role_may_be_open(const Role *role, const ListedChild *listed) {
        const Damage *damage = role->damage;

        if (damage->told_pid != listed->pid)
                return events_are_lost(role->node->events);
        return damage->known && role->exited_sequence == 0;
}

/* What is left of it runs. */
static bool role_is_populated_now(Role *role, pid_t pid) {
        bool populated = false, frozen;

        role_find_cgroup(role, pid);
        return role->cgroup && ASK(role->node, scope, cgroup_state, role, &populated, &frozen) >= 0 &&
               populated;
}

/* No file is damaged, but the keeper has a child that nobody knows. One that has executed its command was
 * never undone, so its file is lost. If it has ended its end may have been told. */
static Role *node_find_lost_run(Node *node, const ListedChild *listed) {
        Role *other = g_hash_table_lookup(node->roles, listed->role);

        if (node->finished || !listed->execed || (other && !role_is_over(other)))
                return NULL;
        g_autoptr(Role) role = role_new_damaged(node, listed->role);
        node_restore_run(node, role);
        if (listed_has_ended(listed) && !role_may_be_open(role, listed) &&
                !role_is_populated_now(role, listed->pid))
                return NULL;
        if (other) {
                g_hash_table_steal(node->roles, listed->role);
                role_free(other);
        }
        node_add_role(node, role);
        return g_steal_pointer(&role);
}

bool node_keep_listed(Node *node, ListedChild *listed) {
        Role *role = g_hash_table_lookup(node->roles, listed->role);

        if (!role || !role->damage)
                role = node_find_lost_run(node, listed);
        if (!role)
                return false;

        ListedChild *kept = &role->damage->listed, older = *listed;
        if (listed->child > kept->child) {
                older = *kept;
                *kept = *listed;
                kept->role = role->name;
        }
        /* The end of a run was told before the next one could begin. */
        if (older.child != 0 && listed_has_ended(&older))
                ASK(node, link, forget, older.child);
        listed_child_close_fds(&older);
        listed->pidfd = listed->gate_fd = listed->stdin_fd = listed->terminal_fd = -EBADF;
        node_child_seen(node, listed->child);
        return true;
}

void role_forget_listed(Role *role) {
        if (!role->damage)
                return;
        listed_child_close_fds(&role->damage->listed);
        role->damage->listed = LISTED_CHILD_NONE;
}

/* -- what it is -- */

/* Its start was not told, so it goes on from there, and is told if its command runs. */
static void role_adopt_as_starting(Role *role, RolePhase phase) {
        if (role->state != ROLE_RUNNING)
                return; /* it was stopped before the keeper answered */
        role->phase = phase;
        role_set_state(role, ROLE_STARTING);
        if (role_holds_slot(role))
                role->node->n_starts++;
}

static void role_adopt_child(Role *role, const Damage *damage, ListedChild *listed) {
        bool ended = listed_has_ended(listed);
        bool same = damage->known && (damage->told_pid == 0 || damage->told_pid == listed->pid) &&
                    (ended || role->exited_sequence == 0);

        if (!same) {
                role_damage_forget_run(role);
                role_adopt_as_starting(role, ROLE_PHASE_OPEN);
        }
        role->spec->stdin_kind = listed->terminal_fd >= 0 ? ROLE_STDIN_PTY
                                 : listed->stdin_fd >= 0  ? ROLE_STDIN_PIPE
                                                          : ROLE_STDIN_NULL;
        role->child = listed->child;
        role_find_cgroup(role, listed->pid);
        role_take_child(role, listed);
        if (role->state != ROLE_STARTING)
                role_drop_predecessor(role);
        (void) role_save(role);
        ASK(role->node, clients, role_changed, role);
        if (ended)
                role_end_child(role, listed);
        else if (role->state == ROLE_STARTING)
                role_go_on_from_gate(role);
}

static void role_adopt_nothing(Role *role) {
        g_auto(Fault) fault = {};

        role_adopt_as_starting(role, ROLE_PHASE_QUEUED);
        if (role->state != ROLE_STARTING)
                return;
        (void) fault_set(&fault, NODE_ERROR_SETUP_FAILED,
                "The start of role \"%s\" was interrupted: its saved state is damaged", role->name);
        role_fail(role, &fault); /* frees the role */
}

/* The keeper does not have it. */
static void role_adopt_without_child(Role *role, const Damage *damage) {
        role_find_cgroup(role, 0);
        if (role->exited_sequence == 0 && (role_check_main(role, damage, damage->told_pid) ||
                                                  role_check_main(role, damage, damage->pid))) {
                if (!damage->known)
                        role_adopt_as_starting(role, ROLE_PHASE_OPEN);
                else
                        role_drop_predecessor(role);
                (void) role_save(role);
                return; /* role_recover() watches it */
        }
        if (damage->known) {
                role_drop_predecessor(role);
                return; /* role_recover() tells the end if the log does not have it */
        }
        /* No run of this name is without its end, and nothing of this one was told. */
        if (role->predecessor || damage->purged || damage->state == ROLE_STARTING) {
                role_adopt_nothing(role);
                return;
        }
        if (damage->state == ROLE_ENDED)
                /* It is in the file after the event, which the log does not have any more. */
                role->exited_sequence =
                        MAX(MIN(damage->exited_sequence, events_sequence(role->node->events)), 1);
}

void role_adopt(Role *role) {
        g_autoptr(Damage) damage = g_steal_pointer(&role->damage);
        g_autofree char *name = g_strdup(role->name);
        Node *node = role->node;

        if (!damage)
                return;
        role->spec->stop_timeout_usec = role->node->settings->default_stop_timeout_usec;
        role_log(role, LOG_WARNING, "Its saved state was damaged, continuing with default options");
        if (damage->listed.child != 0 && role->state != ROLE_ENDED)
                role_adopt_child(role, damage, &damage->listed);
        else
                role_adopt_without_child(role, damage);

        /* A shutdown that has begun before, without the keeper, did not know it. */
        role = g_hash_table_lookup(node->roles, name);
        if (role && node->stopping)
                role_stop(role, ROLE_CAUSE_SHUTDOWN, false, NULL);
}
