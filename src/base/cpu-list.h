/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A set of CPUs, written as CPUAffinity= of systemd.exec(5): numbers and ranges with spaces or commas between
 * them, "0-3 5,7". Uses libc only. */

#include <stdbool.h>

#define CPU_LIST_MAX 8192U /* CPUs, as many as Linux supports */
#define CPU_LIST_BITS (8U * sizeof(unsigned long))

typedef struct CpuList {
        unsigned long bits[CPU_LIST_MAX / CPU_LIST_BITS]; /* for sched_setaffinity(2) */
} CpuList;

/* Adds the CPUs. Returns -EINVAL if the text names none or is something else, -ERANGE for a number that is
 * too large. Then the list is not valid. */
int cpu_list_parse(const char *text, CpuList *list);

/* Returns the shortest text, "0-3 5 7", or NULL without memory. The caller frees it. */
char *cpu_list_format(const CpuList *list);
