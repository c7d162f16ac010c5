/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu-list.h"
#include "base/macro.h"
#include "base/parse-util.h"

#define SEPARATORS " \t\n\r,"

static bool cpu_list_has(const CpuList *list, unsigned cpu) {
        return list->bits[cpu / CPU_LIST_BITS] & (1UL << cpu % CPU_LIST_BITS);
}

static int cpu_parse(const char *text, unsigned *ret) {
        uint64_t number;

        int r = parse_u64(text, &number);
        if (r < 0)
                return r;
        if (number >= CPU_LIST_MAX)
                return -ERANGE;
        *ret = (unsigned) number;
        return 0;
}

/* "3" or "0-3" */
static int cpu_list_add(CpuList *list, char *word) {
        char *dash = strchr(word, '-');
        unsigned first, last;
        int r;

        if (dash)
                *dash = '\0';
        r = cpu_parse(word, &first);
        if (r < 0)
                return r;
        last = first;
        if (dash)
                r = cpu_parse(dash + 1, &last);
        if (r < 0)
                return r;
        if (last < first)
                return -EINVAL;
        for (unsigned i = first; i <= last; i++)
                list->bits[i / CPU_LIST_BITS] |= 1UL << i % CPU_LIST_BITS;
        return 0;
}

int cpu_list_parse(const char *text, CpuList *list) {
        _cleanup_free_ char *copy = strdup(text);
        char *state = NULL;
        int n = 0, r;

        if (!copy)
                return -ENOMEM;
        for (char *word = strtok_r(copy, SEPARATORS, &state); word;
                word = strtok_r(NULL, SEPARATORS, &state)) {
                r = cpu_list_add(list, word);
                if (r < 0)
                        return r;
                n++;
        }
        return n > 0 ? 0 : -EINVAL;
}

char *cpu_list_format(const CpuList *list) {
        const size_t room = CPU_LIST_MAX * sizeof("8191");
        _cleanup_free_ char *text = malloc(room);
        size_t n = 0;

        if (!text)
                return NULL;
        text[0] = '\0';
        for (unsigned i = 0, last; i < CPU_LIST_MAX; i = last + 1) {
                last = i;
                if (!cpu_list_has(list, i))
                        continue;
                while (last + 1 < CPU_LIST_MAX && cpu_list_has(list, last + 1))
                        last++;
                n += (size_t) snprintf(text + n, room - n, "%s%u", n > 0 ? " " : "", i);
                if (last > i)
                        n += (size_t) snprintf(text + n, room - n, "-%u", last);
        }
        return strdup(text);
}
