/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The keeper as systemd has it: its death, its replacement, and what systemd keeps for it. */

#include <stdbool.h>
#include <sys/types.h>

#include "bus.h"

/* SIGKILLs it; there is another one then, and the node is connected with it. */
void keeper_crash_and_wait(Bus *bus);

/* How many descriptors systemd keeps for it, and waits for so many: one is the state, if there is anything. */
guint keeper_stored(Bus *bus);
void keeper_wait_stored(Bus *bus, guint n);

/* The end of a role whose parent was gone: told by the kernel, where that has pidfd-info, or "lost". */
void expect_end(
        Bus *bus, const char *role, const char *code, int status, const char *poll, const char *cause);

/* systemctl reload; its exit status. */
int keeper_reload(void);

/* A drop-in of this text for its unit; NULL: none any more. It is in force for the next keeper. */
void keeper_configure(const char *text);
