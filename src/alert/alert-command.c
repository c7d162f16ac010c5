/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>

#include "alert/alert-command.h"
#include "util/autoptr.h"

/* After SIGTERM. */
#define STOP_TIMEOUT_USEC (5 * USEC_PER_SEC)

static int append_property(sd_bus_message *m, const char *name, const char *type, ...) {
        va_list ap;

        int r = sd_bus_message_open_container(m, 'r', "sv");
        if (r >= 0)
                r = sd_bus_message_append_basic(m, 's', name);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', type);
        if (r >= 0) {
                va_start(ap, type);
                r = sd_bus_message_appendv(m, type, ap);
                va_end(ap);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_environment(sd_bus_message *m, char **environment) {
        int r = sd_bus_message_open_container(m, 'r', "sv");

        if (r >= 0)
                r = sd_bus_message_append_basic(m, 's', "Environment");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "as");
        if (r >= 0)
                r = sd_bus_message_append_strv(m, environment);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_command(sd_bus_message *m, const AlertCommand *command) {
        int r = sd_bus_message_open_container(m, 'r', "sasb");

        if (r >= 0)
                r = sd_bus_message_append_basic(m, 's', command->words[0]);
        if (r >= 0)
                r = sd_bus_message_append_strv(m, command->words);
        if (r >= 0)
                r = sd_bus_message_append(m, "b", (int) command->ignore_failure);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_commands(sd_bus_message *m, const Alert *alert) {
        int r = sd_bus_message_open_container(m, 'r', "sv");

        if (r >= 0)
                r = sd_bus_message_append_basic(m, 's', "ExecStart");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "a(sasb)");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(sasb)");
        for (unsigned i = 0; r >= 0 && i < alert->commands->len; i++)
                r = append_command(m, g_ptr_array_index(alert->commands, i));
        for (int depth = 0; r >= 0 && depth < 3; depth++)
                r = sd_bus_message_close_container(m);
        return r;
}

static int append_user(sd_bus_message *m, const Alert *alert) {
        if (!alert->user)
                return append_property(m, "DynamicUser", "b", 1);
        int r = append_property(m, "User", "s", alert->user);
        return r < 0 || !alert->group ? r : append_property(m, "Group", "s", alert->group);
}

int alert_command_new(sd_bus *bus, const Alert *alert, const AlertEvent *event, const char *instance,
        const char *host, sd_bus_message **ret) {
        g_autoptr(sd_bus_message) m = NULL;
        g_autofree char *unit = g_strdup_printf(
                "architect-alert-%s-%s-%" PRIu64 ".service", alert->name, instance, event->seq);
        g_autofree char *message = alert_event_describe(event, alert_event_kind(event, alert));
        g_autofree char *description = g_strdup_printf("Alert %s: %s", alert->name, message);
        g_auto(GStrv) environment = alert_event_environment(event, alert, instance, host);

        int r = sd_bus_message_new_method_call(bus, &m, "org.freedesktop.systemd1",
                "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "StartTransientUnit");
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", unit, "fail");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(sv)");
        if (r >= 0)
                r = append_property(m, "Description", "s", description);
        if (r >= 0)
                r = append_property(m, "Type", "s", "oneshot");
        if (r >= 0)
                r = append_property(m, "CollectMode", "s", "inactive-or-failed");
        if (r >= 0)
                r = append_property(m, "TimeoutStartUSec", "t", alert->timeout_usec);
        if (r >= 0)
                r = append_property(m, "TimeoutStopUSec", "t", STOP_TIMEOUT_USEC);
        if (r >= 0)
                r = append_user(m, alert);
        if (r >= 0)
                r = append_environment(m, environment);
        if (r >= 0)
                r = append_commands(m, alert);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_message_append(m, "a(sa(sv))", 0);
        if (r >= 0)
                *ret = g_steal_pointer(&m);
        return r;
}
