/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/fd-util.h"
#include "base/time-util.h"
#include "model/env.h"
#include "model/events.h"
#include "model/node-events.h"
#include "model/node-setup.h"
#include "model/role-recover.h"
#include "model/role.h"
#include "node/agent-settings.h"
#include "node/agent-stop.h"
#include "node/agent.h"
#include "util/log.h"
#include "util/notify.h"

#define SYSTEMD_VERSION_MIN 252U
/* The time after the longest stop timeout: SIGKILL, its 5 s, and a reserve. */
#define SHUTDOWN_MARGIN_USEC (ROLE_KILL_TIMEOUT_USEC + 5 * USEC_PER_SEC)
/* At start-up calls wait no longer than this for the keeper's list of children. */
#define KEEPER_WAIT_USEC (5 * USEC_PER_SEC)

/* -- ServiceOps -- */

static void agent_named(void *data) {
        Agent *agent = data;

        children_open(agent->children);
}

static void agent_recovered(void *data) {
        Agent *agent = data;

        agent->keeper_wait = sd_event_source_disable_unref(agent->keeper_wait);
        agent_notify_ready(agent);
}

static int agent_reload_settings(void *data, Fault *fault) {
        return agent_reload(data, fault);
}

/* systemd must not kill the service while the roles still have time to stop. */
static void agent_stopping(void *data) {
        Agent *agent = data;
        uint64_t longest = 0;
        GHashTableIter iter;
        Role *role;

        g_hash_table_iter_init(&iter, agent->node->roles);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &role))
                if (!role_is_over(role)) {
                        longest = MAX(longest, role->spec->stop_timeout_usec);
                        if (role->stop_step == STOP_STEP_ASKED || role->stop_step == STOP_STEP_COMMAND)
                                longest = MAX(longest, usec_until(role->stop_deadline));
                        if (role->hook && role->hook->hook_kind == HOOK_STOP_POST)
                                longest = MAX(longest, usec_until(role->hook->stop_deadline));
                }
        notify_sendf("STOPPING=1\nSTATUS=Stopping all roles.\nEXTEND_TIMEOUT_USEC=%" PRIu64,
                usec_add(longest, SHUTDOWN_MARGIN_USEC));
}

/* systemd keeps what is later already. */
static void agent_stop_extended(void *data, uint64_t deadline) {
        notify_sendf("EXTEND_TIMEOUT_USEC=%" PRIu64, usec_add(usec_until(deadline), SHUTDOWN_MARGIN_USEC));
}

/* The shutdown is over, and processes that survive SIGKILL were reported. */
static void agent_finished(void *data, int status) {
        Agent *agent = data;

        node_forget_state(agent->node, status == 0);
        if (status == 0)
                clients_forget_log(agent->clients);
        (void) sd_event_exit(agent->event, status);
}

static int agent_on_trim(sd_event_source *s, uint64_t usec, void *userdata) {
        Agent *agent = userdata;

        agent->trimming = sd_event_source_disable_unref(agent->trimming);
        (void) trim_run(&agent->trim, usec);
        return 0;
}

static void agent_role_removed(void *data) {
        Agent *agent = data;

        if (!trim_freed(&agent->trim, now_usec(CLOCK_MONOTONIC)))
                return;
        int r = sd_event_add_time(agent->event, &agent->trimming, CLOCK_MONOTONIC, agent->trim.due_usec,
                USEC_PER_SEC, agent_on_trim, agent);
        if (r < 0)
                log_warning_errno(r, "Cannot set a timer, memory is not returned to the system: %m");
}

static const ServiceOps agent_ops = {
        .named = agent_named,
        .recovered = agent_recovered,
        .reload = agent_reload_settings,
        .stopping = agent_stopping,
        .stop_extended = agent_stop_extended,
        .finished = agent_finished,
        .role_removed = agent_role_removed,
};

/* -- its life -- */

/* The loop has ended. Checks once more which events the bus has read, and lets the keeper forget the children
 * whose end is saved. */
static int agent_on_exit_loop(sd_event_source *s, void *userdata) {
        Agent *agent = userdata;

        clients_finish(agent->clients);
        children_finish(agent->children);
        return 0;
}

static int agent_on_keeper_wait(sd_event_source *s, uint64_t usec, void *userdata) {
        Agent *agent = userdata;

        node_on_keeper_late(agent->node);
        return 0;
}

static void agent_on_manager_ready(void *userdata) {
        Agent *agent = userdata;
        unsigned version = manager_version(agent->manager);

        if (version > 0 && version < SYSTEMD_VERSION_MIN) {
                log_error("systemd %u is too old, architect-node needs %u or newer", version,
                        SYSTEMD_VERSION_MIN);
                (void) sd_event_exit(agent->event, EXIT_FAILURE);
                return;
        }
        node_on_systemd(agent->node);
}

static int agent_open_directory(Agent *agent, Events **ret) {
        const char *path = agent->instance->runtime_directory;

        if (g_mkdir_with_parents(path, 0700) < 0)
                return log_error_errno(errno, "Cannot create the directory %s: %m", path);
        agent->dir_fd = open(path, O_DIRECTORY | O_CLOEXEC);
        if (agent->dir_fd < 0)
                return log_error_errno(errno, "Cannot open the directory %s: %m", path);
        int r = events_open(agent->dir_fd, ret);
        return r < 0 ? log_error_errno(r, "Cannot open the event counter in %s: %m", path) : 0;
}

/* Only leases need it, so the service starts without it. */
static void agent_open_state_directory(Agent *agent) {
        const char *path = agent->instance->state_directory;

        if (g_mkdir_with_parents(path, 0700) >= 0)
                agent->state_fd = open(path, O_DIRECTORY | O_CLOEXEC);
        if (agent->state_fd >= 0)
                return;
        agent->state_fd = -errno;
        log_warning_errno(
                errno, "Cannot open the directory %s, so no lease can be acquired, ignoring: %m", path);
}

/* Creates the node with the sides of its world that saved roles may need, but without connections. */
static int agent_make_node(Agent *agent, Events *events) {
        agent->node = node_new(agent->instance->name, agent->event, events);
        agent->node->user = agent->instance->user;
        ATTACH(agent->node, service, &agent_ops, agent);
        ATTACH(agent->node, store, &role_store_ops, &agent->store);

        int r = clients_new(agent->event, agent->node, &agent->clients);
        if (r < 0)
                return log_error_errno(r, "Cannot set up the event loop: %m");
        r = children_new(agent->event, agent->node, agent->instance->keeper_socket, &agent->children);
        return r < 0 ? log_error_errno(r, "Cannot prepare the connection to the keeper: %m") : 0;
}

static int agent_load_state(Agent *agent) {
        clients_load_log(agent->clients, agent->dir_fd);
        agent_open_state_directory(agent);
        int r = node_open_state(agent->node, agent->dir_fd, agent->state_fd);
        if (r >= 0)
                r = role_store_open(agent->dir_fd, &agent->store);
        if (r >= 0)
                r = role_state_load_all(&agent->store, agent->node);
        if (r < 0)
                return log_error_errno(
                        r, "Cannot read the saved state in %s: %m", agent->instance->runtime_directory);
        node_restore_events(agent->node);
        if (agent->instance->user)
                env_set_user(agent->node->env);

        clients_adopt_roles(agent->clients);
        return 0;
}

static int agent_open_systemd(Agent *agent) {
        int r = manager_new(clients_bus(agent->clients), agent_on_manager_ready, agent, &agent->manager);
        if (r >= 0)
                r = scopes_new(agent->manager, agent->node, agent->instance->own_unit,
                        agent->instance->keeper_unit, &agent->scopes);
        if (r >= 0)
                manager_watch_shutdown(agent->manager, agent_on_system_shutdown, agent);
        return r < 0 ? log_error_errno(r, "Cannot set up the connection to systemd: %m") : 0;
}

static int agent_add_sources(Agent *agent) {
        int r = sd_event_add_time_relative(agent->event, &agent->keeper_wait, CLOCK_MONOTONIC,
                KEEPER_WAIT_USEC, 0, agent_on_keeper_wait, agent);
        if (r >= 0)
                r = sd_event_add_exit(agent->event, &agent->at_exit, agent_on_exit_loop, agent);
        if (r >= 0)
                r = sd_event_source_set_priority(agent->at_exit, SD_EVENT_PRIORITY_IMPORTANT);
        return r < 0 ? log_error_errno(r, "Cannot set up the event loop: %m") : 0;
}

int agent_new(sd_event *event, Instance *instance, Agent **ret) {
        g_autoptr(Agent) agent = g_new0(Agent, 1);
        Events *events = NULL;

        agent->event = sd_event_ref(event);
        agent->instance = instance;
        agent->store = (RoleStore){ -EBADF, -EBADF };
        agent->dir_fd = agent->state_fd = -EBADF;

        int r = agent_open_directory(agent, &events);
        if (r >= 0)
                r = agent_make_node(agent, events);
        if (r >= 0)
                r = agent_load_state(agent);
        if (r >= 0)
                r = clients_open(agent->clients);
        if (r < 0)
                return r;
        agent_load_settings(agent);
        agent_load_definitions(agent);
        r = agent_open_systemd(agent);
        if (r >= 0)
                r = agent_add_sources(agent);
        if (r >= 0)
                r = clients_request_names(agent->clients, instance->bus_name, instance->runtime_directory);
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&agent);
        return 0;
}

Agent *agent_free(Agent *agent) {
        if (!agent)
                return NULL;

        log_set_sink(NULL, NULL);
        sd_event_source_disable_unref(agent->at_exit);
        sd_event_source_disable_unref(agent->keeper_wait);
        sd_event_source_disable_unref(agent->trimming);
        /* The requests that keeper and systemd can no longer answer fail first, then the callers that wait
         * for a role. */
        children_free(agent->children);
        scopes_free(agent->scopes);
        node_free(agent->node);
        manager_free(agent->manager);
        clients_free(agent->clients);
        role_store_close(&agent->store);
        (void) fd_close(agent->dir_fd);
        (void) fd_close(agent->state_fd);
        instance_free(agent->instance);
        g_free(agent->settings_fault);
        g_free(agent->definitions_fault);
        sd_event_unref(agent->event);
        g_free(agent);
        return NULL;
}
