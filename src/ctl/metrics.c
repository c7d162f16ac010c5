/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The verb "metrics": OpenMetrics about the node and its roles. What systemd counts for the scopes (CPU,
 * memory, tasks) is not repeated here. */

#include <string.h>

#include "base/time-util.h"
#include "ctl/details.h"
#include "ctl/openmetrics.h"
#include "ctl/verb.h"

typedef struct Metrics {
        const Ctl *ctl;
        const CtlNode *node;
        const GPtrArray *roles;
        OpenMetrics *out;
} Metrics;

/* The instance is a label of all, so that the files of several can be collected together. "instance" is the
 * target for Prometheus. The host is one if there are several. */
static void metrics_begin(Metrics *m) {
        openmetrics_begin(m->out);
        if (m->ctl->many)
                openmetrics_label(m->out, "host", m->ctl->host);
        openmetrics_label(m->out, "architect_instance", m->ctl->instance);
}

static void metrics_gauge(Metrics *m, const char *name, const char *help, int64_t value) {
        openmetrics_family(m->out, name, "gauge", NULL, help);
        metrics_begin(m);
        openmetrics_end(m->out, value);
}

/* -- the node -- */

static void metrics_node(Metrics *m) {
        const CtlNode *node = m->node;

        openmetrics_family(m->out, "architect_build_info", "gauge", NULL, "The version of architect-node.");
        metrics_begin(m);
        openmetrics_label(m->out, "version", node->version);
        openmetrics_end(m->out, 1);
        metrics_gauge(m, "architect_roles", "The number of roles that are known.", node->n_roles);
        metrics_gauge(
                m, "architect_roles_running", "The number of roles that have not ended.", node->n_running);
        metrics_gauge(m, "architect_warnings", "The number of warnings of the service.",
                g_strv_length(node->warnings));
        metrics_gauge(m, "architect_keeper_connected", "Whether there is a connection with the keeper.",
                node->keeper_connected);
        openmetrics_family(
                m->out, "architect_events", "counter", NULL, "The events of roles and of the service.");
        metrics_begin(m);
        openmetrics_end(m->out, (int64_t) node->event_sequence);
        openmetrics_family(m->out, "architect_monitor_timeout_seconds", "gauge", "seconds",
                "The longest time from one beat to the next; 0 if the monitor is off.");
        metrics_begin(m);
        openmetrics_end_usec(m->out, node->timeout_usec);
}

/* The deadline is one of CLOCK_MONOTONIC, with which nobody else can do anything. */
static void metrics_deadline(Metrics *m) {
        int64_t left;

        if (!ctl_node_deadline(m->ctl, m->node, &left))
                return;
        openmetrics_family(m->out, "architect_monitor_deadline_timestamp_seconds", "gauge", "seconds",
                "When the next beat is due, in seconds since 1970.");
        metrics_begin(m);
        openmetrics_end_usec(m->out, (uint64_t) ((int64_t) now_usec(CLOCK_REALTIME) + left));
}

/* -- the roles -- */

static void metrics_begin_role(Metrics *m, const CtlDetails *role) {
        metrics_begin(m);
        openmetrics_label(m->out, "role", role->name);
}

static bool role_running(const CtlDetails *role) {
        return strcmp(role->state, "ended") != 0;
}

static void metrics_flags(
        Metrics *m, const char *name, const char *help, bool (*get)(const CtlDetails *role)) {
        openmetrics_family(m->out, name, "gauge", NULL, help);
        for (guint i = 0; i < m->roles->len; i++) {
                const CtlDetails *role = g_ptr_array_index(m->roles, i);

                metrics_begin_role(m, role);
                openmetrics_end(m->out, get(role));
        }
}

static bool role_is_ready(const CtlDetails *role) {
        return role->ready;
}

static void metrics_role_start_times(Metrics *m) {
        openmetrics_family(m->out, "architect_role_start_time_seconds", "gauge", "seconds",
                "When the command was executed, in seconds since 1970.");
        for (guint i = 0; i < m->roles->len; i++) {
                const CtlDetails *role = g_ptr_array_index(m->roles, i);

                if (role->start_usec == 0)
                        continue;
                metrics_begin_role(m, role);
                openmetrics_end_usec(m->out, role->start_usec);
        }
}

/* As the property: the number of the signal with the codes killed and dumped, -1 with lost. */
static void metrics_role_exit_statuses(Metrics *m) {
        openmetrics_family(m->out, "architect_role_exit_status", "gauge", NULL,
                "How a role has ended that does not run.");
        for (guint i = 0; i < m->roles->len; i++) {
                const CtlDetails *role = g_ptr_array_index(m->roles, i);

                if (role_running(role))
                        continue;
                metrics_begin_role(m, role);
                openmetrics_label(m->out, "code", role->exit_code);
                openmetrics_end(m->out, role->exit_status);
        }
}

static void metrics_role_restarts(Metrics *m) {
        openmetrics_family(m->out, "architect_role_restarts", "counter", NULL,
                "How often the policy of the role has started it again.");
        for (guint i = 0; i < m->roles->len; i++) {
                const CtlDetails *role = g_ptr_array_index(m->roles, i);

                metrics_begin_role(m, role);
                openmetrics_end(m->out, role->n_restarts);
        }
}

static void metrics_roles(Metrics *m) {
        metrics_flags(m, "architect_role_running", "Whether the role has not ended.", role_running);
        metrics_flags(
                m, "architect_role_ready", "Whether the role is what its type promises.", role_is_ready);
        metrics_flags(m, "architect_role_failed", "Whether the role has failed, and nothing starts it again.",
                ctl_details_have_failed);
        metrics_role_start_times(m);
        metrics_role_exit_statuses(m);
        metrics_role_restarts(m);
}

/* -- the verb -- */

static CtlExit metrics_get(Ctl *ctl, OpenMetrics *out) {
        g_autoptr(GPtrArray) roles = NULL;
        g_auto(CtlNode) node = {};
        Metrics metrics = { .ctl = ctl, .node = &node, .out = out };

        CtlExit e = ctl_get_node(ctl, NULL, &node);
        if (e == CTL_EXIT_OK)
                e = ctl_get_details(ctl, NULL, NULL, &roles);
        /* Of several hosts the others have samples, and what is missing must not look as if it were well. */
        if (ctl->many)
                metrics_gauge(&metrics, "architect_up", "Whether the service of the host has replied.",
                        e == CTL_EXIT_OK);
        if (e != CTL_EXIT_OK)
                return e;
        metrics.roles = roles;
        metrics_node(&metrics);
        metrics_deadline(&metrics);
        metrics_roles(&metrics);
        return CTL_EXIT_OK;
}

CtlExit verb_metrics(Ctl *ctl, int argc, char *argv[]) {
        enum { ARG_OUTPUT = CTL_OPTION_OWN };
        static const struct option options[] = {
                { "output", required_argument, NULL, ARG_OUTPUT },
                { 0 },
        };
        g_autoptr(OpenMetrics) out = openmetrics_new();
        const char *path = NULL;
        CtlExit e = CTL_EXIT_OK;
        int c;

        while ((c = ctl_getopt(ctl, argc, argv, NULL, options, &e)) >= 0)
                path = optarg;
        if (c == CTL_OPTION_EXIT)
                return e;
        e = ctl_check_arguments(argc, argv, 0, 0);
        if (e != CTL_EXIT_OK)
                return e;
        e = metrics_get(ctl, out);
        if (ctl->many) {
                ctl_sink->metrics(g_steal_pointer(&out), path);
                return e;
        }
        return e == CTL_EXIT_OK ? openmetrics_write(out, path) : e;
}
