/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>

#include "alert/alert-event.h"

static void add_variable(GStrvBuilder *b, const char *name, const char *value) {
        g_autofree char *assignment = g_strconcat(name, "=", value, NULL);

        g_strv_builder_add(b, assignment);
}

static void add_number(GStrvBuilder *b, const char *name, uint64_t value) {
        g_autofree char *text = g_strdup_printf("%" PRIu64, value);

        add_variable(b, name, text);
}

char **alert_event_environment(
        const Incident *e, const Alert *alert, const char *instance, const char *host) {
        const IncidentKind kind = incident_kind(e, alert->kinds);
        g_autofree char *message = incident_describe(e, kind);
        g_autoptr(GStrvBuilder) b = g_strv_builder_new();
        g_autoptr(GDateTime) utc = g_date_time_new_from_unix_utc((int64_t) (e->realtime_usec / USEC_PER_SEC));
        g_autoptr(GDateTime) local = utc ? g_date_time_to_local(utc) : NULL;
        g_autofree char *when = local ? g_date_time_format_iso8601(local) : NULL;

        add_variable(b, "ARCHITECT_EVENT", incident_kind_to_string(kind));
        add_variable(b, "ARCHITECT_MESSAGE", message);
        add_variable(b, "ARCHITECT_ALERT", alert->name);
        add_variable(b, "ARCHITECT_HOST", host);
        add_variable(b, "ARCHITECT_INSTANCE", instance);
        add_variable(b, "ARCHITECT_ROLE", e->role);
        add_variable(b, "ARCHITECT_SIGNAL", e->signal);
        add_variable(b, "ARCHITECT_EPOCH", e->epoch);
        add_number(b, "ARCHITECT_SEQ", e->seq);
        add_number(b, "ARCHITECT_REALTIME_USEC", e->realtime_usec);
        add_variable(b, "ARCHITECT_TIME", when ?: "");
        add_number(b, "ARCHITECT_SUPPRESSED", alert->n_suppressed);
        if (e->code) {
                g_autofree char *status = g_strdup_printf("%" PRIi32, e->status);

                add_variable(b, "ARCHITECT_CODE", e->code);
                add_variable(b, "ARCHITECT_STATUS", status);
        }
        if (e->cause)
                add_variable(b, "ARCHITECT_CAUSE", e->cause);
        if (e->result)
                add_variable(b, "ARCHITECT_RESULT", e->result);
        if (g_str_equal(e->signal, "RoleFailed"))
                add_number(b, "ARCHITECT_N_RESTARTS", e->n_restarts);
        if (e->lease)
                add_variable(b, "ARCHITECT_LEASE", e->lease);
        if (e->timeout_usec > 0)
                add_number(b, "ARCHITECT_TIMEOUT_USEC", e->timeout_usec);
        add_variable(b, "ARCHITECT_JSON", e->json);
        return g_strv_builder_end(b);
}
