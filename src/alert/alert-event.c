/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <string.h>

#include "alert/alert-event.h"
#include "client/properties.h"

#define MEMBER(key, type, member) \
        { key, type, offsetof(AlertEvent, member) }

static const Property event_details[] = {
        MEMBER("code", "s", code),
        MEMBER("status", "i", status),
        MEMBER("cause", "s", cause),
        MEMBER("result", "s", result),
        MEMBER("oom-kill", "b", oom_kill),
        MEMBER("n-restarts", "u", n_restarts),
        MEMBER("lease", "s", lease),
        MEMBER("timeout-usec", "t", timeout_usec),
};

AlertEvent *alert_event_free(AlertEvent *event) {
        if (!event)
                return NULL;
        properties_clear(event_details, ELEMENTSOF(event_details), event);
        g_free(event->epoch);
        g_free(event->signal);
        g_free(event->role);
        g_free(event->json);
        g_free(event);
        return NULL;
}

/* -- what it is -- */

/* Nobody has asked for this end. */
static bool cause_is_own(const char *cause) {
        static const char *const own[] = { "self", "timeout", "watchdog", "oom", "external", NULL };

        return g_strv_contains(own, cause ?: "");
}

/* A service of an older version does not say the result. */
static bool exit_is_failure(const AlertEvent *e) {
        return e->result ? !g_str_equal(e->result, "success")
                         : e->status != 0 || g_strcmp0(e->code, "exited") != 0;
}

static unsigned exit_kinds(const AlertEvent *e) {
        unsigned kinds = 0;

        if (cause_is_own(e->cause) && exit_is_failure(e))
                kinds |= ALERT_KIND_BIT(ALERT_FAILED);
        if (e->oom_kill || g_strcmp0(e->cause, "oom") == 0)
                kinds |= ALERT_KIND_BIT(ALERT_OOM);
        if (g_strcmp0(e->code, "lost") == 0)
                kinds |= ALERT_KIND_BIT(ALERT_LOST);
        return kinds;
}

static unsigned event_kinds(const AlertEvent *e) {
        if (g_str_equal(e->signal, "RoleExited"))
                return exit_kinds(e);
        if (g_str_equal(e->signal, "RoleFailed"))
                return ALERT_KIND_BIT(ALERT_GAVE_UP);
        if (g_str_equal(e->signal, "MonitorTimedOut") || g_str_equal(e->signal, "LeaseExpired"))
                return ALERT_KIND_BIT(ALERT_MONITOR);
        return 0;
}

int alert_event_read(const NodeEvent *event, sd_bus_message *m, AlertEvent **ret) {
        g_autoptr(AlertEvent) e = g_new0(AlertEvent, 1);
        g_autoptr(GString) json = g_string_new(NULL);

        e->seq = event->seq;
        e->realtime_usec = event->realtime_usec;
        e->epoch = g_strdup(event->epoch);
        e->signal = g_strdup(event->signal);
        e->role = g_strdup(event->role);
        int r = event_append_json(json, event, m, NULL);
        /* The details once more, from the beginning of their structure. */
        if (r >= 0)
                r = sd_bus_message_rewind(m, false);
        if (r >= 0)
                r = sd_bus_message_skip(m, "ttss");
        if (r >= 0)
                r = properties_read(m, event_details, ELEMENTSOF(event_details), e);
        if (r < 0)
                return r;
        e->json = g_string_free(g_steal_pointer(&json), false);
        e->kinds = event_kinds(e);
        *ret = g_steal_pointer(&e);
        return 0;
}

AlertKind alert_event_kind(const AlertEvent *event, const Alert *alert) {
        for (AlertKind kind = 0; kind < _ALERT_KIND_MAX; kind++)
                if (event->kinds & alert->kinds & ALERT_KIND_BIT(kind))
                        return kind;
        return _ALERT_KIND_INVALID;
}

/* -- in words -- */

static void append_exit(GString *text, const AlertEvent *e) {
        if (g_strcmp0(e->code, "lost") == 0) {
                g_string_append(text, "how it ended is not known");
                return;
        }
        const char *signal = g_strcmp0(e->code, "exited") == 0 ? NULL : sigabbrev_np(e->status);

        if (g_strcmp0(e->code, "exited") == 0)
                g_string_append_printf(text, "exit status %" PRIi32, e->status);
        else
                g_string_append_printf(text, "%s by SIG%s", e->code ?: "ended", signal ?: "?");
        if (e->result && !g_str_equal(e->result, "exit-code") && !g_str_equal(e->result, "signal"))
                g_string_append_printf(text, ", %s", e->result);
        if (e->cause && !g_str_equal(e->cause, "self"))
                g_string_append_printf(text, ", cause %s", e->cause);
}

char *alert_event_describe(const AlertEvent *e, AlertKind kind) {
        g_autoptr(GString) text = g_string_new(NULL);

        if (e->role[0])
                g_string_append_printf(text, "role %s ", e->role);
        switch (kind) {
        case ALERT_GAVE_UP:
                g_string_append_printf(text, "gave up after %" PRIu32 " restarts: %s", e->n_restarts,
                        e->result ?: "unknown");
                break;
        case ALERT_MONITOR:
                g_string_append_printf(text, "no beat of %s%s within %.3g s",
                        e->lease ? "the lease " : "the monitor", e->lease ?: "",
                        (double) e->timeout_usec / (double) USEC_PER_SEC);
                break;
        case ALERT_LOST:
                g_string_append(text, "is gone, and how it ended is not known");
                break;
        case ALERT_OOM:
                g_string_append(text, "ran out of memory: ");
                append_exit(text, e);
                break;
        default:
                g_string_append(text, "failed: ");
                append_exit(text, e);
                break;
        }
        return g_string_free(g_steal_pointer(&text), false);
}

static void add_variable(GStrvBuilder *b, const char *name, const char *value) {
        g_autofree char *assignment = g_strconcat(name, "=", value, NULL);

        g_strv_builder_add(b, assignment);
}

static void add_number(GStrvBuilder *b, const char *name, uint64_t value) {
        g_autofree char *text = g_strdup_printf("%" PRIu64, value);

        add_variable(b, name, text);
}

char **alert_event_environment(
        const AlertEvent *e, const Alert *alert, const char *instance, const char *host) {
        const AlertKind kind = alert_event_kind(e, alert);
        g_autofree char *message = alert_event_describe(e, kind);
        g_autoptr(GStrvBuilder) b = g_strv_builder_new();
        g_autoptr(GDateTime) utc = g_date_time_new_from_unix_utc((int64_t) (e->realtime_usec / USEC_PER_SEC));
        g_autoptr(GDateTime) local = utc ? g_date_time_to_local(utc) : NULL;
        g_autofree char *when = local ? g_date_time_format_iso8601(local) : NULL;

        add_variable(b, "ARCHITECT_EVENT", alert_kind_to_string(kind));
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
