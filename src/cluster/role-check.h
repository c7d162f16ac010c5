/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A command that finds out whether a role does its work, which nobody but its author can know. */

#include <stdint.h>

typedef struct RoleCheck {
        char **command;
        const char *user;       /* "": that of this process */
        const char *directory;  /* "": the root directory */
        uint64_t deadline_usec; /* CLOCK_MONOTONIC; it is killed then */
} RoleCheck;

/* Runs the command to its end, and returns NULL if it has exited with 0. Otherwise it returns how it has
 * ended, with the last line that it has written, which the caller frees. No process of it is left that has
 * not left its process group. */
char *role_check_run(const RoleCheck *check);
