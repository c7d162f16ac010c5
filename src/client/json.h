/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Values as JSON, in one line. */

#include <glib.h>
#include <systemd/sd-bus.h>

/* Appends a string with its quotes. The text must be UTF-8. */
void json_append_string(GString *json, const char *text);

/* Appends what the message has next, of any type: structures and arrays as arrays, dictionaries with strings
 * as keys as objects, variants as what they contain. Returns a negative errno, for example if the message has
 * nothing more. */
int json_append_value(GString *json, sd_bus_message *m);
