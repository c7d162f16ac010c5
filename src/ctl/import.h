/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the importers make: role files, with a comment for each line that has no counterpart. An importer
 * reads all of its files, adds roles with their lines, and reports what it cannot read. import.c checks the
 * roles and writes them. */

#include "ctl/ctl.h"

/* Where something is in a file that is imported. */
typedef struct ImportPlace {
        const char *file;
        unsigned line;
} ImportPlace;

typedef struct ImportRole {
        char *name; /* of the file, without .role: "cam", or "guider@" */
        ImportPlace place;
        GPtrArray *lines; /* of the file */
} ImportRole;

typedef struct Import {
        Ctl *ctl;
        GPtrArray *roles;   /* of ImportRole */
        GPtrArray *notes;   /* comments on what belongs to no role */
        char **environment; /* NAME=VALUE, of --setenv= */
        unsigned n_errors;  /* that were reported */
} Import;

/* -- for the importers -- */

/* Each reads these files, the list of which ends with NULL. */
void import_supervisord(Import *import, char *const *files);
void import_procserv(Import *import, char *const *files);
void import_systemd(Import *import, char *const *files);

/* Reports what is wrong as FILE:LINE: reason; without a line if that is 0. */
_printf_(3, 4) void import_error(Import *import, ImportPlace place, const char *format, ...);

/* Reads a file, with a message if that fails. from is the place that names it, or has no file. The caller
 * frees *ret. */
bool import_read_file(Import *import, ImportPlace from, const char *path, char **ret, size_t *ret_size);

/* Adds a role, whose name is made from this one (role_name_suggest()). what is the thing that it was, for the
 * first comment. Reports an error and returns NULL if it can have no name, or another one has it. */
ImportRole *import_add_role(
        Import *import, const char *wanted, bool is_template, ImportPlace place, const char *what);

/* Adds KEY=VALUE. The value is that of a role file: import_escape() has doubled its percent signs. */
void import_set(ImportRole *role, const char *key, const char *value);
_printf_(3, 4) void import_setf(ImportRole *role, const char *key, const char *format, ...);

/* Adds a comment on an assignment that has no counterpart: to a role, or to the notes. value may be NULL. */
void import_comment(
        GPtrArray *lines, ImportPlace place, const char *key, const char *value, const char *reason);

/* -- values -- */

/* Stand for the instance of a template and for the host in values that are not escaped yet. No file that is
 * imported has these characters. */
#define IMPORT_INSTANCE "\x01"
#define IMPORT_HOST "\x02"

/* Returns the text with each % doubled, and %i and %H for these two. The caller frees it, as all that
 * follow. */
char *import_escape(const char *text);
/* NAME=VALUE as a word of Environment=, quoted if it needs that. */
char *import_environment_word(const char *name, const char *value);
/* A command that does this in a shell before it becomes the other command, which is not changed. */
char *import_wrap(const char *script, const char *command);
