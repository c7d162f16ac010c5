/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* cmocka wants these four before itself. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Each program that is linked with unit-test.c: a failing assertion in a forked child writes its text to stderr and ends the
 * child with this exit status; of the tests that are left the child runs none. */
#define TEST_CHILD_FAILED 99

/* The value of a variable that meson sets for the test. Without it the program ends, and its message names the variable and
 * the command to use. Called before the first fork. */
const char *required_environment(const char *variable);
