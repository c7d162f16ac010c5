/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* SIGTERM does not contain its reason. A restart must leave the roles running, but a stop or a shutdown of
 * the system must not. Only systemd knows which it is: the job of the service's own unit has the type. When
 * the machine shuts down systemd has more to do than to answer, but it has announced the job of
 * shutdown.target before, which needs no answer. */

#include <inttypes.h>
#include <stdlib.h>

#include "base/macro.h"
#include "model/node-stop.h"
#include "node/agent-stop.h"
#include "util/log.h"
#include "util/notify.h"

/* While systemd does not answer it cannot restart the service either, so the wait delays nothing. Without any
 * answer the roles stay, because an unknown reason must not stop a telescope. */
#define ANSWER_TIMEOUT_USEC (25 * USEC_PER_SEC)
/* What systemd grants beyond that, for the exit. */
#define ANSWER_MARGIN_USEC (5 * USEC_PER_SEC)

void agent_leave_roles(Agent *agent, const char *why) {
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

void agent_on_system_shutdown(void *userdata) {
        Agent *agent = userdata;

        if (agent->asked_why)
                agent_stop_roles(agent);
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

void agent_on_stop_signal(Agent *agent) {
        if (node_is_shutting_down(agent->node))
                return;
        /* Without a unit it was started by hand, so Ctrl-C stops the roles. */
        if (!agent->instance->own_unit || manager_is_shutting_down(agent->manager)) {
                agent_stop_roles(agent);
                return;
        }

        _cleanup_free_ char *path = NULL;
        agent->asked_why = true;
        notify_sendf("STOPPING=1\nSTATUS=Waiting for the reason of the stop.\nEXTEND_TIMEOUT_USEC=%" PRIu64,
                ANSWER_TIMEOUT_USEC + ANSWER_MARGIN_USEC);
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
