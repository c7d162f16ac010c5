/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Holds a service before one of its system calls, without its help: ptrace(2). What anybody else can see of a process changes at
 * certain calls only; a death before each of these in turn is every death there is. */

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

typedef struct Stepper Stepper;

/* The calls end with -1. It runs on until stepper_run(). */
Stepper *stepper_new(pid_t pid, const long *calls);
/* Lets it go, whether it is held or dead. */
void stepper_free(Stepper *stepper);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Stepper, stepper_free)

/* To before the nth (from 1) of those calls, where it is held. False: it came not so far before there was nothing more to do
 * for it, and "over" was true. */
bool stepper_run(Stepper *stepper, guint n, bool (*over)(void *userdata), void *userdata);
