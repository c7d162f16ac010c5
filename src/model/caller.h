/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The process that made a call, as far as the bus knows it. */

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

typedef struct Caller {
        /* False if no process made the call or the bus does not know it; then the rest is not valid. */
        bool known;
        uid_t uid;
        pid_t pid;
        char *unit; /* the systemd unit of the process, may be NULL */
} Caller;

/* Frees the previous content of *to. from may be NULL. */
void caller_copy(Caller *to, const Caller *from);
void caller_clear(Caller *caller);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Caller, caller_clear)
