/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The files of alerts, which architect-alert.conf(5) describes: each is one alert. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/incident.h"

#define ALERTS_DIRECTORY "/etc/architect-node/alerts.d"

typedef struct AlertCommand {
        char **words; /* the first one is the program */
        bool ignore_failure;
} AlertCommand;

typedef struct Alert {
        char *name;          /* of the file, without .conf */
        unsigned kinds;      /* of INCIDENT_BIT() */
        char **roles;        /* patterns; empty: all roles */
        char **groups;       /* empty: all */
        char **instances;    /* at least one */
        GPtrArray *commands; /* of AlertCommand *, in their order, at least one */
        char *user;          /* NULL: a dynamic one */
        char *group;         /* NULL: that of the user */
        uint64_t timeout_usec;
        uint64_t rate_interval_usec; /* 0: no limit */
        uint32_t rate_burst;         /* 0: no limit */

        /* Of the time that runs since rate_begin_usec. */
        uint64_t rate_begin_usec;
        uint32_t rate_n;
        uint64_t n_suppressed; /* since the last command that was run */
} Alert;

Alert *alert_free(Alert *alert);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Alert, alert_free)

/* Reads all files NAME.conf of the directory with their drop-ins. A file that is not valid is no alert, and
 * *ret_problems has a line for it, with file, line and reason; the others are read all the same. Neither is
 * NULL, and the caller frees both. */
void alerts_load(const char *directory, GPtrArray **ret_alerts /* of Alert * */,
        GPtrArray **ret_problems /* of char * */);

/* Returns whether the alert is to be run for something of these kinds. role is empty for an event of the
 * service itself, which has no name and no group to compare. groups is NULL if they are not known. */
bool alert_matches(
        const Alert *alert, unsigned kinds, const char *instance, const char *role, char *const *groups);

/* Returns whether the command may be run now, and counts it, or what is suppressed. The time is that of
 * CLOCK_MONOTONIC. */
bool alert_take(Alert *alert, uint64_t now);
