/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A directory for one test, as the runtime directory of the tested code. */

#include "unit-test.h"

typedef struct Directory {
        char *path;
        int fd;
} Directory;

/* A fixture of cmocka; *state is the Directory. Messages are not shown. */
int directory_setup(void **state);

/* Removes these files, which may be missing, and the directory. The test fails if another file is left in it.
 * The list ends with NULL. */
int directory_teardown(void **state, const char *const *files);
