/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The end of the main process: its cause, the event, and what follows from it. */

#include "model/role.h"

void role_on_external_stop(Role *role); /* another process has systemd stop its scope */
void role_on_stop_known(Role *role);    /* such a stop would have been reported by now */

void role_finish(Role *role);       /* the exit is known, so the role has ended */
void role_read_figures(Role *role); /* reads the figures of the scope into exit, while its cgroup exists */

/* An end that nobody has asked for is told first, and its consequences (the saved file, the journal, the
 * reaping, the sweep) follow after ROLE_END_QUIET_USEC: until then bus daemon and clients have the
 * processors. Whoever calls the service meanwhile finds them done, because this does them at once, for all
 * roles. May free roles. */
void node_follow_up(Node *node);
void role_end_free(Role *role); /* forgets them */
