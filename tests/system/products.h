/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the cases about products share. */

#include "testlib.h"

/* Puts a drop-in of the configuration in force; NULL: takes it away again. */
void products_configure(Bus *bus, const char *node_section);
void products_set_env(Bus *bus, const char *name, const char *value); /* NULL: unset, if it is set */

void products_write(const char *path, const char *text); /* and its directories, for everybody to read */

/* A role with these options writes down what it finds itself with; it has to start, and to end well. */
GHashTable *products_dump(Bus *bus, const char *role, GVariant *options);
void assert_env(GHashTable *dump, const char *name, const char *expected); /* NULL: not there */

/* The start has to fail with SetupFailed and these words of the provider's, and to leave nothing. */
void products_fail(Bus *bus, const char *role, GVariant *options, ...) G_GNUC_NULL_TERMINATED;

/* A named pipe in the place of a file that a provider reads: it hangs there, until it is released or ended. */
typedef struct Trap {
        char *path;
        int fd;
} Trap;
void trap_make(const char *path);
Trap *trap_wait(const char *path); /* until somebody has come to read */
void trap_release(Trap *trap, const char *text);
void trap_free(Trap *trap);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Trap, trap_free)

/* A case about a provider of modules: Environment Modules or Lmod, whose program this is. */
int run_modules_case(const char *name, const char *provider, const char *command);
