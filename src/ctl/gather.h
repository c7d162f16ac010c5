/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a verb prints for several hosts: its tables as one with the column HOST, its JSON as one array whose
 * objects have the member "host", its metrics as one text, and its text with the host before each line. A
 * host that has failed has a row, or an object, with the reason. */

#include <glib.h>
#include <stdio.h>

#include "ctl/baton.h"
#include "ctl/ctl.h"

typedef enum GatherMode {
        GATHER_IN_ORDER, /* nothing is printed before gather_print(), and the hosts in their order */
        GATHER_AT_ONCE,  /* text is printed as it comes, JSON by gather_print() */
        GATHER_STREAM,   /* both are printed as they come */
} GatherMode;

typedef struct Gather Gather;
typedef struct GatherHost GatherHost;

/* Takes what is printed from now on, as the sink of ctl.h; gather_free() ends that. */
Gather *gather_new(const Ctl *ctl, GatherMode mode);
Gather *gather_free(Gather *gather);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Gather, gather_free)

/* Adds a host, and sets up the baton of its thread, whose output belongs to it from then on. */
GatherHost *gather_add(Gather *gather, const char *name, Baton *baton);

/* Before this, nothing is printed: it may turn out that the command line is wrong. */
void gather_begin(Gather *gather);

/* The thread has ended, with this status. */
void gather_host_end(GatherHost *host, CtlExit e);

/* Prints what was not printed yet. */
CtlExit gather_print(Gather *gather);

/* Instead, prints what came from this host, without its name: a mistake in the command line is not of a host.
 */
void gather_print_alone(GatherHost *host);
