/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the keeper knows about its own process from its start on. It does not change. */

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

struct keeper_self {
        pid_t pid;
        struct rlimit nofile; /* the inherited limit; the keeper raises its own, but not that of a role */
        char *arguments;      /* the command line that ps(1) shows, and its size */
        size_t arguments_size;
        sigset_t ignored;             /* signals; an exec makes all others default, and a child these */
        const char *terminal_program; /* path of architect-terminal */
        const char *program;          /* the path of the installed program, which may have been replaced */
        char **argv;                  /* the arguments of the installed program */
        const char *instance;         /* whose roles are its children */
        uint32_t protocol_max;        /* the newest version that HELLO offers */
};
