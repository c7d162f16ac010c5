/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Several commands as one list of strings, which is saved and sent like any other list: of each command the
 * number of its words in decimal, then the words. NULL and the empty list have no command. The first word is
 * the program. A '-' before it means that a failure of the command is ignored, as in systemd.service(5). */

#include <stdbool.h>
#include <stddef.h>

#define COMMAND_IGNORES_FAILURE '-'

/* Returns whether each count is at least 1, and as many words follow, the first of which names a program. */
bool command_list_is_valid(char *const *list);

/* Returns the words of the next command of a valid list, which the list still owns and which do not end with
 * NULL, and moves *list behind them. Returns NULL at the end. */
char *const *command_list_next(char *const **list, size_t *ret_n);

/* Returns the number of commands of a valid list. */
size_t command_list_count(char *const *list);
