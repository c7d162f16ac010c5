/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* An event of the node as people are told of it: of what kind it is, and in words. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "base/string-table.h"
#include "client/events.h"

/* An event may be several of them; the first one names it. */
typedef enum IncidentKind {
        INCIDENT_GAVE_UP,
        INCIDENT_MONITOR,
        INCIDENT_LOST,
        INCIDENT_OOM,
        INCIDENT_FAILED,
        _INCIDENT_KIND_MAX,
        _INCIDENT_KIND_INVALID = -EINVAL,
} IncidentKind;

DECLARE_STRING_TABLE(incident_kind, IncidentKind);

#define INCIDENT_BIT(kind) (1U << (kind))
#define INCIDENT_ALL (INCIDENT_BIT(_INCIDENT_KIND_MAX) - 1)

typedef struct Incident {
        uint64_t seq, realtime_usec;
        char *epoch, *signal, *role;
        char *json;     /* as architectctl monitor prints it */
        unsigned kinds; /* of INCIDENT_BIT(); 0: nobody is told of it */
        bool old;       /* from before, so nobody is told; for its reader */

        /* Of the details; NULL or 0 if it has none. */
        char *code, *cause, *result, *lease;
        int32_t status;
        bool oom_kill;
        uint32_t n_restarts;
        uint64_t timeout_usec;
} Incident;

Incident *incident_free(Incident *incident);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Incident, incident_free)

/* Reads an event whose details, an a{sv}, come next in the structure that was entered. Returns a negative
 * errno. */
int incident_read(const NodeEvent *event, sd_bus_message *m, Incident **ret);

/* Returns the kind that names it among these kinds, or a negative number if it has none of them. */
IncidentKind incident_kind(const Incident *incident, unsigned kinds);

/* Returns what is said to a person, in one line: the role, what has happened to it, and the reason. The
 * caller frees it. */
char *incident_describe(const Incident *incident, IncidentKind kind);

/* The parts of that: what has happened, as "failed", which is static; and the reason, as "exit status 3",
 * which the caller frees. */
const char *incident_verb(IncidentKind kind);
char *incident_reason(const Incident *incident, IncidentKind kind);
