/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the next process of ours must know about a role, as a file of fields (state-fields.h) in the runtime directory. */

#include <glib.h>

#include "model/model-forward.h"
#include "model/role.h"

#define ROLE_STATE_VERSION 1U
#define ROLE_STATE_DIRECTORY "roles"       /* the current run of each name */
#define ROLE_PREVIOUS_DIRECTORY "previous" /* the ended run before it, while a new one is starting */

typedef struct RoleStore {
        int roles_fd;
        int previous_fd;
} RoleStore;

/* The disk of the model's world; its data is a RoleStore. */
extern const StoreOps role_store_ops;

/* Makes the two directories below this one. */
int role_store_open(int dir_fd, RoleStore *ret);
void role_store_close(RoleStore *store);

int role_state_save(const RoleStore *store, const Role *role);
void role_state_forget(const RoleStore *store, const char *name);
void role_state_set_aside(const RoleStore *store, const char *name);
void role_state_drop_previous(const RoleStore *store, const char *name);
void role_state_bring_back(const RoleStore *store, const char *name);

/* Loads every role into the node. A file that cannot be read is set aside (NAME~damaged: no role can have that name) with an error, never deleted. */
int role_state_load_all(const RoleStore *store, Node *node);

/* After a clean end. */
void role_state_forget_all(const RoleStore *store);

/* For tests and fuzzing: the text of one file. */
char *role_state_format(const Role *role);
int role_state_parse(Node *node, const char *name, const char *text, Role **ret);
