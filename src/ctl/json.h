/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* JSON that is not a table. libsmartcols writes those that are (table.h). */

#include <stdio.h>

#include "ctl/ctl.h"

/* Appends a string with its quotes. The text must be UTF-8. */
void json_append_string(GString *json, const char *text);

/* Appends what the message has next, of any type: structures and arrays as arrays, dictionaries with strings
 * as keys as objects, variants as what they contain. Returns a negative errno, for example if the message has
 * nothing more. */
int json_append_value(GString *json, sd_bus_message *m);

/* Writes a value to stdout, in one line or in several. With several hosts it goes to gather.h. */
void json_print(const char *json, CtlJson mode);

/* The same, to where the caller says. */
void json_write(FILE *to, const char *json, CtlJson mode);

/* Appends the value, or each value of an array, as an object that has this member first, and a comma before
 * it if there is something already. What is no object becomes the member "value". */
void json_append_with_member(GString *out, const char *json, const char *key, const char *value);
