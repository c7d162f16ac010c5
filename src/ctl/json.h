/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* JSON that is not a table, made with client/json.h. libsmartcols writes those that are (table.h). */

#include <stdio.h>

#include "ctl/ctl.h"

/* Writes a value to stdout, in one line or in several. With several hosts it goes to gather.h. */
void json_print(const char *json, CtlJson mode);

/* The same, to where the caller says. */
void json_write(FILE *to, const char *json, CtlJson mode);

/* Appends the value, or each value of an array, as an object that has this member first, and a comma before
 * it if there is something already. What is no object becomes the member "value". */
void json_append_with_member(GString *out, const char *json, const char *key, const char *value);
