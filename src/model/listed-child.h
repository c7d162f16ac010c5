/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the keeper reports of each of its children after a connection. */

#include <errno.h>

#include "model/role.h"

/* The state of a role's child, according to the keeper. */
typedef enum ChildReport {
        CHILD_NONE,     /* the keeper does not have it */
        CHILD_STARTING, /* it has not executed its command */
        CHILD_RUNNING,
        CHILD_ENDED,
        CHILD_UNKNOWN, /* it has ended, with an unknown exit */
        CHILD_ORPHAN,  /* child of a dead keeper, which alone knew the progress of its start */
        _CHILD_REPORT_MAX,
        _CHILD_REPORT_INVALID = -EINVAL,
} ChildReport;

DECLARE_STRING_TABLE(child_report, ChildReport);

/* A child as the keeper lists it. The callee takes the descriptors, which are negative if they do not
 * exist. */
typedef struct ListedChild {
        uint64_t child;     /* its number */
        const char *role;   /* its name */
        ChildReport report; /* neither CHILD_NONE nor CHILD_ORPHAN */
        bool orphan;        /* child of a dead keeper */
        pid_t pid;
        uint64_t start_time;
        bool execed;
        RoleExit exit; /* valid if it has ended */
        int pidfd;
        int gate_fd;
        int stdin_fd;
        int terminal_fd;
} ListedChild;

#define LISTED_CHILD_NONE \
        ((ListedChild){ .pidfd = -EBADF, .gate_fd = -EBADF, .stdin_fd = -EBADF, .terminal_fd = -EBADF })

void listed_child_close_fds(ListedChild *listed);
