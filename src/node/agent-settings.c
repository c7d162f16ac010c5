/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The configuration and the definitions are read at the start, by the call Reload, and at the signal that
 * systemd sends to reload a service (Type=notify-reload). */

#include <inttypes.h>

#include <unistd.h>

#include "model/definitions.h"
#include "model/node-setup.h"
#include "node/agent-settings.h"
#include "model/settings.h"
#include "util/log.h"
#include "util/notify.h"

/* Sets the status line of systemd. It is not changed during a stop, which has a status of its own. */
static void agent_notify(Agent *agent, const char *state) {
        if (agent->node->stopping)
                return;
        if (agent->settings_fault)
                notify_sendf("%sSTATUS=Ready, but the configuration is not applied: %s", state,
                        agent->settings_fault);
        else if (agent->definitions_fault)
                notify_sendf("%sSTATUS=Ready, but the definitions of roles are not read: %s", state,
                        agent->definitions_fault);
        else
                notify_sendf("%sSTATUS=Ready.", state);
}

void agent_notify_ready(Agent *agent) {
        agent_notify(agent, "READY=1\n");
        log_set_started();
}

static int agent_read_settings(Agent *agent, Fault *fault) {
        Settings *settings;

        int r = settings_load(agent->instance->settings_directory, agent->instance->name,
                agent->instance->user, &settings, fault);
        g_free(agent->settings_fault);
        agent->settings_fault = r < 0 ? g_strdup(fault->message) : NULL;
        if (r < 0) {
                log_error("%s", fault->message);
                return r;
        }
        node_set_settings(agent->node, settings);
        return 0;
}

/* With an invalid configuration the service runs with its defaults: at night a telescope needs its agent more
 * than its settings. */
void agent_load_settings(Agent *agent) {
        g_auto(Fault) fault = {};

        if (agent_read_settings(agent, &fault) >= 0)
                return;
        log_error("The configuration is not applied, the defaults apply until it is corrected and reloaded");
        Settings *settings =
                agent->instance->user
                        ? settings_new()
                        : settings_new_fallback(agent->instance->settings_directory, agent->instance->name);
        if (settings->require_user)
                log_error(
                        "The configuration has DefaultUser= or RequireUser=, or cannot be read, refusing starts without the option user until then");
        node_set_settings(agent->node, settings);
}

static int agent_read_definitions(Agent *agent, Fault *fault) {
        const DefinitionsPlace place = {
                .directories = (const char *const *) agent->instance->definition_directories,
                .instance = agent->instance->name,
                .owner = geteuid(),
        };
        g_auto(Fault) own = {};
        Definitions *definitions;

        int r = definitions_load(&place, &definitions, &own);
        g_free(agent->definitions_fault);
        agent->definitions_fault = r < 0 ? g_strdup(own.message) : NULL;
        if (r < 0) {
                log_error("%s", own.message);
                return fault->message ? r : fault_set(fault, own.error, "%s", own.message);
        }
        const unsigned n = definitions_count(definitions), n_refused = definitions_count_refused(definitions);
        node_set_definitions(agent->node, definitions);
        if (n > 0)
                log_info("%u definitions of roles are read, of which %u are refused", n, n_refused);
        return 0;
}

/* No role needs its definition to run on. */
void agent_load_definitions(Agent *agent) {
        g_auto(Fault) fault = {};

        if (agent_read_definitions(agent, &fault) < 0)
                log_error("No role has a definition until that is corrected and reloaded");
}

int agent_reload(Agent *agent, Fault *fault) {
        int r = agent_read_settings(agent, fault);

        if (r < 0)
                log_error("The configuration is not applied, the previous settings still apply");
        else
                log_info("The configuration is applied");
        int d = agent_read_definitions(agent, fault);
        if (d < 0)
                log_error("The definitions are not read, the previous ones still apply");
        r = r < 0 ? r : d;
        if (agent->node->recovered)
                agent_notify(agent, "");
        return r;
}

void agent_on_reload_signal(Agent *agent) {
        g_auto(Fault) fault = {};

        /* Before the service is ready, systemd would take the end of the reload for READY=1. */
        if (agent->node->recovered && !agent->node->stopping)
                notify_sendf("RELOADING=1\nMONOTONIC_USEC=%" PRIi64, g_get_monotonic_time());
        (void) agent_reload(agent, &fault); /* the sender of the signal finds the error in the journal */
        if (agent->node->recovered)
                agent_notify_ready(agent);
}
