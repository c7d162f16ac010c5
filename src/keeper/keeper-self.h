/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the keeper knows of its own process from the start on, and what does not change. */

#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

struct keeper_self {
        pid_t pid;
        struct rlimit nofile; /* as we found it; ours is raised, a role's is not */
        char *arguments;      /* where ps(1) finds our command line, and its size */
        size_t arguments_size;
        const char *terminal_program; /* path of architect-terminal */
        const char *program;          /* the path it was installed at; another program may be there by now */
        char **argv;                  /* to start that with */
        uint32_t protocol_max;        /* the newest version we admit to */
};
