/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The functions that the cases about products share. */

#include "testlib.h"

/* NULL unsets the variable, if it is set */
void products_set_env(Bus *bus, const char *name, const char *value);

/* Starts a role with these options that writes a dump of its process. It must start and exit with success. */
GHashTable *products_dump(Bus *bus, const char *role, GVariant *options);
void assert_env(GHashTable *dump, const char *name, const char *expected); /* NULL if it must be absent */

/* Fails unless ResolvedProducts is this, as text, and RoleStarted of this run, after the mark, says the same.
 * Returns the EnvironmentHash. */
char *products_record(Bus *bus, const char *role, guint mark, const char *expected);

/* Makes one that is fast and has the module foo/1.0 only, and configures it as "modules". The teardown of the
 * caller removes the configuration. */
void products_configure_fake(Bus *bus);

/* The start must fail with SetupFailed and these words of the provider, and leave nothing. */
void products_fail(Bus *bus, const char *role, GVariant *options, ...) G_GNUC_NULL_TERMINATED;

/* A named pipe in the place of a file that a provider reads. The provider hangs until it is released or
 * ended. */
typedef struct Trap {
        char *path;
        int fd;
} Trap;
void trap_make(const char *path);
Trap *trap_wait(const char *path); /* waits until a process opens it for reading */
void trap_release(Trap *trap, const char *text);
void trap_free(Trap *trap);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Trap, trap_free)

/* Runs a case about a provider of modules, Environment Modules or Lmod, with this program. */
int run_modules_case(const char *name, const char *provider, const char *command);
