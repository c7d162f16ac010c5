/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The verb "metrics": OpenMetrics, in the subset that is Prometheus' older text format, too, because the
 * textfile collector of node_exporter reads only that: no type "info" or "stateset". What systemd counts for
 * the scopes (CPU, memory, tasks) is not repeated here. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/time-util.h"
#include "ctl/details.h"
#include "ctl/verb.h"

typedef struct Metrics {
        const CtlNode *node;
        const GPtrArray *roles;
        GString *out;
} Metrics;

static void metrics_append_escaped(GString *out, const char *text) {
        for (; *text; text++)
                if (*text == '\n')
                        g_string_append(out, "\\n");
                else if (*text == '"' || *text == '\\')
                        g_string_append_printf(out, "\\%c", *text);
                else
                        g_string_append_c(out, *text);
}

static void metrics_family(
        Metrics *m, const char *name, const char *type, const char *unit, const char *help) {
        g_string_append_printf(m->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
        if (unit)
                g_string_append_printf(m->out, "# UNIT %s %s\n", name, unit);
}

static void metrics_label(Metrics *m, const char *name, const char *value) {
        g_string_append_printf(m->out, ",%s=\"", name);
        metrics_append_escaped(m->out, value);
        g_string_append_c(m->out, '"');
}

/* The instance is a label of all, so that the files of several can be collected together. "instance" is the
 * target for Prometheus. */
static void metrics_begin(Metrics *m, const char *name) {
        g_string_append_printf(m->out, "%s{architect_instance=\"", name);
        metrics_append_escaped(m->out, m->node->instance);
        g_string_append_c(m->out, '"');
}

static void metrics_end(Metrics *m, uint64_t value) {
        g_string_append_printf(m->out, "} %" PRIu64 "\n", value);
}

/* Base units. The microseconds stay. */
static void metrics_end_usec(Metrics *m, uint64_t usec) {
        g_string_append_printf(
                m->out, "} %" PRIu64 ".%06" PRIu64 "\n", usec / USEC_PER_SEC, usec % USEC_PER_SEC);
}

static void metrics_begin_role(Metrics *m, const char *name, const CtlDetails *role) {
        metrics_begin(m, name);
        metrics_label(m, "role", role->name);
}

/* -- the node -- */

static void metrics_gauge(Metrics *m, const char *name, const char *help, uint64_t value) {
        metrics_family(m, name, "gauge", NULL, help);
        metrics_begin(m, name);
        metrics_end(m, value);
}

static void metrics_node(Metrics *m) {
        const CtlNode *node = m->node;

        metrics_family(m, "architect_build_info", "gauge", NULL, "The version of architect-node.");
        metrics_begin(m, "architect_build_info");
        metrics_label(m, "version", node->version);
        metrics_end(m, 1);
        metrics_gauge(m, "architect_roles", "The number of roles that are known.", node->n_roles);
        metrics_gauge(
                m, "architect_roles_running", "The number of roles that have not ended.", node->n_running);
        metrics_gauge(m, "architect_warnings", "The number of warnings of the service.",
                g_strv_length(node->warnings));
        metrics_gauge(m, "architect_keeper_connected", "Whether there is a connection with the keeper.",
                node->keeper_connected);
        metrics_family(m, "architect_events", "counter", NULL, "The events of roles and of the service.");
        metrics_begin(m, "architect_events_total");
        metrics_end(m, node->event_sequence);
        metrics_family(m, "architect_monitor_timeout_seconds", "gauge", "seconds",
                "The longest time from one beat to the next; 0 if the monitor is off.");
        metrics_begin(m, "architect_monitor_timeout_seconds");
        metrics_end_usec(m, node->timeout_usec);
}

/* The deadline is one of CLOCK_MONOTONIC, with which nobody else can do anything. */
static void metrics_deadline(const Ctl *ctl, Metrics *m) {
        static const char name[] = "architect_monitor_deadline_timestamp_seconds";
        int64_t left;

        if (!ctl_node_deadline(ctl, m->node, &left))
                return;
        metrics_family(m, name, "gauge", "seconds", "When the next beat is due, in seconds since 1970.");
        metrics_begin(m, name);
        metrics_end_usec(m, (uint64_t) ((int64_t) now_usec(CLOCK_REALTIME) + left));
}

/* -- the roles -- */

static bool role_running(const CtlDetails *role) {
        return strcmp(role->state, "ended") != 0;
}

static void metrics_flags(
        Metrics *m, const char *name, const char *help, bool (*get)(const CtlDetails *role)) {
        metrics_family(m, name, "gauge", NULL, help);
        for (guint i = 0; i < m->roles->len; i++) {
                const CtlDetails *role = g_ptr_array_index(m->roles, i);

                metrics_begin_role(m, name, role);
                metrics_end(m, get(role));
        }
}

static bool role_is_ready(const CtlDetails *role) {
        return role->ready;
}

static void metrics_role_start_times(Metrics *m) {
        static const char name[] = "architect_role_start_time_seconds";

        metrics_family(m, name, "gauge", "seconds", "When the command was executed, in seconds since 1970.");
        for (guint i = 0; i < m->roles->len; i++) {
                const CtlDetails *role = g_ptr_array_index(m->roles, i);

                if (role->start_usec == 0)
                        continue;
                metrics_begin_role(m, name, role);
                metrics_end_usec(m, role->start_usec);
        }
}

/* As the property: the number of the signal with the codes killed and dumped, -1 with lost. */
static void metrics_role_exit_statuses(Metrics *m) {
        static const char name[] = "architect_role_exit_status";

        metrics_family(m, name, "gauge", NULL, "How a role has ended that does not run.");
        for (guint i = 0; i < m->roles->len; i++) {
                const CtlDetails *role = g_ptr_array_index(m->roles, i);

                if (role_running(role))
                        continue;
                metrics_begin_role(m, name, role);
                metrics_label(m, "code", role->exit_code);
                g_string_append_printf(m->out, "} %" PRIi32 "\n", role->exit_status);
        }
}

static void metrics_role_restarts(Metrics *m) {
        metrics_family(m, "architect_role_restarts", "counter", NULL,
                "How often the policy of the role has started it again.");
        for (guint i = 0; i < m->roles->len; i++) {
                const CtlDetails *role = g_ptr_array_index(m->roles, i);

                metrics_begin_role(m, "architect_role_restarts_total", role);
                metrics_end(m, role->n_restarts);
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

static CtlExit metrics_write(const Metrics *m, const char *path) {
        g_autoptr(GError) error = NULL;

        if (!path) {
                (void) fputs(m->out->str, stdout);
                return CTL_EXIT_OK;
        }
        /* A collector that reads meanwhile gets the old file or the new one. Another user runs it. */
        if (g_file_set_contents_full(
                    path, m->out->str, (gssize) m->out->len, G_FILE_SET_CONTENTS_CONSISTENT, 0644, &error))
                return CTL_EXIT_OK;
        ctl_error("cannot write the metrics: %s", error->message);
        return CTL_EXIT_FAILED;
}

CtlExit verb_metrics(Ctl *ctl, int argc, char *argv[]) {
        enum { ARG_OUTPUT = CTL_OPTION_OWN };
        static const struct option options[] = {
                { "output", required_argument, NULL, ARG_OUTPUT },
                { 0 },
        };
        g_autoptr(GString) out = g_string_new(NULL);
        g_autoptr(GPtrArray) roles = NULL;
        g_auto(CtlNode) node = {};
        const char *path = NULL;
        CtlExit e = CTL_EXIT_OK;
        int c;

        while ((c = ctl_getopt(ctl, argc, argv, NULL, options, &e)) >= 0)
                path = optarg;
        if (c == CTL_OPTION_EXIT)
                return e;
        e = ctl_check_arguments(argc, argv, 0, 0);
        if (e == CTL_EXIT_OK)
                e = ctl_get_node(ctl, NULL, &node);
        if (e == CTL_EXIT_OK)
                e = ctl_get_details(ctl, NULL, NULL, &roles);
        if (e != CTL_EXIT_OK)
                return e;
        Metrics metrics = { .node = &node, .roles = roles, .out = out };
        metrics_node(&metrics);
        metrics_deadline(ctl, &metrics);
        metrics_roles(&metrics);
        g_string_append(out, "# EOF\n");
        return metrics_write(&metrics, path);
}
