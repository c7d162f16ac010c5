/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A directory that a test has for itself, as the runtime directory of the code it tests. */

#include "unit-test.h"

typedef struct Directory {
        char *path;
        int fd;
} Directory;

/* As cmocka's fixtures: *state is the Directory. Messages are not shown. */
int directory_setup(void **state);

/* Removes these files, which may be there, and the directory: the test fails if anything else is left in it. The list ends with
 * NULL. */
int directory_teardown(void **state, const char *const *files);
