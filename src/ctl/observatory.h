/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* An observatory: the hosts and roles of one file, which architect-node.observatory(5) documents. It is in
 * the syntax of util/unit-file.h, with the sections [Observatory], [Host NAME] and [Role NAME]; a role has
 * the keys of role files, and Host=. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "ctl/start-args.h"

#define OBSERVATORY_SUFFIX ".observatory"
/* What is managed by an observatory has managed-by=desk:NAME#FINGERPRINT. */
#define OBSERVATORY_MANAGER "desk:"

typedef struct Observatory Observatory;
typedef struct ObservatoryHost ObservatoryHost;
typedef struct ObservatoryRole ObservatoryRole;

struct ObservatoryHost {
        char *name;
        char *address;  /* [USER@]HOST[:PORT] for ssh */
        char *instance; /* of the service */
        bool local;     /* it is this machine, and there is no ssh */
        unsigned line;
        GHashTable *roles; /* name → ObservatoryRole, which it does not own */
};

/* One role on one host. */
struct ObservatoryRole {
        char *name;
        ObservatoryHost *host;
        unsigned line;
        StartArgs args;   /* as the service of the host gets it; without a fencing token */
        char *manager;    /* its managed-by */
        GPtrArray *after; /* of ObservatoryRole: what is started before it, on any host; sorted by nothing */
        GPtrArray *needs; /* those of them without which it is not started */
        GPtrArray *stops_with; /* what it is stopped with: the same, and those of PartOf= */
        GPtrArray *followers;  /* those that are after it, and are stopped before it */
        void *step;            /* the caller's */
};

struct Observatory {
        char *path, *name;
        char *lease; /* NULL for none */
        uint64_t lease_timeout_usec, beat_usec;
        GPtrArray *hosts; /* of ObservatoryHost, in the order of the file, as the next one */
        GPtrArray *roles; /* of ObservatoryRole; each is after those that it waits for */
};

Observatory *observatory_free(Observatory *observatory);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Observatory, observatory_free)

/* Reads a text, whose path is for messages and for the default of its name; text[size] is NUL, and is
 * changed. Adds "PATH:LINE: REASON" to errors for each thing that is wrong, and returns NULL then. */
Observatory *observatory_parse(const char *path, char *text, size_t size, GPtrArray *errors);

/* Reads the file that a word on the command line means: a path, or the name of NAME.observatory in
 * ~/.config/architect-node or /etc/architect-node. Reports what is wrong. */
CtlExit observatory_load(const char *word, Observatory **ret);

/* Whether this managed-by is of the observatory, with any fingerprint. */
bool observatory_manages(const Observatory *observatory, const char *managed_by);
