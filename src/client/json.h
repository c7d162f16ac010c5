/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* JSON that is not a table. libsmartcols writes those that are (table.h). */

#include "ctl/ctl.h"

/* Appends a string with its quotes. The text must be UTF-8. */
void json_append_string(GString *json, const char *text);

/* Appends what the message has next, of any type: structures and arrays as arrays, dictionaries with strings
 * as keys as objects, variants as what they contain. Returns a negative errno, for example if the message has
 * nothing more. */
int json_append_value(GString *json, sd_bus_message *m);

/* Writes a value to stdout, in one line or in several. */
void json_print(const char *json, CtlJson mode);
