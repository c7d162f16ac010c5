/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The files that make up one configuration, with the precedence that they have for systemd: a main file NAME,
 * then the drop-ins NAME.d/ *.conf. */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

#include "util/unit-file.h"

/* The same as systemd's limit of one line, so no line is too long. */
#define CONFIG_FILE_MAX (1024U * 1024U)

/* Lists the files of several directories, of which the first has the highest precedence; the list ends with
 * NULL. The main file is that of the first directory that has one. A drop-in replaces those of the same name
 * in later directories, also with nothing, if it is empty or masked. Hidden files are not listed.
 *
 * The caller owns *ret, which has the paths in the order in which they are read. Returns a negative errno if
 * a directory of drop-ins exists and cannot be read, because it could contain anything. */
int config_files_list(const char *const *directories, const char *name, GPtrArray **ret);

/* Returns whether it is /dev/null or a symlink to it. */
bool config_file_is_masked(const char *path);

/* Reads a whole file, as file_read(). Returns 1, or 0 if there is nothing to read, because the file does not
 * exist or is masked. Returns -EFBIG for more than CONFIG_FILE_MAX bytes,
 * -EISDIR for a directory and -EBADFD for another file that is not regular. */
int config_file_read(const char *path, char **ret, size_t *ret_size);

/* Gets each section header and each assignment. Returns a negative errno to end this. */
typedef int (*ConfigItemHandler)(const char *path, const UnitFile *file, void *userdata);

/* Reads all files of a configuration, in the order of config_files_list(). If one, or a directory of
 * drop-ins, cannot be read or parsed, *ret_message names it, the line and the reason; the caller frees it. If
 * the handler has failed it is untouched. Returns a negative errno, which is -EBADMSG for a file that cannot
 * be parsed. */
int config_files_load(const char *const *directories, const char *name, ConfigItemHandler handler,
        void *userdata, char **ret_message);
