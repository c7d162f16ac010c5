/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "base/unit-name.h"
#include "model/event-details.h"
#include "model/role-log.h"
#include "model/message-ids.h"
#include "model/node.h"
#include "model/role-terminal.h"
#include "util/log.h"

#define WORLD(node) ((node)->world)
#define DATA(node) ((node)->world_data)

static void node_trim_ended(Node *node);

Node *node_new(
        const char *instance, sd_event *event, Events *events, const NodeWorld *world, void *world_data) {
        Node *node = g_new0(Node, 1);

        node->instance = g_strdup(instance);
        node->slice = g_strdup_printf("architect-%s.slice", instance);
        node->event = sd_event_ref(event);
        node->events = events;
        node->world = world;
        node->world_data = world_data;
        /* The keys are the roles' own names. */
        node->roles = g_hash_table_new(g_str_hash, g_str_equal);
        node->start_queue = g_queue_new();
        node->ended = g_queue_new();
        node->slices = g_array_new(false, true, sizeof(guint));
        node->next_child = 1;
        node->dir_fd = -EBADF;
        node->settings = settings_new();
        return node;
}

void node_set_leaving_fault(Fault *fault) {
        (void) fault_set(fault, NODE_ERROR_SHUTTING_DOWN,
                "The service ended before this was done; if it is being restarted, it goes on with the role: ask again");
}

Node *node_free(Node *node) {
        g_auto(Fault) fault = {};
        GHashTableIter iter;
        Role *role;

        if (!node)
                return NULL;

        shutdown_clear(&node->resumed);
        node_set_leaving_fault(&fault);
        g_hash_table_iter_init(&iter, node->roles);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &role)) {
                g_hash_table_iter_steal(&iter);
                for (Role *r = role; r; r = r->predecessor) {
                        if (r->start_waiter.done)
                                r->start_waiter.done(r->start_waiter.userdata, &fault);
                        r->start_waiter = (Waiter){};
                        role_wake_stop_waiters(r, &fault);
                }
                role_free(role);
        }
        g_hash_table_unref(node->roles);
        g_queue_free(node->start_queue);
        g_queue_free(node->ended);
        g_array_unref(node->slices);
        monitor_close(node->monitor);
        ports_close(node->ports);
        env_close(node->env);
        settings_free(node->settings);
        events_close(node->events);
        sd_event_unref(node->event);
        g_free(node->slice);
        g_free(node->instance);
        g_free(node);
        return NULL;
}

int node_open_state(Node *node, int dir_fd) {
        node->dir_fd = dir_fd;
        int r = env_open(dir_fd, &node->env);
        if (r >= 0)
                r = monitor_open(node, dir_fd, &node->monitor);
        if (r >= 0)
                r = ports_open(node, dir_fd, &node->ports);
        return r < 0 || dir_fd < 0 ? r : shutdown_load(dir_fd, &node->resumed);
}

void node_set_settings(Node *node, Settings *settings) {
        settings_free(node->settings);
        node->settings = settings;
        env_set_base(node->env, settings->environment);
        monitor_configure(node->monitor, settings->monitor_timeout_usec, settings->monitor_action);
        node_trim_ended(node);
        node_pump_starts(node);
}

int node_find_role(Node *node, const char *name, Role **ret, Fault *fault) {
        Role *role = g_hash_table_lookup(node->roles, name);

        if (!role) {
                g_autofree char *shown = g_strescape(name, NULL);
                return fault_set(fault, NODE_ERROR_NO_SUCH_ROLE, "There is no role \"%.*s\"",
                        2 * ROLE_NAME_MAX, shown);
        }
        *ret = role;
        return 0;
}

int node_check_not_stopping(Node *node, Fault *fault) {
        return node->stopping ? fault_set(fault, NODE_ERROR_SHUTTING_DOWN, "The service is shutting down")
                              : 0;
}

static int check_name(const char *name, Fault *fault) {
        if (role_name_is_valid(name))
                return 0;

        g_autofree char *shown = g_strescape(name, NULL);
        return fault_set(fault, NODE_ERROR_INVALID_ROLE_NAME,
                "\"%.*s\" is not a valid role name: 1 to %d characters of A-Za-z0-9_.- beginning with a letter or digit",
                2 * ROLE_NAME_MAX, shown, ROLE_NAME_MAX);
}

void node_add_role(Node *node, Role *role) {
        g_hash_table_insert(node->roles, role->name, role);
        if (role->state != ROLE_ENDED)
                node->n_not_ended++;
        else if (role->swept)
                g_queue_push_tail(node->ended, role);
        if (role_holds_slot(role))
                node->n_starts++; /* begun by the process before us */
        WORLD(node)->node_changed(DATA(node));
}

int node_start_role(
        Node *node, const char *name, RoleSpec *spec, const Caller *caller, Waiter waiter, Fault *fault) {
        g_auto(Fault) spec_fault = {};
        sd_id128_t invocation;

        int r = node_check_not_stopping(node, fault);
        if (r < 0)
                return r;
        r = check_name(name, fault);
        if (r < 0)
                return r;
        if (!spec->provider_set)
                spec->provider = node->settings->product_provider;
        r = role_spec_check(spec, &spec_fault);
        if (r >= 0)
                r = terminal_check_display(spec, node->env, &spec_fault);
        if (r < 0)
                return fault_set(fault, spec_fault.error, "Role \"%s\": %s", name, spec_fault.message);

        Role *predecessor = g_hash_table_lookup(node->roles, name);
        if (predecessor && predecessor->state != ROLE_ENDED)
                return fault_set(fault, NODE_ERROR_ROLE_EXISTS, "Role \"%s\" exists already: it is %s", name,
                        role_state_to_string(predecessor->state));
        if (!predecessor && g_hash_table_size(node->roles) >= NODE_MAX_ROLES)
                return fault_set(fault, NODE_ERROR_LIMIT_REACHED,
                        "Role \"%s\" cannot be started: %u roles are known already; purge some", name,
                        NODE_MAX_ROLES);
        r = ports_check_start(node->ports, name, spec, caller, &spec_fault);
        if (r < 0)
                return fault_set(fault, spec_fault.error, "Role \"%s\": %s", name, spec_fault.message);
        r = sd_id128_randomize(&invocation);
        if (r < 0)
                return fault_set(fault, NODE_ERROR_IO_ERROR, "Role \"%s\" cannot be started: %s", name,
                        g_strerror(-r));

        Role *role = role_new(node, name, spec);
        role->invocation = invocation;
        role->start_waiter = waiter;
        if (!spec->stop_timeout_set)
                spec->stop_timeout_usec = node->settings->default_stop_timeout_usec;
        caller_copy(&role->owner, caller);
        if (predecessor) {
                g_hash_table_steal(node->roles, name);
                g_queue_remove(node->ended, predecessor);
                WORLD(node)->role_set_aside(DATA(node), predecessor);
                role->predecessor = predecessor;
                predecessor->successor = role;
        }
        node_add_role(node, role);

        r = WORLD(node)->role_save(DATA(node), role);
        if (r < 0) {
                g_auto(Fault) save_fault = {};

                (void) fault_set(&save_fault, NODE_ERROR_IO_ERROR,
                        "Role \"%s\" cannot be started: cannot save it: %s", name, g_strerror(-r));
                g_queue_push_tail(node->start_queue, role);
                role_fail(role, &save_fault);
                return 0;
        }
        WORLD(node)->role_changed(DATA(node), role);
        g_queue_push_tail(node->start_queue, role);
        node_pump_starts(node);
        return 0;
}

void node_pump_starts(Node *node) {
        while (node->n_starts < node->settings->max_concurrent_starts &&
                !g_queue_is_empty(node->start_queue) && WORLD(node)->keeper_connected(DATA(node))) {
                Role *role = g_queue_pop_head(node->start_queue);

                node->n_starts++;
                role_start(role);
        }
}

static void node_check_finished(Node *node) {
        GHashTableIter iter;
        Role *role;

        if (!node->stopping || node->finished)
                return;

        g_hash_table_iter_init(&iter, node->roles);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &role))
                for (Role *r = role; r; r = r->predecessor)
                        if ((r->state != ROLE_ENDED || !r->swept) && r->stop_step != STOP_STEP_STUCK)
                                return;

        node->finished = true;
        WORLD(node)->finished(DATA(node), node->stuck ? 1 : 0);
}

void node_start_over(Node *node, Role *role) {
        if (role)
                node->n_starts--;
        node_pump_starts(node);
        node_check_finished(node); /* a shutdown waits for cancelled starts too */
}

void node_stop_role(Node *node, Role *role, RoleCause cause, const Caller *caller, Waiter waiter) {
        if (role->state == ROLE_ENDED && role->swept) {
                if (waiter.done)
                        waiter.done(waiter.userdata, NULL);
                return;
        }
        role_wait_stop(role, waiter);
        role_stop(role, cause, cause == ROLE_CAUSE_KILL, caller);
}

int node_signal_role(
        Node *node, Role *role, bool all, int signo, const Caller *caller, Waiter waiter, Fault *fault) {
        if (role->state != ROLE_RUNNING && role->state != ROLE_STOPPING)
                return fault_set(fault, NODE_ERROR_ROLE_NOT_RUNNING, "Role \"%s\" is not running: it is %s",
                        role->name, role_state_to_string(role->state));

        if (!all && !role->child_exists)
                return fault_set(fault, NODE_ERROR_KEEPER_UNAVAILABLE,
                        "Cannot signal the main process of role \"%s\": the keeper that started it is gone; all its "
                        "processes can be signalled",
                        role->name);

        role->last_signal = signo;
        caller_copy(&role->last_signal_caller, caller);
        if (all)
                WORLD(node)->scope_signal(DATA(node), role, signo, waiter);
        else
                WORLD(node)->child_signal(DATA(node), role, signo, waiter);
        return 0;
}

bool node_event_add(Node *node, EventType type, Role *role, GVariant *details, Event *ret) {
        int r = events_add(node->events, type, role ? role->name : "", details, ret);
        if (r < 0)
                log_error_errno(r, "Cannot save the event %" PRIu64 " (%s %s): %m", ret->sequence,
                        event_type_to_string(type), ret->role);
        return r >= 0;
}

void node_event_tell(Node *node, const Event *event, Role *role) {
        if (event->sequence == 0)
                return;
        WORLD(node)->event(DATA(node), event, role);
        events_set_told(node->events, event->sequence);
}

static int tell_unsent(void *userdata, const Event *event) {
        Node *node = userdata;

        node_event_tell(node, event, NULL);
        return 0;
}

void node_tell_unsent_events(Node *node) {
        (void) events_read(node->events, events_sent(node->events), tell_unsent, node);
}

/* The run of this name that the event is of. */
static Role *find_run(Node *node, const Event *event) {
        Role *role = g_hash_table_lookup(node->roles, event->role);

        while (role && !event_is_of(event, role))
                role = role->predecessor;
        return role;
}

static int restore_event(void *userdata, const Event *event) {
        Node *node = userdata;
        Role *role = event->role[0] ? find_run(node, event) : NULL;

        if (!role)
                return 0;
        switch (event->type) {
        case EVENT_ROLE_STARTED:
                if (role->started_sequence == 0)
                        event_restore_started(event, role);
                break;
        case EVENT_ROLE_EXITED:
                if (role->exited_sequence == 0)
                        event_restore_exited(event, role);
                break;
        case EVENT_ROLE_PURGED:
                if (!role->successor && role->state == ROLE_ENDED)
                        node_remove_role(node, role);
                break;
        default:
                break;
        }
        return 0;
}

void node_restore_events(Node *node) {
        (void) events_read(node->events, 0, restore_event, node);
}

void node_remove_role(Node *node, Role *role) {
        if (role->main_exited)
                role_reap(role);
        g_hash_table_steal(node->roles, role->name);
        g_queue_remove(node->ended, role);
        WORLD(node)->role_forget(DATA(node), role);
        WORLD(node)->role_removed(DATA(node), role);
        WORLD(node)->node_changed(DATA(node));
        role_free(role);
}

void node_purge_role(Node *node, Role *role, const Caller *caller) {
        g_auto(Event) event = {};

        g_assert(role->state == ROLE_ENDED && role->swept);

        node_event_add(node, EVENT_ROLE_PURGED, role, event_details_purged(role, caller), &event);
        journal_role(role, MESSAGE_ROLE_PURGED, LOG_INFO, caller, "Purged");
        node_event_tell(node, &event, role);
        node_remove_role(node, role);
}

int node_purge(Node *node, char **names, const Caller *caller, char ***ret, Fault *fault) {
        g_autoptr(GPtrArray) roles = g_ptr_array_new();
        g_autoptr(GHashTable) named = g_hash_table_new(NULL, NULL);
        g_autoptr(GStrvBuilder) purged = g_strv_builder_new();

        for (char **n = names; n && *n; n++) {
                Role *role = NULL;

                int r = node_find_role(node, *n, &role, fault);
                if (r < 0)
                        return r;
                g_assert(role);
                if (role->state != ROLE_ENDED)
                        return fault_set(fault, NODE_ERROR_ROLE_RUNNING,
                                "Role \"%s\" cannot be purged: it is %s", role->name,
                                role_state_to_string(role->state));
                if (!role->swept)
                        return fault_set(fault, NODE_ERROR_ROLE_RUNNING,
                                "Role \"%s\" cannot be purged: it has ended, but processes it left still run",
                                role->name);
                if (g_hash_table_add(named, role)) /* a name given twice is purged once */
                        g_ptr_array_add(roles, role);
        }
        if (!names || !names[0])
                for (GList *l = node->ended->head; l; l = l->next)
                        g_ptr_array_add(roles, l->data);

        for (unsigned i = 0; i < roles->len; i++) {
                Role *role = g_ptr_array_index(roles, i);

                g_strv_builder_add(purged, role->name);
                node_purge_role(node, role, caller);
        }
        *ret = g_strv_builder_end(purged);
        return 0;
}

static void node_trim_ended(Node *node) {
        while (g_queue_get_length(node->ended) > node->settings->max_ended_roles)
                node_purge_role(node, g_queue_peek_head(node->ended), NULL);
}

void node_role_swept(Node *node, Role *role) {
        Role *successor = role->successor;

        if (successor) {
                if (successor->phase == ROLE_PHASE_SWEEP && !successor->failure.message) {
                        successor->phase = ROLE_PHASE_QUEUED;
                        g_queue_push_head(node->start_queue, successor);
                        node_pump_starts(node);
                }
        } else {
                g_queue_push_tail(node->ended, role);
                if (role->spec->remove)
                        node_purge_role(node, role, NULL);
                node_trim_ended(node);
        }
        node_check_finished(node);
}

void node_role_stuck(Node *node, Role *role) {
        node->stuck = true;
        node_check_finished(node);
}

void node_shutdown(Node *node, const char *reason, const Caller *caller) {
        g_autoptr(GPtrArray) names = NULL;
        g_auto(Event) event = {};

        if (node->stopping)
                return;
        node->stopping = true;

        /* Before anything is done: who comes after a crash must know. */
        int r = shutdown_save(node->dir_fd, reason, caller);
        if (r < 0)
                log_error_errno(r, "Cannot save that we shut down, a crash would end it: %m");
        journal_shutting_down(node, reason, caller);
        node_event_add(node, EVENT_SHUTTING_DOWN, NULL, event_details_shutting_down(reason, caller), &event);
        node_event_tell(node, &event, NULL);
        WORLD(node)->node_changed(DATA(node));

        /* By name: stopping a role that is starting may free it. */
        names = g_ptr_array_new_with_free_func(g_free);
        GHashTableIter iter;
        char *name;
        g_hash_table_iter_init(&iter, node->roles);
        while (g_hash_table_iter_next(&iter, (void **) &name, NULL))
                g_ptr_array_add(names, g_strdup(name));
        for (unsigned i = 0; i < names->len; i++) {
                Role *role = g_hash_table_lookup(node->roles, g_ptr_array_index(names, i));
                if (role)
                        role_stop(role, ROLE_CAUSE_SHUTDOWN, false, caller);
        }
        node_check_finished(node);
}

void node_resume_shutdown(Node *node) {
        if (node->resumed.reason) {
                log_notice("Going on with the shutdown that was interrupted");
                node_shutdown(node, node->resumed.reason, &node->resumed.caller);
        }
}

int node_slice_take(Node *node) {
        unsigned i;

        for (i = 0; i < node->slices->len; i++)
                if (g_array_index(node->slices, guint, i) < NODE_SLICE_ROLES)
                        break;
        if (i == node->slices->len)
                g_array_set_size(node->slices, i + 1);
        g_array_index(node->slices, guint, i)++;
        return (int) i;
}

void node_slice_retake(Node *node, int slice) {
        if ((unsigned) slice >= node->slices->len)
                g_array_set_size(node->slices, (unsigned) slice + 1);
        g_array_index(node->slices, guint, slice)++;
}

void node_slice_release(Node *node, int slice) {
        if (slice < 0)
                return;
        g_assert((unsigned) slice < node->slices->len);
        g_assert(g_array_index(node->slices, guint, slice) > 0);
        if (--g_array_index(node->slices, guint, slice) == 0)
                WORLD(node)->slice_empty(DATA(node));
}

bool node_slice_is_empty(Node *node, int slice) {
        return (unsigned) slice >= node->slices->len || g_array_index(node->slices, guint, slice) == 0;
}

char *node_slice_name(Node *node, int slice) {
        return g_strdup_printf("architect-%s-%d.slice", node->instance, slice);
}
