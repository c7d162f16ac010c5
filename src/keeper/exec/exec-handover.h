/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reserved ports that are released by the exec. The keeper closes them before the exec, and gets them back if
 * the exec fails. */

#include "keeper/exec/exec-parameters.h"

/* Makes the keeper close the ports and waits until it has done so; does nothing if there are none. Returns a
 * negative errno. */
int exec_handover_begin(const struct child_sockets *sockets);

/* Gives the ports of exec_handover_begin() back. A child that fails calls this. */
void exec_handover_undo(void);
