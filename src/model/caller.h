/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The process that asked for something, as far as the bus knows it. */

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

typedef struct Caller {
        bool known; /* false: nobody did, or the bus does not know; the rest means nothing */
        uid_t uid;
        pid_t pid;
        char *unit; /* the systemd unit it is in; may be NULL */
} Caller;

/* Frees what was in *to first; from may be NULL. */
void caller_copy(Caller *to, const Caller *from);
void caller_clear(Caller *caller);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Caller, caller_clear)
