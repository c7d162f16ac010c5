/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <string.h>

#include "base/time-util.h"
#include "client/incident.h"
#include "client/properties.h"

static const char *const incident_kind_table[_INCIDENT_KIND_MAX] = {
        [INCIDENT_GAVE_UP] = "gave-up",
        [INCIDENT_MONITOR] = "monitor",
        [INCIDENT_LOST] = "lost",
        [INCIDENT_OOM] = "oom",
        [INCIDENT_FAILED] = "failed",
};

DEFINE_STRING_TABLE(incident_kind, IncidentKind, incident_kind_table);

#define MEMBER(key, type, member) \
        { key, type, offsetof(Incident, member) }

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

Incident *incident_free(Incident *incident) {
        if (!incident)
                return NULL;
        properties_clear(event_details, ELEMENTSOF(event_details), incident);
        g_free(incident->epoch);
        g_free(incident->signal);
        g_free(incident->role);
        g_free(incident->json);
        g_free(incident);
        return NULL;
}

/* -- what it is -- */

/* Nobody has asked for this end. */
static bool cause_is_own(const char *cause) {
        static const char *const own[] = { "self", "timeout", "watchdog", "oom", "external", NULL };

        return g_strv_contains(own, cause ?: "");
}

/* A service of an older version does not say the result. */
static bool exit_is_failure(const Incident *e) {
        return e->result ? !g_str_equal(e->result, "success")
                         : e->status != 0 || g_strcmp0(e->code, "exited") != 0;
}

static unsigned exit_kinds(const Incident *e) {
        unsigned kinds = 0;

        if (cause_is_own(e->cause) && exit_is_failure(e))
                kinds |= INCIDENT_BIT(INCIDENT_FAILED);
        if (e->oom_kill || g_strcmp0(e->cause, "oom") == 0)
                kinds |= INCIDENT_BIT(INCIDENT_OOM);
        if (g_strcmp0(e->code, "lost") == 0)
                kinds |= INCIDENT_BIT(INCIDENT_LOST);
        return kinds;
}

static unsigned event_kinds(const Incident *e) {
        if (g_str_equal(e->signal, "RoleExited"))
                return exit_kinds(e);
        if (g_str_equal(e->signal, "RoleFailed"))
                return INCIDENT_BIT(INCIDENT_GAVE_UP);
        if (g_str_equal(e->signal, "MonitorTimedOut") || g_str_equal(e->signal, "LeaseExpired"))
                return INCIDENT_BIT(INCIDENT_MONITOR);
        return 0;
}

int incident_read(const NodeEvent *event, sd_bus_message *m, Incident **ret) {
        g_autoptr(Incident) e = g_new0(Incident, 1);
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

IncidentKind incident_kind(const Incident *incident, unsigned kinds) {
        for (IncidentKind kind = 0; kind < _INCIDENT_KIND_MAX; kind++)
                if (incident->kinds & kinds & INCIDENT_BIT(kind))
                        return kind;
        return _INCIDENT_KIND_INVALID;
}

/* -- in words -- */

static void append_exit(GString *text, const Incident *e) {
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

const char *incident_verb(IncidentKind kind) {
        static const char *const verbs[_INCIDENT_KIND_MAX] = {
                [INCIDENT_GAVE_UP] = "gave up",
                [INCIDENT_MONITOR] = "no beat",
                [INCIDENT_LOST] = "is gone",
                [INCIDENT_OOM] = "ran out of memory",
                [INCIDENT_FAILED] = "failed",
        };

        return (int) kind >= 0 && kind < _INCIDENT_KIND_MAX ? verbs[kind] : verbs[INCIDENT_FAILED];
}

char *incident_reason(const Incident *incident, IncidentKind kind) {
        g_autoptr(GString) text = g_string_new(NULL);

        switch (kind) {
        case INCIDENT_GAVE_UP:
                g_string_append_printf(text, "after %" PRIu32 " restarts: %s", incident->n_restarts,
                        incident->result ?: "unknown");
                break;
        case INCIDENT_MONITOR:
                g_string_append_printf(text, "of %s%s within %.3g s",
                        incident->lease ? "the lease " : "the monitor", incident->lease ?: "",
                        (double) incident->timeout_usec / (double) USEC_PER_SEC);
                break;
        default:
                append_exit(text, incident);
                break;
        }
        return g_string_free(g_steal_pointer(&text), false);
}

char *incident_describe(const Incident *incident, IncidentKind kind) {
        static const char *const joints[_INCIDENT_KIND_MAX] = {
                [INCIDENT_GAVE_UP] = " ",
                [INCIDENT_MONITOR] = " ",
                [INCIDENT_LOST] = ", and ",
                [INCIDENT_OOM] = ": ",
                [INCIDENT_FAILED] = ": ",
        };
        g_autofree char *reason = incident_reason(incident, kind);
        const char *joint = (int) kind >= 0 && kind < _INCIDENT_KIND_MAX ? joints[kind] : ": ";

        return g_strconcat(incident->role[0] ? "role " : "", incident->role, incident->role[0] ? " " : "",
                incident_verb(kind), joint, reason, NULL);
}
