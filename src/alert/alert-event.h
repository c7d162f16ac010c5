/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What an event of the node is for an alert. */

#include <glib.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "alert/alert-settings.h"
#include "client/events.h"

typedef struct AlertEvent {
        uint64_t seq, realtime_usec;
        char *epoch, *signal, *role;
        char *json;     /* as architectctl monitor prints it */
        unsigned kinds; /* of ALERT_KIND_BIT(); 0: no alert waits for it */
        bool old;       /* from before, so nobody is told */

        /* Of the details; NULL or 0 if it has none. */
        char *code, *cause, *result, *lease;
        int32_t status;
        bool oom_kill;
        uint32_t n_restarts;
        uint64_t timeout_usec;
} AlertEvent;

AlertEvent *alert_event_free(AlertEvent *event);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AlertEvent, alert_event_free)

/* Reads an event whose details, an a{sv}, come next in the structure that was entered. Returns a negative
 * errno. */
int alert_event_read(const NodeEvent *event, sd_bus_message *m, AlertEvent **ret);

/* Returns what is said to a person, in one line. The caller frees it. */
char *alert_event_describe(const AlertEvent *event, AlertKind kind);

/* Returns the variables of a command. The caller frees them with g_strfreev(). */
char **alert_event_environment(
        const AlertEvent *event, const Alert *alert, const char *instance, const char *host);

/* Returns the kind of the event that names it for this alert, or a negative number if it has none of them. */
AlertKind alert_event_kind(const AlertEvent *event, const Alert *alert);
