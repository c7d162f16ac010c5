/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* cmocka requires these four before itself. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
/* cmocka 2 has a macro of this name. */
#undef stop

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Both ends are included. (The one of cmocka 1 is deprecated in cmocka 2, and those of cmocka 2 do not exist
 * in cmocka 1.) */
#define assert_between(value, low, high) \
        do { \
                uint64_t _value = (uint64_t) (value), _low = (uint64_t) (low), _high = (uint64_t) (high); \
                if (_value < _low || _value > _high) \
                        fail_msg("%s is %" PRIu64 ", not between %" PRIu64 " and %" PRIu64, #value, _value, \
                                _low, _high); \
        } while (0)

/* This applies to each program that is linked with unit-test.c. A failing assertion in a forked child writes
 * its text to stderr and ends the child with this exit status. The child runs no further tests. */
#define TEST_CHILD_FAILED 99

/* Returns the value of a variable that meson sets for the test. Without it the program ends with a message
 * that names the variable and the command to use. Called before the first fork. */
const char *required_environment(const char *variable);

/* The line begins with a time in the format of terminal/output.h, which is not older than a moment, and goes
 * on with this text. Returns what follows that. */
const char *assert_stamped(const char *line, const char *text);
