/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The environment with which each role begins. It consists of the variables of the configuration, changed by
 * SetEnv and UnsetEnv, and never contains the environment of this service. The changes survive a restart of
 * the service, in the file "environment" of the runtime directory. */

#include <glib.h>
#include <stdbool.h>

#include "model/fault.h"
#include "model/model-forward.h"

#define ENV_VARIABLES_MAX 1000U
/* Bytes of all variables together; they must leave room for the command in execve(). */
#define ENV_SIZE_MAX (256U * 1024U)

/* A portable name begins with a letter or '_', followed by letters, digits and '_'. */
bool env_name_is_valid(const char *name);

/* Returns whether this is the name of the variable NAME=VALUE. */
bool env_variable_is(const char *variable, const char *name);

/* dir_fd is the directory of the saved file, which the caller keeps open; -1 saves nothing (for tests). A
 * file that cannot be read is renamed and logged as an error. Returns a negative errno if that fails. */
int env_open(int dir_fd, Env **ret);
Env *env_close(Env *env);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Env, env_close)

/* Only the service of a user calls this. The base then also contains the variables that lead to the user's
 * bus, from the next call of env_set_base() on. */
void env_set_user(Env *env);

/* Sets the part of the configuration, as NAME=VALUE. Variables that a call has set or unset take
 * precedence. */
void env_set_base(Env *env, char **base);

int env_get(Env *env, const char *name, const char **ret, Fault *fault); /* fails with NoSuchVariable */
int env_set(Env *env, const char *name, const char *value, Fault *fault);
int env_unset(Env *env, const char *name, Fault *fault); /* fails with NoSuchVariable */

/* Removes the changes at a clean end, so that the next service begins with the configuration only. */
void env_forget(Env *env);

/* Returns that of roles that somebody else than root starts: PATH and the locale, and nothing of what the
 * configuration and SetEnv contain, which may be secret. The caller frees it with g_strfreev(). */
char **env_list_public(void);

/* Returns NAME=VALUE, sorted by name. The caller frees it with g_strfreev(). */
char **env_list(Env *env);
