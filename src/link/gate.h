/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The gate: the launch request goes in, the child's reports come out, its end says exec or death. */

#include <systemd/sd-event.h>

#include "model/model-forward.h"

/* Sends the role's launch request through its gate. */
int launch_send(Role *role);

/* Listens at the gate: → role_on_gate_report(), role_on_gate_closed(). The source is the caller's; it is to be freed
 * before the gate is closed. */
int launch_watch(sd_event *event, Role *role, sd_event_source **ret);
