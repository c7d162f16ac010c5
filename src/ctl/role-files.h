/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The role files of this machine, for the verbs that check and change them. They are read by the reader of
 * the service (model/definitions.h), so a file that is good here is good there. */

#include <sys/stat.h>

#include "ctl/ctl.h"
#include "model/definitions.h"

#define ROLE_FILE_SUFFIX ".role"

/* Fails if the options name another machine, whose files are not here, or if there are no directories. */
CtlExit role_files_check_options(const Ctl *ctl, const char *verb);

/* Returns INSTANCE.roles.d in each directory, in the order of their precedence; the first one is where files
 * are changed. The caller frees it. */
char **role_files_directories(const Ctl *ctl);

/* Lists the paths of a role's files, in the order in which the service reads them. file is that of the
 * definition, which may be a template. The caller owns *ret. Returns a negative errno. */
int role_files_list(const Ctl *ctl, const char *role, const char *file, GPtrArray **ret);

/* Reads what is installed, without a message about a file that is refused. The caller owns *ret. */
CtlExit role_files_load(const Ctl *ctl, Definitions **ret);

/* Returns whether a definition belongs to this name: to the role, or for "NAME@" to the template. */
bool role_files_has_name(const Definition *definition, const char *name);

/* Returns the first of them, or NULL. */
const Definition *role_files_find(const Definitions *definitions, const char *name);

/* Reports that no definition has this name, with the nearest one. Returns CTL_EXIT_NO_SUCH_ROLE. */
CtlExit role_files_report_unknown(const Ctl *ctl, const Definitions *definitions, const char *name);

/* Replaces a file atomically, and makes the directories above it. The second one removes a file, and a
 * directory of drop-ins that is empty then. Both report errors. */
CtlExit role_files_write(const Ctl *ctl, const char *path, const char *text);
CtlExit role_files_remove(const Ctl *ctl, const char *path);

/* Calls Reload. What was written before applies in any case. */
CtlExit role_files_reload(Ctl *ctl);

/* -- files that are not installed yet -- */

/* Files beside those that are installed, before which they have precedence. */
typedef struct Staging {
        const Ctl *ctl;
        char *directory;     /* temporary; NULL if it could not be made */
        GHashTable *shown;   /* path in it → the path that the user knows */
        GPtrArray *warnings; /* of the reader, about these files; after staging_load() */
} Staging;

/* Fails with a message. The caller owns *ret. */
CtlExit staging_new(const Ctl *ctl, Staging **ret);
Staging *staging_free(Staging *staging);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Staging, staging_free)

/* Adds a file: "cam.role", or "cam.role.d/a.conf". shown is the path for messages. Fails with a message. */
CtlExit staging_add(Staging *staging, const char *name, const char *text, size_t size, const char *shown);

/* Reads them together with what is installed. If that cannot be read, this is said, and they are read alone.
 */
CtlExit staging_load(Staging *staging, Definitions **ret);

/* The file for messages about a definition, or NULL if it has none of these files. */
const char *staging_shown(const Staging *staging, const char *path);

/* Prints each error of these files as FILE:LINE: reason, and the warnings. Returns how many errors there
 * are. */
unsigned staging_report(const Staging *staging, const Definitions *definitions);
