/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Cases of a syntax of sections and assignments. */

#include "unit-test.h"

#include <glib.h>
#include <string.h>

/* A text, and what is read from it: "1:[A]" is a section header in line 1, "2:A.k=v" an assignment in line 2
 * with its section, and "3!reason" an error. A size of 0 is the length of the text. */
typedef struct SyntaxCase {
        const char *text;
        const char *expected;
        size_t size;
} SyntaxCase;

/* read_all() returns what is read from a text in this form, which is freed. */
static inline void syntax_check(
        const SyntaxCase *cases, size_t n, char *(*read_all)(const char *text, size_t size)) {
        for (size_t i = 0; i < n; i++) {
                g_autofree char *items = read_all(cases[i].text, cases[i].size ?: strlen(cases[i].text));

                if (!g_str_equal(items, cases[i].expected))
                        fail_msg("\"%s\"\nis read as \"%s\"\ninstead of \"%s\"", cases[i].text, items,
                                cases[i].expected);
        }
}
