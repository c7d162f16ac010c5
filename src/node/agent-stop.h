/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "node/agent.h"

/* Determines why systemd stops the service, and stops the roles or leaves them running. */
void agent_ask_why(Agent *agent);
void agent_on_system_shutdown(void *userdata); /* systemd has announced it; the Agent */
/* Ends the process, unless a shutdown was requested. */
void agent_leave_roles(Agent *agent, const char *why);
