/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The text format OpenMetrics, in the subset that is Prometheus' older format, too, because the textfile
 * collector of node_exporter reads only that: no type "info" or "stateset". */

#include <glib.h>
#include <stdint.h>

#include "ctl/ctl.h"

/* Families in the order in which they were begun, each with its samples in one piece. */
typedef struct OpenMetrics OpenMetrics;

OpenMetrics *openmetrics_new(void);
OpenMetrics *openmetrics_free(OpenMetrics *metrics);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(OpenMetrics, openmetrics_free)

/* Begins a family, whose samples come next. unit may be NULL. The strings are not copied. */
void openmetrics_family(
        OpenMetrics *metrics, const char *name, const char *type, const char *unit, const char *help);

/* A sample of this family: its labels, and its value at the end. A counter has the suffix "_total". */
void openmetrics_begin(OpenMetrics *metrics);
void openmetrics_label(OpenMetrics *metrics, const char *name, const char *value);
void openmetrics_end(OpenMetrics *metrics, int64_t value);
void openmetrics_end_usec(OpenMetrics *metrics, uint64_t usec); /* in seconds; the microseconds stay */

/* Adds the samples of other metrics to the families of these. */
void openmetrics_add(OpenMetrics *metrics, const OpenMetrics *more);

/* Writes them to this file, which is replaced in one step, or to stdout if path is NULL. */
CtlExit openmetrics_write(const OpenMetrics *metrics, const char *path);
