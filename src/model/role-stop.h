/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* From running to the last process. */

#include "model/role.h"

void role_on_oom(Role *role, bool known, bool oom);
void role_on_external_stop(Role *role); /* systemd stops its scope, and not for us */
void role_on_stop_known(Role *role);    /* if it was stopped like that, it has been told */
void role_on_cgroup_changed(Role *role);

/* Why, and whether with SIGKILL at once. */
void role_stop(Role *role, RoleCause cause, bool kill, const Caller *caller);
void role_resume_stop(Role *role);  /* after a restart of the service */
void role_finish(Role *role);       /* exit is known: the role has ended */
void role_read_figures(Role *role); /* of its scope, into exit: while its cgroup is there */

/* SIGKILL to every process of it, also of one that is being undone. */
void role_kill_all(Role *role);
