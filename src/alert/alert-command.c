/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>

#include "alert/alert-command.h"
#include "client/transient.h"
#include "util/autoptr.h"

/* After SIGTERM. */
#define STOP_TIMEOUT_USEC (5 * USEC_PER_SEC)

static int append_commands(sd_bus_message *m, const Alert *alert) {
        int r = transient_open_commands(m);

        for (unsigned i = 0; r >= 0 && i < alert->commands->len; i++) {
                const AlertCommand *command = g_ptr_array_index(alert->commands, i);

                r = transient_append_command(m, command->words, command->ignore_failure);
        }
        return r < 0 ? r : transient_close_commands(m);
}

static int append_user(sd_bus_message *m, const Alert *alert) {
        if (!alert->user)
                return transient_append(m, "DynamicUser", "b", 1);
        int r = transient_append(m, "User", "s", alert->user);
        return r < 0 || !alert->group ? r : transient_append(m, "Group", "s", alert->group);
}

int alert_command_new(sd_bus *bus, const Alert *alert, const Incident *event, const char *instance,
        const char *host, sd_bus_message **ret) {
        g_autoptr(sd_bus_message) m = NULL;
        g_autofree char *unit = g_strdup_printf(
                "architect-alert-%s-%s-%" PRIu64 ".service", alert->name, instance, event->seq);
        g_autofree char *message = incident_describe(event, incident_kind(event, alert->kinds));
        g_autofree char *description = g_strdup_printf("Alert %s: %s", alert->name, message);
        g_auto(GStrv) environment = alert_event_environment(event, alert, instance, host);

        int r = transient_new(bus, unit, &m);
        if (r >= 0)
                r = transient_append(m, "Description", "s", description);
        if (r >= 0)
                r = transient_append(m, "Type", "s", "oneshot");
        if (r >= 0)
                r = transient_append(m, "CollectMode", "s", "inactive-or-failed");
        if (r >= 0)
                r = transient_append(m, "TimeoutStartUSec", "t", alert->timeout_usec);
        if (r >= 0)
                r = transient_append(m, "TimeoutStopUSec", "t", STOP_TIMEOUT_USEC);
        if (r >= 0)
                r = append_user(m, alert);
        if (r >= 0)
                r = transient_append_environment(m, environment);
        if (r >= 0)
                r = append_commands(m, alert);
        if (r >= 0)
                r = transient_end(m);
        if (r >= 0)
                *ret = g_steal_pointer(&m);
        return r;
}
