/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A process that a child runs in its set-up, with all that this one starts. It leads a process group. The
 * child is their subreaper and has SIGCHLD blocked meanwhile, so no process escapes it. */

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

typedef struct Subprocess {
        pid_t pid;
        bool reaped; /* the number may belong to another process */
        int status;  /* valid if reaped, as from wait(2) */
} Subprocess;

/* The time left until a deadline on CLOCK_MONOTONIC, which is not USEC_INFINITY. */
struct timespec timespec_until(uint64_t deadline);

/* Begins: makes this process the subreaper, and blocks SIGCHLD, and signo if that is not 0. Returns a
 * negative errno. *ret_mask is for subprocess_done(), which restores it. */
int subprocess_prepare(int signo, sigset_t *ret_mask);
int subprocess_done(const sigset_t *mask);

/* Waits until the process itself has ended. Returns false if the deadline (CLOCK_MONOTONIC, or USEC_INFINITY)
 * has passed before. */
bool subprocess_wait(Subprocess *s, uint64_t deadline);

/* Ends it and all processes that it has started: SIGTERM, and a little later SIGKILL. Returns false if one of
 * them is left; ret_pids then names those. */
#define SUBPROCESS_PIDS_SIZE 64
bool subprocess_end_all(Subprocess *s, char ret_pids[static SUBPROCESS_PIDS_SIZE]);
