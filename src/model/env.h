/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The environment with which roles begin. That of the service itself is for the roles of root, and, in the
 * service of a user, for those of this user: the variables of the configuration, changed by SetEnv and
 * UnsetEnv, and never the environment of this service. Each other user has variables of his own, which his
 * own roles alone receive. What was set survives a restart of the service, in the file "environment" of the
 * runtime directory. */

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

#include "model/caller.h"
#include "model/fault.h"
#include "model/model-forward.h"

/* Of the service itself, and of each user. */
#define ENV_VARIABLES_MAX 1000U
/* Bytes of all variables together; they must leave room for the command in execve(). */
#define ENV_SIZE_MAX (256U * 1024U)
/* Of all users together, since one file has all of it and is written at each change. */
#define ENV_USERS_SIZE_MAX (512U * 1024U)

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

/* The bytes that the variables of one user other than root may have. It holds for the next change.
 * At first they are ENV_SIZE_MAX. */
void env_set_user_max(Env *env, size_t max);

/* uid is 0 for the environment of the service itself. The variables of another user are those that he has
 * set; none of root's are among them. */
int env_get(Env *env, uid_t uid, const char *name, const char **ret, Fault *fault); /* or NoSuchVariable */
int env_set(Env *env, uid_t uid, const char *name, const char *value, Fault *fault);
int env_unset(Env *env, uid_t uid, const char *name, Fault *fault); /* fails with NoSuchVariable */
/* Returns NAME=VALUE, sorted by name. The caller frees it with g_strfreev(). */
char **env_list(Env *env, uid_t uid);

/* Removes the changes at a clean end, so that the next service begins with the configuration only. */
void env_forget(Env *env);

/* Returns the environment with which a role begins. That of the service itself may be secret, so a role that
 * somebody else than root has started, which is one with an account, has PATH and the locale instead. It has
 * the variables of its owner, too, unless it runs with other rights than his, because polkit was not told of
 * them. The caller frees the list with g_strfreev(). */
char **env_list_role(Env *env, const Account *account, const Caller *owner);
