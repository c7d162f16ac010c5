/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "node/agent.h"
#include "bus/node-dbus.h"
#include "bus/role-dbus.h"
#include "proto/node-names.h"
#include "util/autoptr.h"
#include "bus/bus-errors.h"
#include "bus/bus-util.h"
#include "util/log.h"

#define SYSTEMD_VERSION_MIN 252U
/* After the longest stop timeout: SIGKILL, its 5 s, and some air. */
#define SHUTDOWN_MARGIN_USEC (ROLE_KILL_TIMEOUT_USEC + 5 * USEC_PER_SEC)
#define KEEPER_WAIT_USEC \
        (5 * USEC_PER_SEC) /* at start-up calls are held so long for the keeper's list of children */

RoleLinks *agent_links(Role *role) {
        RoleLinks *links = role->links;

        if (!links) {
                role->links = links = g_new0(RoleLinks, 1);
                links->watch = -1;
                /* The object is the name's: the clients know it from the run before. */
                if (role->predecessor)
                        links->announced = agent_links(role->predecessor)->announced;
        }
        return links;
}

static int world_role_save(void *world, Role *role) {
        Agent *agent = world;
        return role_state_save(&agent->store, role);
}

static void world_role_forget(void *world, Role *role) {
        Agent *agent = world;
        role_state_forget(&agent->store, role->name);
}

static void world_role_set_aside(void *world, Role *role) {
        Agent *agent = world;
        role_state_set_aside(&agent->store, role->name);
}

static void world_role_drop_previous(void *world, Role *role) {
        Agent *agent = world;
        role_state_drop_previous(&agent->store, role->name);
}

static void world_role_bring_back(void *world, Role *role) {
        Agent *agent = world;
        role_state_bring_back(&agent->store, role->name);
}

static int world_scope_start(void *world, Role *role) {
        Agent *agent = world;
        scope_start(agent->scopes, role);
        return 0;
}

static int world_scope_remove(void *world, Role *role) {
        Agent *agent = world;

        /* While we are being stopped the unit's stop job would wait for ours: systemd removes it when it is empty. */
        if (agent->node->stopping)
                return -ECANCELED;
        return scope_remove(agent->scopes, role);
}

static void world_scope_signal(void *world, Role *role, int signo, Waiter waiter) {
        Agent *agent = world;
        scope_signal(agent->scopes, role, signo, waiter);
}

static void world_scope_thaw(void *world, Role *role) {
        Agent *agent = world;
        scope_thaw(agent->scopes, role);
}

static int world_scope_query_oom(void *world, Role *role) {
        Agent *agent = world;
        return scope_query_oom(agent->scopes, role);
}

static int world_scope_query_stop(void *world, Role *role) {
        Agent *agent = world;

        /* Nobody can tell in time, or all of them are stopped by us. Of what ended while nobody was here systemd says nothing any more,
         * and the first reply must be right. */
        if (!agent->manager_ready || !agent->recovered || agent->node->stopping)
                return -ENOTCONN;
        return scope_query_stop(agent->scopes, role);
}

static void world_slice_empty(void *world) {
        Agent *agent = world;

        if (agent->scopes) /* not yet while the saved roles are read, no longer at the very end */
                scopes_slice_empty(agent->scopes);
}

/* systemd must not kill us while the roles still have their time. */
static void extend_stop_timeout(Agent *agent) {
        uint64_t longest = 0;
        GHashTableIter iter;
        Role *role;

        g_hash_table_iter_init(&iter, agent->node->roles);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &role))
                if (role->state != ROLE_ENDED || !role->swept)
                        longest = MAX(longest, role->spec->stop_timeout_usec);
        longest = longest > USEC_INFINITY - SHUTDOWN_MARGIN_USEC ? USEC_INFINITY
                                                                 : longest + SHUTDOWN_MARGIN_USEC;
        (void) sd_notifyf(
                false, "STOPPING=1\nSTATUS=Stopping all roles.\nEXTEND_TIMEOUT_USEC=%" PRIu64, longest);
}

static void world_event(void *world, const Event *event, Role *role) {
        Agent *agent = world;

        if (event->type == EVENT_ROLE_STARTED && role)
                role_dbus_announce(agent, role); /* its object comes first */
        node_dbus_event(agent, event);
        if (event->type == EVENT_ROLE_EXITED && role)
                scope_forget(agent->scopes, role);
        if (event->type == EVENT_SHUTTING_DOWN && agent->node->stopping)
                extend_stop_timeout(agent);
}

static void world_finished(void *world, int status) {
        Agent *agent = world;

        /* It is over, and what could not be killed has been reported. */
        shutdown_forget(agent->dir_fd);
        /* A clean end forgets: the next start is a new beginning, not the recovery from a crash. */
        if (status == 0) {
                role_state_forget_all(&agent->store);
                env_forget(agent->node->env);
                monitor_forget(agent->node->monitor);
                ports_forget(agent->node->ports);
                log_dbus_forget(agent);
        }
        (void) sd_event_exit(agent->event, status);
}

static void world_role_freed(void *world, Role *role) {
        Agent *agent = world;
        g_autofree RoleLinks *links = g_steal_pointer(&role->links);
        gint64 child = (gint64) role->child;

        /* Also of one that never came as far as to have links. */
        (void) g_hash_table_remove(agent->dirty, role);
        if (g_hash_table_lookup(agent->children, &child) == role)
                (void) g_hash_table_remove(agent->children, &child);
        if (!links)
                return;
        role->links = links;
        agent_cgroup_unwatch(agent, role);
        role->links = NULL;
        sd_event_source_disable_unref(links->gate);
        sd_event_source_disable_unref(links->pidfd);
}

static bool world_keeper_connected(void *world) {
        Agent *agent = world;

        /* A start needs both. */
        return agent->manager_ready && agent_keeper_connected(world);
}

static const NodeWorld agent_world = {
        .keeper_connected = world_keeper_connected,
        .child_fork = agent_child_fork,
        .child_launch = agent_child_launch,
        .child_signal = agent_child_signal,
        .child_close_stdin = agent_child_close_stdin,
        .child_reap = agent_child_reap,
        .ports_bind = agent_ports_bind,
        .ports_release = agent_ports_release,
        .ports_rest = agent_ports_rest,
        .scope_start = world_scope_start,
        .scope_signal = world_scope_signal,
        .scope_thaw = world_scope_thaw,
        .scope_kill = agent_scope_kill,
        .scope_remove = world_scope_remove,
        .scope_query_oom = world_scope_query_oom,
        .scope_query_stop = world_scope_query_stop,
        .cgroup_state = agent_cgroup_state,
        .cgroup_watch = agent_cgroup_watch,
        .cgroup_pids = agent_cgroup_pids,
        .role_save = world_role_save,
        .role_forget = world_role_forget,
        .role_set_aside = world_role_set_aside,
        .role_drop_previous = world_role_drop_previous,
        .role_bring_back = world_role_bring_back,
        .role_changed = role_dbus_changed,
        .role_removed = role_dbus_removed,
        .event = world_event,
        .node_changed = role_dbus_node_changed,
        .finished = world_finished,
        .slice_empty = world_slice_empty,
        .role_freed = world_role_freed,
};

/* The roles are as they are: from now on calls are answered, the held ones first. */
static void go_on(Agent *agent) {
        sd_bus_message *m;

        if (agent->recovered)
                return;
        agent->recovered = true;
        monitor_resume(agent->node->monitor);
        agent->keeper_wait = sd_event_source_disable_unref(agent->keeper_wait);
        while ((m = g_queue_pop_head(agent->held))) {
                int r = sd_bus_enqueue_for_read(agent->bus, m);
                if (r < 0)
                        log_error_errno(r, "Cannot take up a call: %m");
                sd_bus_message_unref(m);
        }
        agent_notify_ready(agent);
        node_resume_shutdown(agent->node);
}

void agent_on_keeper(Agent *agent) {
        if (!agent->recovered && agent->manager_ready)
                scopes_resync(agent->scopes);
        go_on(agent);
}

static int on_keeper_wait(sd_event_source *s, uint64_t usec, void *userdata) {
        log_warning("The keeper does not answer: going on without it");
        agent_watch_without_keeper(userdata);
        go_on(userdata);
        return 0;
}

static void on_manager_ready(void *userdata) {
        Agent *agent = userdata;
        unsigned version = manager_version(agent->manager);

        if (version > 0 && version < SYSTEMD_VERSION_MIN) {
                log_error(
                        "This is systemd %u: architect-node needs %u or newer", version, SYSTEMD_VERSION_MIN);
                (void) sd_event_exit(agent->event, EXIT_FAILURE);
                return;
        }
        agent->manager_ready = true;
        if (agent->recovered)
                scopes_resync(agent->scopes);
        node_pump_starts(agent->node);
}

/* Calls that come before the roles of the last process are up to date wait. */
static int filter_calls(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Agent *agent = userdata;

        if (agent->recovered || !sd_bus_message_is_method_call(m, NULL, NULL))
                return 0;
        g_queue_push_tail(agent->held, sd_bus_message_ref(m));
        return 1;
}

static int on_name(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Agent *agent = userdata;
        const sd_bus_error *e = sd_bus_message_get_error(m);
        uint32_t code;

        int r = e ? -sd_bus_message_get_errno(m) : sd_bus_message_read(m, "u", &code);
        if (e)
                log_error("Cannot take the name %s on the bus: %s", agent->instance->bus_name, e->message);
        else if (r < 0)
                log_error_errno(r, "Cannot take the name %s on the bus: %m", agent->instance->bus_name);
        else if (code != 1 && code != 4) { /* DBUS_REQUEST_NAME_REPLY_PRIMARY_OWNER, _ALREADY_OWNER */
                r = -EADDRINUSE;
                log_error("Another process has the name %s on the bus: is the instance running already?",
                        agent->instance->bus_name);
        }
        if (r < 0) {
                (void) sd_event_exit(agent->event, EXIT_FAILURE);
                return 0;
        }

        /* Only now: what is told of the roles comes from our name. First what the process before us did not come to say. */
        node_tell_unsent_events(agent->node);
        keeper_link_open(agent->keeper);
        return 0;
}

static int on_common_name(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(m);

        if (e)
                log_warning("Cannot queue for the name %s, other users will not reach the service: %s",
                        NODE_BUS_NAME_ALL, e->message);
        return 0;
}

static int on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Agent *agent = userdata;

        /* On the way out anyway. */
        if (agent->node->finished)
                return 0;
        return sd_event_exit(agent->event, AGENT_BUS_LOST);
}

static int agent_open_bus(Agent *agent) {
        sd_bus_slot *slot = NULL;

        int r = bus_errors_register();
        if (r < 0)
                return log_error_errno(r, "Cannot register the names of errors: %m");
        r = agent->instance->user ? sd_bus_open_user_with_description(&agent->bus, "architect-node")
                                  : sd_bus_open_system_with_description(&agent->bus, "architect-node");
        if (r < 0)
                return log_error_errno(
                        r, "Cannot connect to the %s bus: %m", agent->instance->user ? "user" : "system");
        r = sd_bus_attach_event(agent->bus, agent->event, SD_EVENT_PRIORITY_NORMAL);
        /* Not with the loop: agent_free() has something to say yet, and does not wait for ever until it is written. */
        if (r >= 0)
                r = sd_bus_set_close_on_exit(agent->bus, false);
        if (r >= 0)
                r = sd_bus_match_signal(agent->bus, &slot, "org.freedesktop.DBus.Local",
                        "/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local", "Disconnected",
                        on_disconnected, agent);
        if (r >= 0) {
                g_ptr_array_add(agent->slots, slot);
                r = sd_bus_add_filter(agent->bus, &slot, filter_calls, agent);
        }
        if (r >= 0) {
                g_ptr_array_add(agent->slots, slot);
                r = node_dbus_register(agent);
        }
        if (r >= 0)
                r = authority_new(agent->bus, &agent->authority);
        if (r < 0)
                return log_error_errno(r, "Cannot set up the bus: %m");
        if (agent->instance->user)
                authority_set_user(agent->authority, getuid());
        return 0;
}

static int agent_request_names(Agent *agent) {
        sd_bus_slot *slot = NULL;

        /* First: who sees our own name must be allowed to call it. */
        int r = sd_bus_request_name_async(
                agent->bus, &slot, NODE_BUS_NAME_ALL, SD_BUS_NAME_QUEUE, on_common_name, agent);
        if (r < 0)
                return log_error_errno(r, "Cannot ask for the name %s: %m", NODE_BUS_NAME_ALL);
        g_ptr_array_add(agent->slots, slot);
        r = sd_bus_request_name_async(agent->bus, &slot, agent->instance->bus_name, 0, on_name, agent);
        if (r < 0)
                return log_error_errno(r, "Cannot ask for the name %s: %m", agent->instance->bus_name);
        g_ptr_array_add(agent->slots, slot);
        return 0;
}

static int agent_open_state(Agent *agent) {
        const char *path = agent->instance->runtime_directory;
        GHashTableIter iter;
        Events *events;
        Role *role;

        if (g_mkdir_with_parents(path, 0700) < 0)
                return log_error_errno(errno, "Cannot make the directory %s: %m", path);
        autofd dir = open(path, O_DIRECTORY | O_CLOEXEC);
        if (dir < 0)
                return log_error_errno(errno, "Cannot open the directory %s: %m", path);

        int r = events_open(dir, &events);
        if (r < 0)
                return log_error_errno(r, "Cannot open the count of events in %s: %m", path);
        agent->dir_fd = fd_steal(&dir);
        log_dbus_load(agent);
        agent->node = node_new(agent->instance->name, agent->event, events, &agent_world, agent);
        r = node_open_state(agent->node, agent->dir_fd);
        if (r >= 0)
                r = role_store_open(agent->dir_fd, &agent->store);
        if (r >= 0)
                r = role_state_load_all(&agent->store, agent->node);
        if (r >= 0)
                node_restore_events(agent->node);
        if (r < 0)
                return log_error_errno(r, "Cannot read the saved state in %s: %m", path);

        agent->node->user = agent->instance->user;
        if (agent->instance->user)
                env_set_user(agent->node->env);

        /* Their objects are there from the first moment on: no client is told of them as new. */
        g_hash_table_iter_init(&iter, agent->node->roles);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &role))
                agent_links(role)->announced = true;
        return 0;
}

int agent_new(sd_event *event, Instance *instance, Agent **ret) {
        g_autoptr(Agent) agent = g_new0(Agent, 1);

        agent->event = sd_event_ref(event);
        agent->instance = instance;
        agent->store = (RoleStore){ -EBADF, -EBADF };
        agent->inotify_fd = agent->dir_fd = -EBADF;
        agent->children = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
        agent->slots = g_ptr_array_new_with_free_func(bus_slot_free);
        agent->held = g_queue_new();

        int r = role_dbus_setup(agent);
        if (r >= 0)
                r = agent_reaps_setup(agent);
        if (r >= 0)
                r = agent_cgroup_setup(agent);
        if (r < 0)
                return log_error_errno(r, "Cannot set up the event loop: %m");
        r = agent_open_state(agent);
        if (r < 0)
                return r;
        r = agent_open_bus(agent);
        if (r < 0)
                return r;
        agent_load_settings(agent);
        r = manager_new(agent->bus, on_manager_ready, agent, &agent->manager);
        if (r >= 0)
                r = scopes_new(agent->manager, agent->node, instance->own_unit, instance->keeper_unit,
                        &agent->scopes);
        if (r < 0)
                return log_error_errno(r, "Cannot talk to systemd: %m");
        r = keeper_link_new(event, instance->keeper_socket, &agent_keeper_handler, agent, &agent->keeper);
        if (r >= 0)
                r = sd_event_add_time_relative(event, &agent->keeper_wait, CLOCK_MONOTONIC, KEEPER_WAIT_USEC,
                        0, on_keeper_wait, agent);
        if (r < 0)
                return log_error_errno(r, "Cannot prepare the connection to the keeper: %m");
        r = agent_request_names(agent);
        if (r < 0)
                return r;

        *ret = g_steal_pointer(&agent);
        return 0;
}

Agent *agent_free(Agent *agent) {
        if (!agent)
                return NULL;

        log_set_sink(NULL, NULL);
        agent->keeper = keeper_link_free(agent->keeper);
        agent->scopes = scopes_free(agent->scopes);
        agent->node = node_free(agent->node);
        agent->manager = manager_free(agent->manager);
        agent->authority = authority_free(agent->authority);
        g_queue_free_full(agent->held, bus_message_free);
        g_ptr_array_unref(agent->slots);
        sd_event_source_disable_unref(agent->inotify);
        sd_event_source_disable_unref(agent->after_all);
        sd_event_source_disable_unref(agent->at_exit);
        sd_event_source_disable_unref(agent->keeper_wait);
        sd_event_source_disable_unref(agent->announce);
        (void) fd_close(agent->inotify_fd);
        role_store_close(&agent->store);
        (void) fd_close(agent->dir_fd);
        g_hash_table_unref(agent->children);
        g_clear_pointer(&agent->keeper_ports, g_array_unref);
        if (agent->watches)
                g_hash_table_unref(agent->watches);
        if (agent->dirty)
                g_hash_table_unref(agent->dirty);
        if (agent->reaps)
                g_array_unref(agent->reaps);
        /* What was said last, to those who still waited, must be read before we end: see events-dbus.c. */
        (void) bus_round_trip(agent->bus, AGENT_BUS_END_USEC);
        sd_bus_close_unref(agent->bus);
        instance_free(agent->instance);
        g_free(agent->settings_fault);
        g_free(agent->log_unknown);
        sd_event_unref(agent->event);
        g_free(agent);
        return NULL;
}

void agent_on_stop_signal(Agent *agent) {
        (void) sd_notify(false, "STOPPING=1");
        agent_ask_why(agent);
}
