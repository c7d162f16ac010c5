/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A role's environment. */

#include <stdbool.h>

#include "keeper/exec/exec-user.h"
#include "proto/launch-request.h"

/* What a role on a terminal is told of it, unless its environment says otherwise. */
#define DEFAULT_TERM "xterm-256color"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* In the order of the design; of one name the last value counts. What the node gives to all, and what the user has: */
int environment_begin(
        const LaunchRequest *request, const struct identity *who, bool has_terminal, char ***ret);
/* Onto that, or what a product set-up has made of it, the role's own, and what the role is. */
int environment_finish(const LaunchRequest *request, char *const *begun, char ***ret);

/* The value of a name, or NULL. */
const char *environment_get(char *const *env, const char *name);

/* Where commands are searched for: PATH, or what execvp(3) takes in its place after a set-up has unset it. */
struct search_path {
        bool is_default;
        char value[64]; /* the default one */
        const char *path;
};
void environment_search_path(char *const *env, struct search_path *ret);

/* For messages: "PATH ..." in words, and why it is that. */
#define SEARCH_PATH_FORMAT "%sPATH %s%s"
#define SEARCH_PATH_ARGUMENTS(p) \
        (p)->is_default ? "the default " : "", QUOTED((p)->path), \
                (p)->is_default ? " (its set-up has unset PATH)" : ""
