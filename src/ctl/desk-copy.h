/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The bodies of messages between the objects of the desk and those of a node: the same values, except that an
 * object path of the one is a path of the other. */

#include <systemd/sd-bus.h>

/* Returns the path with the prefix to instead of from. Returns NULL if the path is neither from nor below it.
 * The caller frees it. */
char *desk_path_map(const char *path, const char *from, const char *to);

/* Appends all values that are left in source, with the object paths in them mapped; other paths stay as they
 * are. Returns -EOPNOTSUPP if there is a file descriptor in them, which no ssh can pass on, or another
 * negative errno. */
int desk_copy(sd_bus_message *m, sd_bus_message *source, const char *from, const char *to);

/* The same for the next value only. Returns 0 if there is none. */
int desk_copy_one(sd_bus_message *m, sd_bus_message *source, const char *from, const char *to);
