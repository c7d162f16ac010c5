/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* SIGTERM does not contain its reason. A restart must leave the roles running, but a stop or a shutdown of
 * the system must not. Only systemd knows which it is: the job of the service's own unit has the type. */

#include <stdlib.h>

#include "base/macro.h"
#include "model/node-stop.h"
#include "node/agent-stop.h"
#include "util/log.h"

/* A missing reply must not delay a restart, and an unknown reason must not stop a telescope. */
#define ANSWER_TIMEOUT_USEC USEC_PER_SEC

static void agent_leave_roles(Agent *agent, const char *why) {
        /* A shutdown was requested, before the signal or since. Whatever systemd does, the roles stop and
         * then the service ends. */
        if (node_is_shutting_down(agent->node))
                return;
        log_info("Exiting, the roles continue to run: %s", why);
        (void) sd_event_exit(agent->event, EXIT_SUCCESS);
}

static void agent_stop_roles(Agent *agent) {
        node_shutdown(agent->node, "", NULL);
}

static int agent_on_answer_timeout(sd_event_source *s, uint64_t usec, void *userdata) {
        agent_leave_roles(userdata, "systemd has not reported why it stops the service");
        return 0;
}

static void agent_on_job_type(void *userdata, sd_bus_message *reply, const sd_bus_error *error) {
        Agent *agent = userdata;
        const char *type;

        if (error || sd_bus_message_read(reply, "v", "s", &type) < 0)
                agent_leave_roles(agent, "the job of the service cannot be read");
        else if (g_str_equal(type, "restart") || g_str_equal(type, "start"))
                agent_leave_roles(agent, "systemd restarts the service");
        else
                agent_stop_roles(agent);
}

static void agent_on_job(void *userdata, sd_bus_message *reply, const sd_bus_error *error) {
        Agent *agent = userdata;
        const char *path;
        uint32_t id;

        if (error || sd_bus_message_read(reply, "v", "(uo)", &id, &path) < 0)
                agent_leave_roles(agent, "the unit of the service cannot be read");
        else if (id == 0)
                agent_stop_roles(agent); /* sent by another process */
        else if (manager_get_property(agent->manager, path, "org.freedesktop.systemd1.Job", "JobType",
                         agent_on_job_type, agent, NULL) < 0)
                agent_leave_roles(agent, "the job of the service cannot be requested");
}

void agent_ask_why(Agent *agent) {
        if (node_is_shutting_down(agent->node))
                return;
        if (!agent->instance->own_unit) { /* started by hand, so Ctrl-C stops the roles */
                agent_stop_roles(agent);
                return;
        }

        _cleanup_free_ char *path = NULL;
        int r = sd_event_add_time_relative(
                agent->event, NULL, CLOCK_MONOTONIC, ANSWER_TIMEOUT_USEC, 0, agent_on_answer_timeout, agent);
        if (r >= 0)
                r = sd_bus_path_encode("/org/freedesktop/systemd1/unit", agent->instance->own_unit, &path);
        if (r >= 0)
                r = manager_get_property(agent->manager, path, "org.freedesktop.systemd1.Unit", "Job",
                        agent_on_job, agent, NULL);
        if (r < 0)
                agent_leave_roles(agent, "systemd cannot be reached");
}
