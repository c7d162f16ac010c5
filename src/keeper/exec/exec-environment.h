/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The environment of a role. */

#include <stdbool.h>

#include "keeper/exec/exec-user.h"
#include "proto/launch-request.h"

/* TERM of a role on a terminal, unless its environment contains another value. */
#define DEFAULT_TERM "xterm-256color"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* The order follows the design; the last value of a name is used. This adds the variables that the node sets
 * for all roles, and those of the user. Returns a negative errno. */
int environment_begin(
        const LaunchRequest *request, const struct identity *who, bool has_terminal, char ***ret);
/* Stores what a product set-up begins with: the result of environment_begin() and the variables of the role,
 * except those that would change how a shell works. These are for the command only. Returns a negative
 * errno. */
int environment_for_setup(const LaunchRequest *request, char *const *begun, char ***ret);
/* Adds the variables of the role, and those that describe the role, to the result of environment_begin() or
 * to what a product set-up has made of it. Returns a negative errno. */
int environment_finish(const LaunchRequest *request, char *const *begun, char ***ret);

/* Stores a new array of the strings of both, which may be NULL, with the last assignment of each name. The
 * strings remain those of the caller. Returns a negative errno. */
int environment_merge(char *const *base, char *const *more, char ***ret);

/* Stores a new array of what differs in the second environment, sorted by name: its assignments, and the
 * names alone of those that it does not have. The strings of assignments remain those of the caller. Each
 * name is at most once in an environment. Returns a negative errno. */
int environment_changes(char *const *before, char *const *after, char ***ret);

/* Returns whether the assignment is that of a shell function, or its name is one of these. */
bool assignment_is_of_shell(const char *assignment, const char *const *names, size_t n_names);

/* Returns the value of a name, or NULL. */
const char *environment_get(char *const *env, const char *name);

/* Where commands are searched for. This is PATH, or the default of execvp(3) after a set-up has unset it. */
struct search_path {
        bool is_default;
        char value[64]; /* the default path */
        const char *path;
};
void environment_search_path(char *const *env, struct search_path *ret);

/* For messages; expands to "PATH ..." and the reason why this path is used. */
#define SEARCH_PATH_FORMAT "%sPATH %s%s"
#define SEARCH_PATH_ARGUMENTS(p) \
        (p)->is_default ? "the default " : "", QUOTED((p)->path), \
                (p)->is_default ? " (its set-up has unset PATH)" : ""
