/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A shutdown under way, in the runtime directory. After a crash the next process completes it, with the same
 * reason and the same caller. */

#include "model/caller.h"
#include "model/fault.h"

#define SHUTDOWN_FILE "shutdown"
#define SHUTDOWN_REASON_MAX 1024 /* characters */

typedef struct Shutdown {
        char *reason; /* NULL if there is none */
        Caller caller;
} Shutdown;

void shutdown_clear(Shutdown *shutdown);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Shutdown, shutdown_clear)

/* Fails with InvalidArgs if the reason is longer. */
int shutdown_check_reason(const char *reason, Fault *fault);

/* Returns a negative errno. A negative dir_fd saves nothing and is no error. */
int shutdown_save(int dir_fd, const char *reason, const Caller *caller);
/* A damaged file is logged, renamed, and treated as a shutdown without a reason, because its existence
 * matters most. */
void shutdown_load(int dir_fd, Shutdown *ret);
void shutdown_forget(int dir_fd);
