/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Every enum has one way to strings and back, with a table with designated initializers, NAME_to_string() and
 * NAME_from_string(). An enum ends with _X_MAX and _X_INVALID = -EINVAL, so that a failed conversion is its
 * own errno. to_string() returns NULL for a value outside the table. tests/unit/test-base-tables.c converts
 * every value in both directions. */

#include <errno.h>
#include <string.h>

#include "base/macro.h"

#define DECLARE_STRING_TABLE(name, type) \
        const char *name##_to_string(type value); \
        type name##_from_string(const char *s)

#define DEFINE_STRING_TABLE(name, type, table) \
        const char *name##_to_string(type value) { \
                return (int) value < 0 || (size_t) value >= ELEMENTSOF(table) ? NULL : table[value]; \
        } \
        type name##_from_string(const char *s) { \
                for (size_t i = 0; s && i < ELEMENTSOF(table); i++) \
                        if (table[i] && strcmp(table[i], s) == 0) \
                                return (type) i; \
                return (type) -EINVAL; \
        } \
        struct name##_string_table_semicolon
