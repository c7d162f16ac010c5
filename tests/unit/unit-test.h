/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* cmocka requires these four before itself. */

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

/* This applies to each program that is linked with unit-test.c. A failing assertion in a forked child writes
 * its text to stderr and ends the child with this exit status. The child runs no further tests. */
#define TEST_CHILD_FAILED 99

/* Returns the value of a variable that meson sets for the test. Without it the program ends with a message
 * that names the variable and the command to use. Called before the first fork. */
const char *required_environment(const char *variable);
