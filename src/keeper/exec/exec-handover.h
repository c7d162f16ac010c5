/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reserved ports that are released by the exec: the keeper lets go of them before it, and gets them back if it fails. */

#include "keeper/exec/exec-parameters.h"

/* Has the keeper let go of them and waits until it has; nothing if there are none. */
int exec_handover_begin(const struct child_sockets *sockets);

/* A child that fails gives back what it has got from exec_handover_begin(). */
void exec_handover_undo(void);
