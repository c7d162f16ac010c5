/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The configuration of the service, and the definitions of its roles. */

#include "node/agent.h"

void agent_load_settings(Agent *agent); /* at the start */
void agent_load_definitions(Agent *agent);
/* Reads both again. If one of them fails, what was read before still applies, and the status line of systemd
 * contains the error. */
int agent_reload(Agent *agent, Fault *fault);
/* The same, requested by systemd or by hand. Notifies systemd when it begins and when it is complete. */
void agent_on_reload_signal(Agent *agent);
void agent_notify_ready(Agent *agent);
