/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "node/agent.h"

/* Determines why systemd stops the service, and stops the roles or leaves them running. */
void agent_ask_why(Agent *agent);
