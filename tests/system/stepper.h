/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Holds a service before one of its system calls by ptrace(2), without its help. What other processes can
 * observe changes only at certain calls. So a death before each of these calls in turn covers every possible
 * death. */

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

typedef struct Stepper Stepper;

/* The calls end with -1. The process continues to run until stepper_run(). */
Stepper *stepper_new(pid_t pid, const long *calls);
/* Detaches the process, whether it is held or dead. */
void stepper_free(Stepper *stepper);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Stepper, stepper_free)

/* Continues up to the nth (from 1) of those calls, before which the process is held. Returns false if it did
 * not reach that call before it was idle and "over" was true. */
bool stepper_run(Stepper *stepper, guint n, bool (*over)(void *userdata), void *userdata);
