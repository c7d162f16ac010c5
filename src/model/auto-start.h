/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Definitions with AutoStart=yes are started once after each start of the service, which is the first one
 * after boot, a "systemctl start" or a call that activates it. They are not started again by the next process
 * after a restart, a crash or an upgrade, in which the roles live on.
 *
 * What distinguishes the two is the file "auto-start" in the runtime directory: it says that this was done,
 * and the end of a shutdown takes that back. It also has the roles that somebody has stopped by hand, which
 * stay stopped until the next boot, or until somebody starts them. */

#include <stdbool.h>

#include "model/model-forward.h"

#define AUTO_START_FILE "auto-start"

/* A negative dir_fd saves nothing. A file that is damaged is logged, and read as that of a restart. */
AutoStart *auto_start_open(int dir_fd);
AutoStart *auto_start_close(AutoStart *auto_start); /* NULL is allowed */

/* Called when the roles of the previous process are up to date. Starts the roles that are to be started. */
void auto_start_run(Node *node);

/* Somebody has stopped or started the role. */
void auto_start_stopped(Node *node, const char *name);
void auto_start_started(Node *node, const char *name);
/* Returns whether a role with a definition stays stopped for that. */
bool auto_start_was_stopped(const Node *node, const char *name);

/* Between the two, which a caller uses for many roles at once, nothing is saved, and the second one saves it
 * all; otherwise each of thousands would write the names of all. Replies come after it. They nest. */
void auto_start_hold(Node *node);
void auto_start_release(Node *node);

/* At the end of a shutdown. If it was clean, the file remains only if it has roles. */
void auto_start_end(AutoStart *auto_start, bool clean);
