/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The state of a role that the next process requires, as a file of fields (state-fields.h) in the runtime
 * directory. */

#include <glib.h>

#include "model/model-forward.h"
#include "model/role.h"

#define ROLE_STATE_VERSION 1U
#define ROLE_STATE_DIRECTORY "roles"       /* the current run of each name */
#define ROLE_PREVIOUS_DIRECTORY "previous" /* the previous, ended run while a new one is starting */

typedef struct RoleStore {
        int roles_fd;
        int previous_fd;
} RoleStore;

/* The store of the model's world. Its data is a RoleStore. */
extern const StoreOps role_store_ops;

/* Creates the two directories below this one. Returns a negative errno. */
int role_store_open(int dir_fd, RoleStore *ret);
void role_store_close(RoleStore *store);

/* Saves the role, in the directory of its run. Returns a negative errno. The functions below log failures and
 * ignore them. */
int role_state_save(const RoleStore *store, const Role *role);
void role_state_forget(const RoleStore *store, const char *name);
void role_state_set_aside(const RoleStore *store, const char *name);
void role_state_drop_previous(const RoleStore *store, const char *name);
void role_state_bring_back(const RoleStore *store, const char *name);

/* Loads all roles into the node. A file that cannot be read is renamed to NAME~damaged, which is not a valid
 * name of a role, and logged as an error. It is never deleted. */
int role_state_load_all(const RoleStore *store, Node *node);

/* For a clean end. */
void role_state_forget_all(const RoleStore *store);

/* Returns the text of one file, for tests and fuzzing. The caller frees it. */
char *role_state_format(const Role *role);
/* The reverse. Returns -EBADMSG if the text is not valid, -EINVAL if the name is not. */
int role_state_parse(Node *node, const char *name, const char *text, Role **ret);
