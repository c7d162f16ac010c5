/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* By which stream the output of a role gets to the journal.
 *
 * journald takes 4096 streams, and systemd stores each of them for journald and compares each new one with
 * all others: where there are 3000 already, that takes PID 1 3 ms for one more. So as long as the machine has
 * few streams a role has one of its own, and from then on up to 128 roles share one. journald reads from the
 * kernel who has sent what, so each line has the pid, the user and the unit of its role nevertheless. Only
 * SYSLOG_IDENTIFIER= belongs to the stream.
 *
 * The stream is a socket that its roles have in common: what one of them does to it, such as shutdown(2) or
 * O_NONBLOCK, it does to all. So those share one that run as the same user, and were started by the same one,
 * and all of them have a terminal or none has, because architect-terminal makes it non-blocking.
 *
 * The first role makes the stream, and sends it through its gate. Nothing of that is saved. The roles have
 * the stream, and the next process has the next role make another one. */

#include <systemd/sd-event.h>

#include "model/model-forward.h"
#include "proto/launch-request.h"

#define OUTPUTS_OWN_MAX 512U   /* streams of the machine, before roles share them */
#define OUTPUTS_ROLES_MAX 128U /* of one stream */

typedef struct OutputStream OutputStream;

/* What a launch request says about it. */
typedef struct OutputChoice {
        LaunchStream stream;
        int fd;    /* not owned; negative unless it is shared */
        uid_t uid; /* whose it is then */
} OutputChoice;

/* journald has a file for each of its streams in this directory. */
Outputs *outputs_new(Node *node, const char *directory);
Outputs *outputs_free(Outputs *outputs);

/* Chooses one for a role that starts, and counts the role. */
OutputChoice outputs_choose(Outputs *outputs, Role *role);

/* Its child has made one that others may have, too. Takes the descriptor. */
void outputs_offered(Outputs *outputs, Role *role, uid_t uid, int fd);

/* Its child shares none: it has one of its own, or, if it is lost, none at all. */
void outputs_not_shared(Outputs *outputs, Role *role, bool lost);

/* No process of the role is left. */
void outputs_role_gone(Outputs *outputs, Role *role);

/* Whether nothing of what the role says reaches the journal. It is saved, and the clients are told. */
void role_set_output_lost(Role *role, bool lost);
