/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/time-util.h"
#include "ctl/openmetrics.h"

typedef struct Family {
        const char *name, *type, *unit, *help;
        GString *samples;
} Family;

struct OpenMetrics {
        GPtrArray *families;
        Family *family; /* the last one that was begun */
        bool labelled;  /* the sample has a label */
};

static void family_free(void *p) {
        Family *family = p;

        (void) g_string_free(family->samples, TRUE);
        g_free(family);
}

OpenMetrics *openmetrics_new(void) {
        OpenMetrics *metrics = g_new0(OpenMetrics, 1);

        metrics->families = g_ptr_array_new_with_free_func(family_free);
        return metrics;
}

OpenMetrics *openmetrics_free(OpenMetrics *metrics) {
        if (!metrics)
                return NULL;
        g_ptr_array_unref(metrics->families);
        g_free(metrics);
        return NULL;
}

void openmetrics_family(
        OpenMetrics *metrics, const char *name, const char *type, const char *unit, const char *help) {
        for (guint i = 0; i < metrics->families->len; i++) {
                metrics->family = g_ptr_array_index(metrics->families, i);
                if (strcmp(metrics->family->name, name) == 0)
                        return;
        }
        metrics->family = g_new(Family, 1);
        *metrics->family = (Family){
                .name = name, .type = type, .unit = unit, .help = help, .samples = g_string_new(NULL)
        };
        g_ptr_array_add(metrics->families, metrics->family);
}

/* -- samples -- */

void openmetrics_begin(OpenMetrics *metrics) {
        const Family *family = metrics->family;

        g_string_append_printf(
                family->samples, "%s%s", family->name, strcmp(family->type, "counter") == 0 ? "_total" : "");
        metrics->labelled = false;
}

void openmetrics_label(OpenMetrics *metrics, const char *name, const char *value) {
        GString *out = metrics->family->samples;

        g_string_append_printf(out, "%c%s=\"", metrics->labelled ? ',' : '{', name);
        for (; *value; value++)
                if (*value == '\n')
                        g_string_append(out, "\\n");
                else if (*value == '"' || *value == '\\')
                        g_string_append_printf(out, "\\%c", *value);
                else
                        g_string_append_c(out, *value);
        g_string_append_c(out, '"');
        metrics->labelled = true;
}

void openmetrics_end(OpenMetrics *metrics, int64_t value) {
        g_string_append_printf(
                metrics->family->samples, "%s %" PRIi64 "\n", metrics->labelled ? "}" : "", value);
}

void openmetrics_end_usec(OpenMetrics *metrics, uint64_t usec) {
        g_string_append_printf(metrics->family->samples, "%s %" PRIu64 ".%06" PRIu64 "\n",
                metrics->labelled ? "}" : "", usec / USEC_PER_SEC, usec % USEC_PER_SEC);
}

/* -- all of them -- */

void openmetrics_add(OpenMetrics *metrics, const OpenMetrics *more) {
        for (guint i = 0; i < more->families->len; i++) {
                const Family *family = g_ptr_array_index(more->families, i);

                openmetrics_family(metrics, family->name, family->type, family->unit, family->help);
                g_string_append_len(
                        metrics->family->samples, family->samples->str, (gssize) family->samples->len);
        }
}

static GString *openmetrics_text(const OpenMetrics *metrics) {
        GString *text = g_string_new(NULL);

        for (guint i = 0; i < metrics->families->len; i++) {
                const Family *family = g_ptr_array_index(metrics->families, i);

                g_string_append_printf(text, "# HELP %s %s\n# TYPE %s %s\n", family->name, family->help,
                        family->name, family->type);
                if (family->unit)
                        g_string_append_printf(text, "# UNIT %s %s\n", family->name, family->unit);
                g_string_append_len(text, family->samples->str, (gssize) family->samples->len);
        }
        g_string_append(text, "# EOF\n");
        return text;
}

CtlExit openmetrics_write(const OpenMetrics *metrics, const char *path) {
        g_autoptr(GString) text = openmetrics_text(metrics);
        g_autoptr(GError) error = NULL;

        if (!path) {
                (void) fputs(text->str, stdout);
                return CTL_EXIT_OK;
        }
        /* A collector that reads meanwhile gets the old file or the new one. Another user runs it. */
        if (g_file_set_contents_full(
                    path, text->str, (gssize) text->len, G_FILE_SET_CONTENTS_CONSISTENT, 0644, &error))
                return CTL_EXIT_OK;
        ctl_error("cannot write the metrics: %s", error->message);
        return CTL_EXIT_FAILED;
}
