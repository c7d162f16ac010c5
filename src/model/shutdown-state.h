/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A shutdown under way, in the runtime directory: whoever comes after a crash in the middle of it ends it, for the same
 * reason and in the name of the same caller. */

#include "model/caller.h"
#include "model/fault.h"

#define SHUTDOWN_FILE "shutdown"
#define SHUTDOWN_REASON_MAX 1024 /* characters */

typedef struct Shutdown {
        char *reason; /* NULL: there is none */
        Caller caller;
} Shutdown;

void shutdown_clear(Shutdown *shutdown);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Shutdown, shutdown_clear)

/* InvalidArgs when it is longer than that. */
int shutdown_check_reason(const char *reason, Fault *fault);

int shutdown_save(int dir_fd, const char *reason, const Caller *caller);
/* What is damaged is logged and set aside, and counts as a shutdown without a reason: that there is one is what matters. */
int shutdown_load(int dir_fd, Shutdown *ret);
void shutdown_forget(int dir_fd);
