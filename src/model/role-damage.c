/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "model/event-details.h"
#include "model/role-damage.h"

Damage *damage_free(Damage *damage) {
        if (!damage)
                return NULL;
        listed_child_close_fds(&damage->listed);
        g_free(damage);
        return NULL;
}

void role_damage_forget_run(Role *role) {
        (void) sd_id128_randomize(&role->invocation);
        role->started_sequence = role->exited_sequence = 0;
        role->start_realtime_usec = role->start_monotonic_usec = 0;
        role->exit = (RoleExit){};
        role->cause_known = false;
        caller_clear(&role->cause_caller);
        caller_clear(&role->owner);
        g_clear_pointer(&role->spec->user, g_free);
        g_clear_pointer(&role->resolved_products, g_strfreev);
        g_clear_pointer(&role->environment_hash, g_free);
        g_clear_pointer(&role->spec->lease, g_free);
        g_clear_pointer(&role->spec->managed_by, g_free);
}

Role *role_new_damaged(Node *node, const char *name) {
        Role *role = role_new(node, name, role_spec_new());

        role->damaged = true;
        role->damage = g_new(Damage, 1);
        *role->damage = (Damage){ .state = _ROLE_STATE_INVALID, .listed = LISTED_CHILD_NONE };
        role->state = ROLE_RUNNING;
        role->phase = ROLE_PHASE_OPEN;
        /* It may be one that runs on without its main process, and nothing of it may be stopped. */
        role->spec->exit_type = EXIT_TYPE_CGROUP;
        role_damage_forget_run(role);
        return role;
}

/* -- the lines of the file -- */

void role_damage_salvage(Role *role, StateFields *fields) {
        g_autofree char *name = state_take_string(fields, "NAME");
        Damage *damage = role->damage;

        if (name && !g_str_equal(name, role->name))
                return; /* the file of another role */
        g_autofree char *state = state_take_string(fields, "STATE");
        if (state)
                damage->state = role_state_from_string(state);
        damage->pid = state_take_pid(fields, "MAIN_PID");
        damage->start_time = state_take_u64(fields, "MAIN_START_TIME");
        damage->exited_sequence = state_take_u64(fields, "EXITED_SEQUENCE");
}

/* -- the log -- */

static void role_damage_on_run(Role *role, const Event *event) {
        Damage *damage = role->damage;

        role_damage_forget_run(role);
        damage->known = event_restore_run(event, role);
        damage->purged = false;
        damage->told_pid = 0;
}

void role_damage_on_event(Role *role, const Event *event) {
        Damage *damage = role->damage;

        /* The run that its file replaces has a file of its own. */
        if (role->predecessor && event_is_of(event, role->predecessor))
                return;
        switch (event->type) {
        case EVENT_ROLE_STARTED:
                role_damage_on_run(role, event);
                if (!damage->known)
                        return;
                damage->told_pid = (pid_t) event_get_i64(event, "pid", 0);
                event_restore_started(event, role);
                break;
        case EVENT_ROLE_EXITED:
                if (!damage->known || !event_is_of(event, role))
                        role_damage_on_run(role, event); /* its start is not in the log any more */
                if (damage->known)
                        event_restore_exited(event, role);
                break;
        case EVENT_ROLE_PURGED:
                if (!damage->known || !event_is_of(event, role))
                        return;
                role_damage_forget_run(role);
                damage->known = false;
                damage->purged = true;
                break;
        default:
                break;
        }
}
