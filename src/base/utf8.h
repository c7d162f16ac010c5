/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Returns the length of the UTF-8 character at s. Returns 0 at the end of the string, and for what sd-bus
 * refuses in a string, which is what is not UTF-8, and noncharacters. */
size_t utf8_length(const char *s);

/* Returns whether a string may be sent over the bus. */
bool utf8_is_valid(const char *s);
