/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Lines for the journal, on stderr, with the priority in front as sd-daemon(3) has it. Only what somebody has to know:
 * the keeper is quiet. */

#include <stdio.h>
#include <unistd.h>

#define log_error(fmt, ...) ((void) dprintf(STDERR_FILENO, "<3>" fmt "\n", ##__VA_ARGS__))
#define log_warning(fmt, ...) ((void) dprintf(STDERR_FILENO, "<4>" fmt "\n", ##__VA_ARGS__))
