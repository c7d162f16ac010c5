/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Strict parsers of decimal integers. The whole string must be digits, after a '-' if the type is signed,
 * without white space. They return -EINVAL or -ERANGE. */

#include <stdint.h>

int parse_u64(const char *s, uint64_t *ret);
int parse_u32(const char *s, uint32_t *ret);
int parse_i32(const char *s, int32_t *ret);
