/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* architect-terminal reads what the user of a role writes. It is started by the keeper with the rights of
 * that, and gives them away before it has read the first byte. */

#include <stdbool.h>
#include <sys/types.h>

/* Takes the user and the group, without other groups and without capabilities, cannot be traced by processes
 * of that user, and from then on makes only the system calls of terminal_run(). With send_as it keeps the one
 * capability without which the journal would not attribute the output to the role; it has no system call on
 * which that has another effect. A process without privileges remains what it is. Returns a negative errno,
 * -EINVAL if the user or the group is -1, which is nobody's number. */
int terminal_confine(uid_t uid, gid_t gid, bool send_as);
