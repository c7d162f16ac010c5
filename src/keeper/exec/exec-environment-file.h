/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Files of variables, as EnvironmentFile= of systemd reads them. */

#include <stddef.h>

#include "proto/launch-request.h"

/* The variables of a text, each NAME=VALUE; the array ends with NULL. */
struct variables {
        char **list;
        size_t n, room;
        char *ignored; /* the name of the first one that is no name of a variable, or NULL */
};

void variables_clear(struct variables *variables);

/* Adds those of the text, which is terminated by NUL. A line is a comment that begins with # or ;, or
 * NAME=VALUE, with white space around both removed. Within '...' nothing is special. Within "..." a backslash
 * escapes one of $`"\ and the end of a line, and outside of both any character, so that a line which ends in
 * one goes on in the next. Returns -ENOMEM, or -EILSEQ for a value that is not UTF-8. */
int variables_parse(struct variables *variables, const char *text);

/* Adds the variables of the environment files to q->environment, where they replace those of the same
 * name. A file that does not exist is ignored if its path begins with '-', and a path may be a pattern of
 * glob(7). Everything else that cannot be read ends the process with a report. Called before the process
 * becomes the user of the role, who need not be able to read them. */
void environment_read_files(int gate_fd, LaunchRequest *q);
