/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "node/agent.h"

/* For SIGTERM and SIGINT. Determines why systemd stops the service. A restart leaves the roles running,
 * everything else stops them. */
void agent_on_stop_signal(Agent *agent);
void agent_on_system_shutdown(void *userdata); /* systemd has announced it; the Agent */
/* Ends the process, unless a shutdown was requested. */
void agent_leave_roles(Agent *agent, const char *why);
