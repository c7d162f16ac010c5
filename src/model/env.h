/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The environment that roles begin with: what the configuration says, changed by SetEnv and UnsetEnv. Never the environment of
 * this service. What was set survives a restart of the service: the file "environment" in the runtime directory. */

#include <glib.h>
#include <stdbool.h>

#include "model/fault.h"
#include "model/model-forward.h"

#define ENV_VARIABLES_MAX 1000U
#define ENV_SIZE_MAX (256U * 1024U) /* bytes, all together: a command must still fit beside them */

/* A portable name: a letter or '_', then letters, digits and '_'. */
bool env_name_is_valid(const char *name);

/* dir_fd: where it is saved; -1: nowhere (tests). A file that cannot be read is set aside with an error. */
int env_open(int dir_fd, Env **ret);
Env *env_close(Env *env);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Env, env_close)

/* A user's service: what its roles begin with includes the way to the user's bus. From the next env_set_base() on. */
void env_set_user(Env *env);

/* The configuration's part: NAME=VALUE. What was set or unset by calls stays above it. */
void env_set_base(Env *env, char **base);

int env_get(Env *env, const char *name, const char **ret, Fault *fault); /* NoSuchVariable */
int env_set(Env *env, const char *name, const char *value, Fault *fault);
int env_unset(Env *env, const char *name, Fault *fault); /* NoSuchVariable */

/* After a clean end: the next service begins with the configuration. */
void env_forget(Env *env);

/* NAME=VALUE, sorted by name. The caller g_strfreev()s. */
char **env_list(Env *env);
