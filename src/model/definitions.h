/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The definitions of roles, which are read from role files: NAME.role in one of several directories, then its
 * drop-ins NAME.role.d/ *.conf, in the syntax of util/unit-file.h, with the section [Role]. Each key is an
 * option of Start (role-options.h), or Description=, AutoStart= or Instances=. architect-node.role(5)
 * documents them.
 *
 * A template NAME@.role defines a role NAME-INSTANCE for each of its Instances=. It has the drop-ins of the
 * template, then those of the role itself, NAME-INSTANCE.role.d/ *.conf. A role file of that name wins.
 *
 * A file that is not valid is logged, and its definition is kept with the reason in the place of its options,
 * so that nobody takes the name or believes that there is no definition. All other definitions are not
 * affected. Definitions that wait for each other in a circle are refused, all of them. A reload replaces the
 * whole value. */

#include <glib.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "model/fault.h"
#include "model/model-forward.h"
#include "model/role-options.h"

#define DEFINITION_INSTANCES_MAX 1000U /* of one template */
#define DEFINITION_DESCRIPTION_MAX 1024U

/* Which file has set an option last. */
typedef struct DefinitionSource {
        const RoleOption *option;
        unsigned file; /* index in files */
        unsigned line;
} DefinitionSource;

struct Definition {
        /* Of the role. Of a template that is refused before its instances are known it is "NAME@", which is
         * the name of no role. */
        char *name;
        char *file; /* the role file */
        /* Without what role_spec_finish_terminal() sets, so that other options may replace these. NULL if the
         * definition is refused. */
        RoleSpec *spec;
        char *description; /* NULL if there is none */
        bool autostart;

        GPtrArray
                *files; /* the paths of the role file and its drop-ins, in the order in which they are read */
        GArray *sources; /* of DefinitionSource, of the options that the files set, each once */

        /* If it is refused: what is wrong, and where. The line is from 1 on, and 0 if it is no line but the
         * file as a whole, such as its owner. */
        char *error;
        char *error_file;
        unsigned error_line;
};

typedef struct DefinitionsPlace {
        const char *const
                *directories; /* the first one has the highest precedence; the list ends with NULL */
        const char *instance; /* the files are in INSTANCE.roles.d in these */
        uid_t owner;          /* to whom they may belong, besides root */
} DefinitionsPlace;

/* Returns the directories of the service of the system, or of that of the user (--user), in the order of
 * their precedence, the one of the configuration first. NULL if the environment of the user names none. The
 * caller frees it with g_strfreev(). */
char **definitions_directories(bool user);

/* Whoever may write to a definition may run anything as root. Returns why a file or directory is refused, a
 * literal, or NULL. owner is that of the place. */
const char *definitions_refuse_owner(const struct stat *st, uid_t owner);

/* Checks the options of a definition as a start without other options would check them. Fails with
 * InvalidArgs or NotSupported. */
int definition_check_spec(const RoleSpec *spec, Fault *fault);

Definitions *definitions_new(void); /* without a definition */
Definitions *definitions_free(Definitions *definitions);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Definitions, definitions_free)

/* Missing directories are no error. A directory that cannot be read, or that others may write to, is a fault
 * (IOError), because a file in it could replace or mask any other, and *ret is not set. Whatever is wrong
 * with a file is logged, and recorded in its definition. The caller owns *ret. */
int definitions_load(const DefinitionsPlace *place, Definitions **ret, Fault *fault);

unsigned definitions_count(const Definitions *definitions);
/* In the order of their names. The definitions own it. */
const Definition *definitions_get(const Definitions *definitions, unsigned i);
unsigned definitions_count_refused(const Definitions *definitions);

/* Returns NULL if there is none of this name. One that is refused is returned, too. */
const Definition *definitions_find(const Definitions *definitions, const char *name);
/* The same for one that can be started. Fails with NoSuchDefinition or BadDefinition; the messages name the
 * role. */
int definitions_find_valid(
        const Definitions *definitions, const char *name, const Definition **ret, Fault *fault);

/* Returns whether the name belongs to a definition, or may belong to an instance of a template whose
 * instances are not known. */
bool definitions_reserve(const Definitions *definitions, const char *name);

/* Returns whether a role of this name with these options was started from another definition than the one
 * that is loaded now, or than none. */
bool definitions_differ(const Definitions *definitions, const char *name, const RoleSpec *spec);

/* Returns the file that names roles of this kind last, and the line; NULL if none does. */
const char *definition_dependency_source(const Definition *definition, Dependency kind, unsigned *ret_line);

/* The one that has set the option, or a part of it, last; NULL if the files do not set it. */
const char *definition_source(const Definition *definition, const RoleOption *option);
