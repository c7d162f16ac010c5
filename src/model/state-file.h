/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The small files of the saved state, in the runtime directory: how one is read, set aside and forgotten, and what each carries
 * besides its contents: a version, and lines KEY=VALUE that a newer version of the service has added. Those are kept, so that it finds
 * them again after a downgrade. (The roles' files are role-state's.) */

#include <stddef.h>

/* Takes the whole text; negative errno: it is not what it should be. */
typedef int (*StateFileParser)(void *userdata, const char *text);

typedef enum StateFileResult {
        STATE_FILE_NONE,
        STATE_FILE_READ,
        STATE_FILE_DAMAGED, /* set aside as "<name>.damaged", which has been logged: what was parsed of it does not count */
} StateFileResult;

/* Reads a file of at most max bytes. What it is and what follows from its loss are for the log: "the saved environment", "; the next
 * beat arms it again" or "". Negative errno: it could not even be set aside. */
int state_file_load(int dir_fd, const char *name, size_t max, const char *what, const char *consequence,
        StateFileParser parse, void *userdata);

/* It need not be there. A failure is logged and ignored. */
void state_file_forget(int dir_fd, const char *name);

#define STATE_FIELDS_VERSION 1U

/* The lines "<prefix>KEY=VALUE" of the text (KEY: capitals and '_') but VERSION, each with its newline. "" is none. The caller
 * frees. */
char *state_fields_unknown(const char *text, const char *prefix);

/* The same with the version in front, to be saved; unknown may be NULL. The caller frees. */
char *state_fields_format(const char *prefix, const char *unknown);
