/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/ctl.h"

/* From here on stdout goes into a pager, if it is a terminal and --no-pager is not given: $SYSTEMD_PAGER or
 * $PAGER, as a command for the shell, otherwise less. Without a pager, or after "cat" or an empty value,
 * nothing changes. Called several times it does this once. */
void pager_open(const Ctl *ctl);

/* Waits until the user leaves the pager. main() calls it at the end. */
void pager_close(void);
